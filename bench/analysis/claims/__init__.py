"""Published statements as data, and what a run says to them."""

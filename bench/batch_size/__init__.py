"""The largest batch that trains on this device: the search, its probes and its certificate."""

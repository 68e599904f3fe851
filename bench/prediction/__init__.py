"""The largest batch on a card that is not here, from a simulated training step."""

"""The largest batch that trains on this device: search, one attempt at a size, certificate."""

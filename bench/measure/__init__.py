"""Measurements besides training itself: the model's architecture, the card, the environment."""

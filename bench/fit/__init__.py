"""Fit: the largest batch that memory holds."""

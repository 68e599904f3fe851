"""Runs over time: a series per model and metric, and where it changed."""

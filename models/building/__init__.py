"""Builders, which import torch; the files in `models/` call them when a model is built."""

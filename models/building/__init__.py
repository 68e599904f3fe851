"""Builders, which import torch; a family's file in `models/` calls them when a model is built."""

"""The machine: its devices, what else runs on it, and the versions of what is installed."""

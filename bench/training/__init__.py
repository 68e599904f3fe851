"""One trial: epochs, evaluation, timing and checkpoints."""

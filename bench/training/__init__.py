"""One trial: epochs, evaluation, the rules of timing, checkpoints."""

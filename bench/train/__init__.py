"""Training: one epoch, one evaluation, and the rules of timing."""

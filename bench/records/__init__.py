"""What is measured, as it is written to disk and sent between processes. No torch, no tables."""

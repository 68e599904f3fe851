"""The child process: does one job, and sends its records to the parent."""

"""The child process: one job, told to the parent record by record."""

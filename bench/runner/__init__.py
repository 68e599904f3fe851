"""The parent process: options to plan, plan to workers, records to the run folder. No torch."""

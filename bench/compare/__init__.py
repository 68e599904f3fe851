"""What two runs, or the models of one, differ in, and how sure that is. Never imports torch."""

"""From a run's records to what people look at. Never imports torch."""

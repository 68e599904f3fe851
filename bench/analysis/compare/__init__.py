"""Whether two groups of trials differ, and how sure that is: the only judge of it."""

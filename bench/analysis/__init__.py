"""What the records mean: figures, tables, intervals, comparisons, claims. Pure, and no torch."""

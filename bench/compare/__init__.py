"""Comparisons that can say "no difference": two runs with each other, or the models of one run.

`sides` reads what is compared, `matching` puts like beside like and refuses the rest, `effects` is
the statistics, `verdicts` turns them into words, `bounds` is for CI, `ranking` compares the models
of one run. Pure functions, but for `sides`; no torch.
"""

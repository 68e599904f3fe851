"""Medians, means and intervals: pure functions over plain numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, median, quantiles, stdev

__all__ = ["Estimate", "estimate", "median", "percentile"]


@dataclass(frozen=True)
class Estimate:
    """A mean over n runs with the half-width of its 95 % confidence interval (None for n = 1)."""

    mean: float
    half_width: float | None
    n: int


def estimate(values: Sequence[float]) -> Estimate:
    """Mean of `values` with Student's t interval, which is right for a few seeds.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values to average")
    if len(values) == 1:
        return Estimate(values[0], None, 1)
    scale = stdev(values) / math.sqrt(len(values))
    return Estimate(fmean(values), _student(len(values) - 1) * scale, len(values))


@cache
def _student(degrees: int) -> float:
    """Student's t at 97.5 %; kept, for a report asks for it at every point of every curve."""
    from scipy.stats import t

    return float(t.ppf(0.975, degrees))


def percentile(values: Sequence[float], percent: int) -> float:
    """The percentile (1 to 99) of `values` by linear interpolation between order statistics."""
    if len(values) == 1:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[percent - 1]

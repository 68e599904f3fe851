"""Medians, means and intervals: pure functions over plain numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, median, stdev

__all__ = ["Estimate", "Spread", "estimate", "median", "percentile", "seeds_for", "spread"]

OUTLIER = 14.826
"""A modified z-score (Iglewicz and Hoaglin's, 0.6745 |x - median| / MAD) above this is an outlier;
hyperfine's bound, far beyond what is merely skewed."""


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


def seeds_for(half_width: float, n: int, margin: float, most: int = 100) -> int | None:
    """How many values in all would have an interval of at most `margin` each way, if they spread as
    the first n (2 or more) do: n ~ (t s / margin)^2. None if that is more than `most`.

    >>> seeds_for(0.06, 3, 0.02)
    9
    """
    spread = half_width * math.sqrt(n) / _student(n - 1)
    wide = (count for count in range(n, most + 1) if margin > 0)
    return next((m for m in wide if _student(m - 1) * spread / math.sqrt(m) <= margin), None)


@cache
def _student(degrees: int) -> float:
    """Student's t at 97.5 %; kept, for a report asks for it at every point of every curve."""
    from scipy.stats import t

    return float(t.ppf(0.975, degrees))


@dataclass(frozen=True)
class Spread:
    """How many times were taken and how they spread, in their own unit.

    `mad` is the median absolute deviation from the median, `iqr` the distance between the
    quartiles, `low` and `high` the median's 95 % confidence interval (None for fewer than six
    values), `outliers` which of them have a modified z-score above `OUTLIER`.
    """

    n: int
    median: float
    mean: float
    p95: float
    mad: float
    iqr: float
    low: float | None
    high: float | None
    outliers: tuple[int, ...]

    @property
    def relative(self) -> float:
        """The distance between the quartiles as a share of the median."""
        return self.iqr / self.median if self.median else 0.0

    def overlaps(self, other: "Spread") -> bool:
        """Whether the intervals of two medians overlap; with too few values, no."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return False
        return self.low <= other.high and other.low <= self.high


def spread(values: Sequence[float]) -> Spread:
    """How `values` spread.

    The interval is made of order statistics, whatever the distribution (Conover, *Practical
    Nonparametric Statistics*, 3.2); values that follow one another within one process are less
    independent than it supposes.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values to describe")
    import numpy as np
    from scipy import stats

    times = np.asarray(values, dtype=float)
    middle, low, high, p95 = np.percentile(times, (50, 25, 75, 95))
    mad = float(stats.median_abs_deviation(times))
    interval = stats.quantile_test(times, p=0.5).confidence_interval()
    far = np.flatnonzero(np.abs(times - middle) * 0.6745 > OUTLIER * mad) if mad else ()
    return Spread(
        n=len(values),
        median=float(middle),
        mean=float(np.sort(times).mean()),  # the same whatever the order
        p95=float(p95),
        mad=mad,
        iqr=float(high - low),
        low=None if np.isnan(interval.low) else float(interval.low),
        high=None if np.isnan(interval.high) else float(interval.high),
        outliers=tuple(int(i) for i in far),
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile of `values`, by linear interpolation between order statistics."""
    import numpy as np

    return float(np.percentile(values, percent))

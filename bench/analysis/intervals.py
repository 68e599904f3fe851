"""Medians, means and intervals: pure functions over plain numbers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, median, stdev
from typing import NamedTuple

__all__ = [
    "Estimate",
    "Pooled",
    "SeedOf",
    "Spread",
    "estimate",
    "median",
    "percentile",
    "pooled",
    "spread",
]

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


class SeedOf(NamedTuple):
    """A seed of one person: what a figure belongs to where many people's are pooled."""

    person: str
    seed: int


@dataclass(frozen=True)
class Pooled:
    """A mean over `people`, each of whom counts alike, and `seeds` different seeds.

    The variance of the mean has a part from people (in it, whatever differs within a person) and a
    part from the seeds that several people share, of which there are `shared`.
    """

    mean: float
    people: int
    seeds: int
    shared: int
    from_people: float
    from_seeds: float

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return math.sqrt(self.from_people + self.from_seeds)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of `error` (F. E. Satterthwaite, 1946)."""
        people, seeds = max(1, self.people - 1), max(1, self.shared - 1)
        weights = self.from_people**2 / people + self.from_seeds**2 / seeds
        return self.error**4 / weights if weights else people

    @property
    def known(self) -> bool:
        """Whether there is an interval: one person, or one seed, says nothing about others."""
        return self.people > 1 and self.seeds > 1

    @property
    def estimate(self) -> Estimate:
        """The mean over people with its 95 % interval; as of one where there is none."""
        if not self.known:
            return Estimate(self.mean, None, 1)
        return Estimate(self.mean, _student(self.freedom) * self.error, self.people)


def pooled(values: Mapping[SeedOf, float]) -> Pooled:
    """The mean of people's means, a person being a random effect, and so is a seed.

    Student's t over people's means, which is right where everybody has seeds of their own (Searle,
    Casella and McCulloch, *Variance Components*, 3.6). Those who share a seed began with the same
    weights and the same order of images: what it does to one it does to all, and people do not
    average that out. The variance over shared seeds is therefore added, each a cluster (Cameron,
    Gelbach and Miller, *Robust Inference with Multiway Clustering*, 2011; what both parts have in
    common is not taken off again, for with few seeds that would leave too little). Coverage of 95 %
    intervals, simulated, whatever the shares of people, seeds and the rest in the spread:

        seeds of their own        93-96 %
        3 shared seeds or more    93-99 %
        2 shared seeds            88-98 %

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values to average")
    people: dict[str, list[float]] = {}
    for key, value in values.items():
        people.setdefault(key.person, []).append(value)
    mean = fmean(map(fmean, people.values()))
    over_people: dict[str, list[float]] = {}
    over_seeds: dict[int, list[float]] = {}
    for key, value in values.items():
        deviation = (value - mean) / len(people) / len(people[key.person])
        over_people.setdefault(key.person, []).append(deviation)
        over_seeds.setdefault(key.seed, []).append(deviation)
    shared = [parts for parts in over_seeds.values() if len(parts) > 1]
    return Pooled(
        mean,
        people=len(people),
        seeds=len(over_seeds),
        shared=len(shared),
        from_people=_clustered(over_people.values(), len(people)),
        from_seeds=_clustered(shared, len(over_seeds)),
    )


def _clustered(clusters: Iterable[Sequence[float]], count: int) -> float:
    """The variance of a mean from the deviations in its clusters, weighted as they count in it."""
    squares = math.fsum(math.fsum(cluster) ** 2 for cluster in clusters)
    return squares * count / (count - 1) if count > 1 else 0.0


@cache
def _student(degrees: float) -> float:
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

    times = np.sort(np.asarray(values, dtype=float))
    middle, low, high, p95 = np.percentile(times, (50, 25, 75, 95))
    mad = float(np.median(np.abs(times - np.median(times))))
    ranks = _median_ranks(len(values))
    far = (
        np.flatnonzero(np.abs(np.asarray(values, dtype=float) - middle) * 0.6745 > OUTLIER * mad)
        if mad
        else ()
    )
    return Spread(
        n=len(values),
        median=float(middle),
        mean=float(times.mean()),  # sorted, so that it is the same whatever the order
        p95=float(p95),
        mad=mad,
        iqr=float(high - low),
        low=float(times[ranks[0]]) if ranks else None,
        high=float(times[ranks[1]]) if ranks else None,
        outliers=tuple(int(i) for i in far),
    )


@cache
def _median_ranks(count: int) -> tuple[int, int] | None:
    """Between which of so many sorted values, from 0, their median lies in 95 of 100 cases; None of
    too few. It is the same for all trials of a length, and takes longer than everything else."""
    import numpy as np
    from scipy import stats

    interval = stats.quantile_test(np.arange(count), p=0.5).confidence_interval()
    return (
        None if np.isnan(interval.low + interval.high) else (int(interval.low), int(interval.high))
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile of `values`, by linear interpolation between order statistics."""
    import numpy as np

    return float(np.percentile(values, percent))

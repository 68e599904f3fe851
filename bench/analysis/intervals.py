"""Medians, means and intervals: pure functions over plain numbers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, median, stdev
from typing import Any, NamedTuple

__all__ = [
    "Best",
    "Estimate",
    "Pooled",
    "SeedOf",
    "Spread",
    "best_of",
    "estimate",
    "median",
    "percentile",
    "pooled",
    "seeds_for",
    "share_interval",
    "spread",
]

OUTLIER = 14.826
"""A value further from the median than this many median absolute deviations (MAD), ten standard
deviations of normal noise, is an outlier: hyperfine's bound, far beyond what is merely skewed."""


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
    values), `outliers` which of them are further from it than `OUTLIER` times `mad`.
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
    low_end, high_end = _quantile_interval(times, 0.5)
    distances = np.abs(np.asarray(values, dtype=float) - middle)
    far = np.flatnonzero(distances > OUTLIER * mad) if mad else ()
    return Spread(
        n=len(values),
        median=float(middle),
        mean=float(times.mean()),  # sorted, so that it is the same whatever the order
        p95=float(p95),
        mad=mad,
        iqr=float(high - low),
        low=low_end,
        high=high_end,
        outliers=tuple(int(i) for i in far),
    )


def _quantile_interval(ordered: Any, p: float) -> tuple[float | None, float | None]:
    """The 95 % interval of the quantile p of sorted values; an end is None where they are too few
    for one."""
    low, high = _quantile_ranks(len(ordered), p)
    return (
        None if low is None else float(ordered[low]),
        None if high is None else float(ordered[high]),
    )


@cache
def _quantile_ranks(count: int, p: float) -> tuple[int | None, int | None]:
    """Between which of so many sorted values, from 0, their quantile lies in 95 of 100 cases. It is
    the same for all trials of a length, and takes longer than everything else."""
    import numpy as np
    from scipy import stats

    interval = stats.quantile_test(np.arange(count), p=p).confidence_interval()
    low, high = (None if math.isnan(end) else int(end) for end in (interval.low, interval.high))
    return low, high


@dataclass(frozen=True)
class Best:
    """The best of `k` tries: its expected value, and the 95 % interval of its median. An end is
    None where there are too few tries to set one."""

    k: int
    expected: float
    low: float | None
    high: float | None


def best_of(values: Sequence[float]) -> list[Best]:
    """The best of k = 1 to n of `values`, n tries, the highest being the best.

    Expected is the mean of the maximum over all subsets of k of the n tries, drawn without
    replacement: with v(1) ≤ … ≤ v(n),

        E[k] = Σ_i C(i - 1, k - 1) / C(n, k) · v(i)

    which is unbiased for independent tries (Tang et al., *Showing Your Work Doesn't Always Work*,
    arXiv 2004.13705, where drawing with replacement, as Dodge et al. do, is shown to be biased
    downwards). Points of a Sobol sequence spread more evenly than independent ones, so of them it
    is a little high for 1 < k < n: 0.926 for 0.914, and 0.977 for 0.967, where one of several
    dimensions decides and k is 2 and 4 of 8. The median of the best of k is the quantile 0.5^(1/k)
    of a single try, whose interval is made of order statistics (Conover, 3.2; Lourie et al., arXiv
    2311.09480): it supposes independent tries, too, and a few set no end of it.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values to choose from")
    import numpy as np
    from scipy.special import gammaln

    ordered, n = np.sort(values), len(values)
    below = np.arange(n)

    def log_comb(of: Any, chosen: int) -> Any:
        return gammaln(of + 1) - gammaln(chosen + 1) - gammaln(of - chosen + 1)

    def expected(k: int) -> float:
        # The best of k is among those that have k - 1 below them.
        weights = np.exp(log_comb(below[k - 1 :], k - 1) - log_comb(n, k))
        return float(weights @ ordered[k - 1 :])

    return [
        Best(k, expected(k), *_quantile_interval(ordered, 0.5 ** (1 / k))) for k in range(1, n + 1)
    ]


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile of `values`, by linear interpolation between order statistics."""
    import numpy as np

    return float(np.percentile(values, percent))


def share_interval(right: Any, of: Any) -> tuple[Any, Any]:
    """The ends of the 95 % intervals of shares `right / of` of independent trials (E. B. Wilson,
    1927): numbers or arrays of counts, which may be means over seeds, of at least one trial."""
    import numpy as np
    from scipy import stats

    z2 = stats.norm.ppf(0.975) ** 2
    shrunk, share = 1 + z2 / of, right / of
    middle = (share + z2 / (2 * of)) / shrunk
    half = np.sqrt(z2 * (share * (1 - share) + z2 / (4 * of)) / of) / shrunk
    # Rounding must not leave a share of 0 or 1 outside of its own interval.
    low, high = np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)
    return np.minimum(share, low), np.maximum(share, high)

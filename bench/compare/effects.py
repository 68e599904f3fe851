"""How much B differs from A, and how sure that is.

Times, throughput and memory are compared as ratios, on logarithms; fractions such as accuracies as
differences. What was measured in pairs (the same seed; within one run also side by side in time) is
compared in pairs. For a few values the interval is Student's (of pairs) or Welch's: in simulations
a bootstrap of fewer than ten values covers far too little. From `BOOTSTRAP` values a side on it is
the bias-corrected and accelerated bootstrap (Efron 1987), with a permutation test, which suppose no
normal distribution.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BOOTSTRAP = 10
RESAMPLES = 4999
CONFIDENCE = 0.95

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """B against A on the scale of the comparison: log B/A, or B - A.

    `low` and `high` bound the 95 % interval, `p` is of no difference at all; None where there are
    too few values. `spread` is the standard deviation of a single difference, `n` the number of
    pairs, or of values on the smaller side. `exact` if chance has no part: counts, equal numbers.
    """

    change: float
    low: float | None
    high: float | None
    p: float | None
    spread: float | None
    n: int
    paired: bool
    exact: bool = False


def effect(a: Sequence[float], b: Sequence[float], *, paired: bool, logs: bool) -> Effect:
    """B against A; values of a pair stand at the same place.

    Raises:
        ValueError: there are no values, pairs are incomplete, or a ratio is of what is not above 0.
    """
    if not a or not b or (paired and len(a) != len(b)):
        raise ValueError("no values to compare, or no pairs")
    if logs and min(*a, *b) <= 0:
        raise ValueError("a ratio needs values above 0")
    x, y = (np.log(v) if logs else np.asarray(v, dtype=float) for v in (a, b))
    if paired:
        return _of_differences(y - x)
    return _of_two(x, y)


def _of_differences(d: Values) -> Effect:
    from scipy import stats

    n, mean = len(d), float(d.mean())
    if n < 2:
        return Effect(mean, None, None, None, None, n, True)
    spread = float(d.std(ddof=1))
    if _constant(d):
        return _unvaried(mean, n, paired=True)
    if n >= BOOTSTRAP:
        low, high = _bootstrap((d,), lambda v, axis: np.mean(v, axis=axis))
        p = _permutation((d,), "samples", lambda v, axis: np.mean(v, axis=axis))
        return Effect(mean, low, high, p, spread, n, True)
    found = stats.ttest_1samp(d, 0.0)
    interval = found.confidence_interval(CONFIDENCE)
    return Effect(
        mean, float(interval.low), float(interval.high), float(found.pvalue), spread, n, True
    )


def _of_two(x: Values, y: Values) -> Effect:
    from scipy import stats

    n, mean = min(len(x), len(y)), float(y.mean() - x.mean())
    if n < 2:
        return Effect(mean, None, None, None, None, n, False)
    spread = math.sqrt((float(x.var(ddof=1)) + float(y.var(ddof=1))) / 2)
    if _constant(x) and _constant(y):
        return _unvaried(mean, n, paired=False)
    if n >= BOOTSTRAP:

        def gap(u: Values, v: Values, axis: int) -> Any:
            return np.mean(v, axis=axis) - np.mean(u, axis=axis)

        low, high = _bootstrap((x, y), gap)
        return Effect(mean, low, high, _permutation((x, y), "independent", gap), spread, n, False)
    found = stats.ttest_ind(y, x, equal_var=False)
    interval = found.confidence_interval(CONFIDENCE)
    return Effect(
        mean, float(interval.low), float(interval.high), float(found.pvalue), spread, n, False
    )


def _unvaried(mean: float, n: int, *, paired: bool) -> Effect:
    """Values that do not vary at all: equal they are the same numbers, for a seed gives the same
    every time; but a few accuracies of few images may differ by the same number by chance."""
    if abs(mean) < 1e-12:
        return Effect(0.0, 0.0, 0.0, 1.0, 0.0, n, paired, exact=True)
    return Effect(mean, None, None, None, None, n, paired)


def exactly(a: float, b: float, *, logs: bool) -> Effect:
    """Two counts: nothing of them is chance."""
    change = math.log(b / a) if logs and a > 0 and b > 0 else b - a
    return Effect(change, change, change, float(a == b), 0.0, 1, False, exact=True)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """P-values as they must be for this many questions at once (Holm 1979)."""
    known = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[i] = highest
    return adjusted


MOST_SEEDS = 100
"""Nobody trains more often than this for a comparison."""


def seeds_needed(found: Effect, margin: float) -> int | None:
    """How many seeds a side would tell: the fewest whose expected interval either leaves out no
    difference or lies within the margin. None for more than `MOST_SEEDS`, or where one value a side
    says nothing of the spread."""
    if found.spread is None:
        return None
    goal = max(abs(found.change), margin - abs(found.change))
    sizes = range(max(2, found.n + 1), MOST_SEEDS + 1)
    return next((n for n in sizes if _half_width(n, found) < goal), None)


def _half_width(n: int, found: Effect) -> float:
    from scipy import stats

    assert found.spread is not None
    degrees, scale = (n - 1, 1 / n) if found.paired else (2 * n - 2, 2 / n)
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, degrees)) * found.spread * math.sqrt(scale)


def _constant(values: Values) -> bool:
    """Whether they are equal, but for rounding."""
    return float(np.ptp(values)) <= 1e-12 * max(1.0, float(np.abs(values).max()))


def _bootstrap(samples: tuple[Values, ...], statistic: Any) -> tuple[float, float]:
    from scipy import stats

    found = stats.bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def _permutation(samples: tuple[Values, ...], kind: str, statistic: Any) -> float:
    from scipy import stats

    found = stats.permutation_test(
        samples,
        statistic,
        permutation_type=kind,
        n_resamples=RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)

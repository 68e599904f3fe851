"""How far two groups of trials lie apart in a metric, and how sure that is: pure functions, and the
only place where this is worked out.

What is positive (times, throughput, memory) is compared as a ratio, in logarithms, for noise on it
is a share of it; fractions are compared as a difference. The interval is Student's t: of the
differences where trials are paired by their seed, else Welch's. Not a bootstrap, which the seeds
that people run are too few for. Coverage of 95 % intervals, simulated, for normal noise, noise that
only ever slows down (exponential), and one trial in twenty far off, the same noise on both sides:

    seeds a side            3      5      10     20
    Welch's t            96–98  95–98  95–97  92–96 %
    percentile bootstrap 78–80  84–89  89–92  90–93 %
    BCa bootstrap        78–80  80–88  82–93  85–91 %
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from statistics import stdev, variance
from typing import Any, Literal

from bench.analysis.intervals import SeedOf, pooled
from bench.analysis.metrics import Metric
from bench.analysis.trial_group import Values

ALPHA = 0.05
"""Intervals cover in 1 - ALPHA of all cases; differences pass for real below ALPHA."""

POWER = 0.8
"""As many seeds as are advised would tell in this share of all cases."""

MOST_SEEDS = 100
"""More seeds than this are not advised, but called too many."""

_NO_SPREAD = 1e-9

_CONTINUOUS = ("s", "ms", "images/s", "nats")
"""Units of what does not come out equal by chance, as whole numbers and shares of them do."""

Scale = Literal["ratio", "difference"]
Design = Literal["exact", "paired", "independent", "too few"]


@dataclass(frozen=True)
class Effect:
    """B against A in one metric.

    `a` and `b` are means (of ratios' logarithms, so that `b / a` is the ratio). `shift` is
    log(b / a) or b - a; `half_width` its 95 % interval's, and `p` the probability of a shift as
    large by chance; both None where there are too few seeds, and where nothing is left to chance
    (`exact`). `spread` is the standard deviation of the shift of a single seed, `freedom` the
    degrees of freedom for each seed after the first. Where many people's trials are pooled,
    `unit` is what there would have to be more of: `seeds_a` and `seeds_b` count those.
    """

    scale: Scale
    design: Design
    a: float
    b: float
    shift: float
    seeds_a: int
    seeds_b: int
    half_width: float | None = None
    p: float | None = None
    spread: float = 0.0
    freedom: float = 1.0
    unit: str = "seed"

    @property
    def change(self) -> float:
        """b / a, or b - a."""
        return self._shown(self.shift)

    @property
    def low(self) -> float | None:
        """The lower end of the 95 % interval of `change`."""
        return None if self.half_width is None else self._shown(self.shift - self.half_width)

    @property
    def high(self) -> float | None:
        """The upper end of the 95 % interval of `change`."""
        return None if self.half_width is None else self._shown(self.shift + self.half_width)

    def _shown(self, shift: float) -> float:
        # With two seeds an interval may well reach further than numbers do.
        return math.exp(min(shift, 700.0)) if self.scale == "ratio" else shift


def scale_of(metric: Metric) -> Scale:
    """How a metric is compared."""
    return "difference" if metric.unit == "fraction" else "ratio"


def effect(metric: Metric, a: Values, b: Values, *, paired: bool) -> Effect:
    """What b's trials differ from a's in, over their seeds.

    Trials of one seed belong together (`paired`) if they ran one after the other or began with the
    same weights. Seeds that only one of them has are then left out, if two are left to be paired.
    Seeds of several people (`SeedOf`) are pooled: people and seeds are both left to chance.

    Raises:
        ValueError: there are no values, or some that no ratio can be taken of.
    """
    if not a or not b:
        raise ValueError("no values to compare")
    if is_count(metric, a, b):
        return _counted(metric, a, b)
    if isinstance(next(iter(a)), SeedOf):
        return _pooled_effect(metric, a, b, paired=paired)
    common = paired_seeds(a, b)
    paired = paired and bool(common)
    first = [a[seed] for seed in common] if paired else list(a.values())
    second = [b[seed] for seed in common] if paired else list(b.values())
    scale = scale_of(metric)
    if scale == "ratio":
        # Noise on what is positive is a share of it: in logarithms it is the same everywhere.
        first, second = ([_log(value) for value in values] for values in (first, second))
    mean_a, mean_b = (math.fsum(values) / len(values) for values in (first, second))
    shift = mean_b - mean_a
    if scale == "ratio":
        mean_a, mean_b = math.exp(mean_a), math.exp(mean_b)
    bare = Effect(scale, "too few", mean_a, mean_b, shift, len(first), len(second))
    if min(len(first), len(second)) < 2:
        return bare
    if metric.unit == "bytes" and _same(first) and _same(second):
        # An allocator's peak on a card: several seeds that agree are no coincidence.
        return replace(bare, design="exact")
    shifts = [y - x for x, y in zip(first, second, strict=True)] if paired else []
    if _same(shifts) if paired else _same(first) and _same(second):
        return replace(bare, design="exact") if _leaves_no_chance(metric, bare) else bare
    half_width, p = map(float, t_interval(first, second, paired=paired))
    if paired:
        spread, freedom = stdev(shifts), 1.0
    else:
        var_a, var_b = variance(first), variance(second)
        spread = math.sqrt(var_a + var_b)
        freedom = (var_a + var_b) ** 2 / (var_a**2 + var_b**2)
    design: Design = "paired" if paired else "independent"
    return replace(bare, design=design, half_width=half_width, p=p, spread=spread, freedom=freedom)


def is_count(metric: Metric, *sides: Values) -> bool:
    """Whether a metric is a count that no seed changes, on any side: it may be 0."""
    return metric.exact and all(_same(list(values.values())) for values in sides if values)


def paired_seeds(a: Values, b: Values) -> list[Any]:
    """The seeds that a paired effect is about: those of both sides. None where a single one, or
    those of a single person, would leave no spread to measure chance by: it is about all, then."""
    common = sorted(a.keys() & b.keys())
    people = {key.person if isinstance(key, SeedOf) else key for key in common}
    return common if len(people) > 1 else []


def _pooled_effect(metric: Metric, a: Values, b: Values, *, paired: bool) -> Effect:
    """The effect over people: of the differences within each seed of each person, or, where not two
    people have both, Welch's between people's means."""
    common = paired_seeds(a, b)
    if not paired or not common:
        first, second = (dict(enumerate(_by_person(metric, side))) for side in (a, b))
        return replace(effect(metric, first, second, paired=False), unit="person")
    scale = scale_of(metric)
    used = _log if scale == "ratio" else float
    mean_a, mean_b = (pooled({key: used(side[key]) for key in common}).mean for side in (a, b))
    if scale == "ratio":
        mean_a, mean_b = math.exp(mean_a), math.exp(mean_b)
    shifts = {key: used(b[key]) - used(a[key]) for key in common}
    over = pooled(shifts)
    # Of the two that chance comes from, more is needed of the one that brings more of it.
    unit, units = ("person", over.people) if over.known else ("seed", over.seeds)
    if over.known and over.from_seeds > over.from_people:
        unit, units = "seed", over.shared
    bare = Effect(scale, "too few", mean_a, mean_b, over.mean, units, units, unit=unit)
    if _same(list(shifts.values())):
        exact = over.known and _leaves_no_chance(metric, bare)
        return replace(bare, design="exact") if exact else bare
    if not over.known or over.error <= _NO_SPREAD:
        return bare
    from scipy import stats

    half_width = over.estimate.half_width or 0.0
    p = 2 * float(stats.t.sf(abs(over.mean) / over.error, over.freedom))
    spread, freedom = over.error * math.sqrt(units), over.freedom / max(1, units - 1)
    return replace(
        bare, design="paired", half_width=half_width, p=p, spread=spread, freedom=freedom
    )


def _by_person(metric: Metric, values: Values) -> list[float]:
    people: dict[str, list[float]] = {}
    for key, value in values.items():
        people.setdefault(key.person, []).append(value)
    if scale_of(metric) == "ratio":
        return [math.exp(math.fsum(map(_log, v)) / len(v)) for v in people.values()]
    return [math.fsum(v) / len(v) for v in people.values()]


def t_interval(a: Any, b: Any, *, paired: bool) -> tuple[Any, Any]:
    """The half-width of the 95 % interval of mean(b) - mean(a), and p: Student's t of the
    differences, or Welch's t (B. L. Welch, 1947) for groups that spread differently. Values are
    along the last axis, at least two; paired ones of the same shape.
    """
    from scipy import stats

    test = stats.ttest_rel if paired else stats.ttest_ind
    with warnings.catch_warnings():
        # That one side has no spread is nothing to warn of: the other has.
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        result = test(b, a, axis=-1) if paired else test(b, a, axis=-1, equal_var=False)
    interval = result.confidence_interval(1 - ALPHA)
    return (interval.high - interval.low) / 2, result.pvalue


def holm(ps: Sequence[float]) -> list[float]:
    """Probabilities corrected for their number: where chance alone is at work, none of them is
    below ALPHA in 1 - ALPHA of all cases (S. Holm, 1979)."""
    # Step down from the smallest: each is multiplied by how many are left, and none may come out
    # below one that was smaller before.
    order = sorted(range(len(ps)), key=ps.__getitem__)
    scaled = (min(1.0, ps[index] * (len(ps) - done)) for done, index in enumerate(order))
    return [p for _, p in sorted(zip(order, accumulate(scaled, max), strict=True))]


def more_seeds(measured: Effect, margin: float, comparisons: int = 1) -> int | None:
    """How many more seeds a side would tell, if shift and spread are what they look like.

    With so many, in `POWER` of all cases, either the shift is significant after correction for the
    number of comparisons, or its interval lies within the margin. None if that takes more than
    `MOST_SEEDS`. `measured` has an interval; `margin` is what counts as the same, on the scale of
    `shift`; `comparisons` is how many are made at once.
    """
    import numpy as np
    from scipy import stats

    present = min(measured.seeds_a, measured.seeds_b)
    seeds = np.arange(present + 1, present + MOST_SEEDS + 1)
    freedom = measured.freedom * (seeds - 1)
    error, shift = measured.spread / np.sqrt(seeds), abs(measured.shift)
    # Two ways to an answer: the shift stands out, or its interval fits within the margin, on both
    # sides. The second is not corrected for the number of comparisons, because intervals are not.
    far = stats.t.ppf(1 - ALPHA / 2 / comparisons, freedom) + stats.t.ppf(POWER, freedom)
    reach = stats.t.ppf(1 - ALPHA / 2, freedom)
    above, below = ((margin + side * shift) / error - reach for side in (-1, 1))
    within = stats.t.cdf(above, freedom) - stats.t.cdf(-below, freedom)
    tells = (far * error <= shift) | (within >= POWER)
    return int(tells.argmax()) + 1 if tells.any() else None


@dataclass(frozen=True)
class Expectation:
    """Where the mean of new seeds was to be expected, `low` to `high`, a 95 % prediction interval;
    and the mean that came, `got`."""

    low: float
    high: float
    got: float

    @property
    def verdict(self) -> Literal["as expected", "below", "above"]:
        """On which side of the interval the mean that came lies, if it does."""
        if self.low <= self.got <= self.high:
            return "as expected"
        return "below" if self.got < self.low else "above"


def expectation(
    values: Sequence[float], mean: float, deviation: float | None, seeds: int
) -> Expectation | None:
    """The mean of new `values`, one by seed, beside what is to be expected after a reference: the
    `mean` and the standard `deviation` over other `seeds` of the same thing, in the same unit.

    mean ± t · deviation · sqrt(1 / len(values) + 1 / seeds), t being Student's with seeds - 1
    degrees of freedom (Hahn and Meeker, *Statistical Intervals*, 1991, chapter 4): it holds the new
    mean in 95 of 100 cases, however few seeds either has. A seed that both have makes them more
    alike. None where the reference has one seed, or its seeds do not spread: that says nothing
    about others.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values to judge")
    if seeds < 2 or deviation is None or deviation <= _NO_SPREAD:
        return None
    from scipy import stats

    t = float(stats.t.ppf(1 - ALPHA / 2, seeds - 1))
    reach = t * deviation * math.sqrt(1 / len(values) + 1 / seeds)
    return Expectation(mean - reach, mean + reach, math.fsum(values) / len(values))


def _log(value: float) -> float:
    if value <= 0:
        raise ValueError(f"{value:g} has no ratio")
    return math.log(value)


def _counted(metric: Metric, a: Values, b: Values) -> Effect:
    """The effect of a count that no seed changes; without bounds where one side has none."""
    scale, before, after = scale_of(metric), next(iter(a.values())), next(iter(b.values()))
    if scale == "difference" or before == after:
        shift = after - before
    elif before > 0 and after > 0:
        shift = math.log(after / before)
    else:
        shift = math.copysign(math.inf, after - before)
    return Effect(scale, "exact", before, after, shift, len(a), len(b))


def _leaves_no_chance(metric: Metric, agreed: Effect) -> bool:
    """Whether seeds that agree to the last digit prove something: three do, and where they are
    equal in what is no count, two.

    Where they count something, as accuracies count test images, they may agree by chance: of 50
    images and one mistake, three seeds on one difference in 2 cases of 100, four in 4 of 1,000, so
    that it takes four. Three that are equal are called equal.
    """
    seeds, equal = min(agreed.seeds_a, agreed.seeds_b), abs(agreed.shift) <= _NO_SPREAD
    if metric.unit in _CONTINUOUS:
        return equal or seeds > 2
    return seeds > (2 if equal else 3)


def _same(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= _NO_SPREAD

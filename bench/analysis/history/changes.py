"""Where a series changed for good: a library finds the place, the one engine confirms it.

The past is played again: at every point, what was known until then is split in two where that
leaves the least variance (ruptures). The split is a change if the variance falls by more than a
penalty, and if `bench.analysis.compare` finds the two sides apart. The search then begins anew from
the split. So a change is confirmed at one certain point, whenever the history is asked for.

The penalty is the quantile of Fisher's F at a level chosen by simulation
(`tests/benchmarks/history_power.py`): a history of 50 points in which nothing but noise happens has
a change in at most 5 % of cases, shared out over its series. Most of that is spent on what got
worse: nobody waits for an improvement. This is the change-point model for statistical process
control of D. M. Hawkins, P. Qiu and C. W. Kang (2003), with a constant rate of false alarms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from bench.analysis.compare.effects import Effect, effect, scale_of
from bench.analysis.compare.pairwise import speed_ratio
from bench.analysis.compare.verdicts import FEWEST_SEEDS, USUAL_MARGINS, Margins, Verdict, judge
from bench.analysis.history.series import Point, Series
from bench.analysis.metrics import Metric
from bench.errors import Refused

T = TypeVar("T")

LEVEL_WORSE, LEVEL_BETTER = 6e-4, 3e-5
"""What a single test may err by, for one series: chosen by simulation."""

FEWEST = FEWEST_SEEDS
"""Points on either side of a change, and one more where an accuracy repeats; one is enough after it
if chance has no part in a count that was the same before."""

LONGEST = 100
"""Points that a change is looked for in: what came long before says little of today's machine."""


@dataclass(frozen=True, eq=False)
class Change:
    """A series before and after a place where it changed.

    `before` and `after` are the points around the place, `confirmed` the one with which the change
    was beyond chance. `effect` and `verdict` are of all points between this change and its
    neighbours, as they are known now; `scaled` is the effect on values scaled by the machine's own
    speed, None where that was not timed.
    """

    series: Series
    before: Point
    after: Point
    confirmed: Point
    effect: Effect
    verdict: Verdict
    scaled: Effect | None

    @property
    def up(self) -> bool:
        """Whether the metric rose."""
        return self.effect.shift > 0

    @property
    def regression(self) -> bool:
        """Whether it got worse; False where neither way is."""
        return _worse(self.series.metric, self.up)


@dataclass(frozen=True)
class _Found:
    """A change within a track: the index of its first point, and of the one that confirmed it."""

    split: int
    confirmed: int


def check_library() -> None:
    """Refused if the library that looks for changes is not installed."""
    try:
        import ruptures  # noqa: F401
    except ImportError as error:
        raise Refused(
            "a history needs ruptures, which is not installed: pip install ruptures."
        ) from error


def changes_of(series: Sequence[Series], margins: Margins = USUAL_MARGINS) -> list[Change]:
    """The changes of all series, corrected for their number, in the order of their places."""
    # Counts that no seed changes raise no false alarm.
    noisy = max(1, sum(not one.metric.exact for one in series))
    found = [
        change
        for one in series
        for track in one.tracks
        for change in _changes_in(one, track, noisy, margins)
    ]
    return sorted(found, key=lambda change: change.after.at)


def _changes_in(
    series: Series, track: Sequence[Point], noisy: int, margins: Margins
) -> list[Change]:
    metric = series.metric
    found: list[_Found] = []
    start = 0
    for end in range(1, len(track) + 1):
        window = track[max(start, end - LONGEST) : end]
        split = _split(metric, [point.value for point in window])
        if split and _confirmed(metric, window, split, noisy, margins):
            start = end - len(window) + split
            found.append(_Found(start, end - 1))
    changes = []
    places = [0, *(one.split for one in found), len(track)]
    for number, one in enumerate(found):
        # All that is known now tells the place better than what was known then; but it lies before
        # the point that confirmed it, or it is the place of another change, yet to be confirmed.
        low, high = places[number], places[number + 2]
        span = track[low:high]
        split = _split(metric, [point.value for point in span])
        if split is None or low + split > one.confirmed:
            split = one.split - low
        places[number + 1] = low + split
        effect, verdict = _judged(metric, span, split, margins)
        scaled = None
        if series.scalable:
            values = [point.value * series.scaled(point) for point in span]
            scaled = _effect(metric, values, split)
        before, after = span[split - 1], span[split]
        changes.append(Change(series, before, after, track[one.confirmed], effect, verdict, scaled))
    return changes


def _split(metric: Metric, values: Sequence[float]) -> int | None:
    """The place at which two means leave the least variance; None if there are too few values."""
    import numpy as np
    import ruptures

    fewest = 1 if metric.exact else FEWEST
    if len(values) < 2 * fewest:
        return None
    signal = _signal(metric, values)
    if not np.ptp(signal):
        return None
    search = ruptures.KernelCPD(kernel="linear", min_size=fewest)
    split, _ = search.fit(signal.reshape(-1, 1)).predict(n_bkps=1)
    return int(split)


def _signal(metric: Metric, values: Sequence[float]) -> Any:
    """What is compared, as an array: logarithms of what is compared as a ratio."""
    import numpy as np

    signal = np.asarray(values, dtype=float)
    if scale_of(metric) == "ratio":
        signal = np.log(signal)
    # Large numbers that differ by little would lose their last digits in squares.
    return signal - signal.mean()


def _confirmed(
    metric: Metric, window: Sequence[Point], split: int, noisy: int, margins: Margins
) -> bool:
    """Whether a split is a change: beyond the penalty, and for the engine that judges."""
    import numpy as np

    signal, count = _signal(metric, [point.value for point in window]), len(window)
    before, after = signal[:split], signal[split:]
    counted = metric.exact and not np.ptp(before) and not np.ptp(after)
    if len(before) < FEWEST or (len(after) < FEWEST and not counted):
        return False
    up = bool(after.mean() > before.mean())
    level = (LEVEL_WORSE if _worse(metric, up) else LEVEL_BETTER) / noisy
    within = before.var() * len(before) + after.var() * len(after)
    fall = signal.var() * count - within
    if fall * (count - 2) <= _penalty(level, count) * within:
        return False
    return _judged(metric, window, split, margins)[1].apart


def _worse(metric: Metric, up: bool) -> bool:
    """Whether a metric that goes up, or down, gets worse; False where neither way is."""
    return metric.better is not None and up == (metric.better == "lower")


@cache
def _penalty(level: float, count: int) -> float:
    """By how many times the variance of noise the sum of squares must fall, to err at `level`."""
    from scipy import stats

    return float(stats.f.isf(level, 1, count - 2))


def _judged(
    metric: Metric, span: Sequence[Point], split: int, margins: Margins
) -> tuple[Effect, Verdict]:
    found = _effect(metric, [point.value for point in span], split)
    parts = _parts([point.machine for point in span], split)
    machine = speed_ratio(*({i: s for i, s in enumerate(part) if s} for part in parts))
    return found, judge(metric, found, found.p, margins=margins, machine=machine)


def _effect(metric: Metric, values: Sequence[float], split: int) -> Effect:
    before, after = (dict(enumerate(part)) for part in _parts(values, split))
    return effect(metric, before, after, paired=False)


def _parts(values: Sequence[T], split: int) -> tuple[Sequence[T], Sequence[T]]:
    return values[:split], values[split:]

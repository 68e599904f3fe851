"""From an effect to words: faster, slower, same within x %, cannot tell (and what would tell)."""

import math
from dataclasses import dataclass
from typing import Literal

from bench.compare.effects import Effect, seeds_needed
from bench.metrics import Metric

SIGNIFICANT = 0.05

Answer = Literal["better", "worse", "differs", "same", "cannot tell"]

SPEEDS = ("images/s", "s", "ms")
"""Units whose figures depend on how fast the machine is."""


@dataclass(frozen=True)
class Margins:
    """What counts as the same: a share of A for ratios, a difference for fractions."""

    ratio: float = 0.05
    points: float = 0.01

    def of(self, metric: Metric) -> float:
        """The margin on the scale that a metric is compared on."""
        return self.points if is_points(metric) else math.log1p(self.ratio)

    def text(self, metric: Metric) -> str:
        """The margin as people write it."""
        if is_points(metric):
            return f"{self.points * 100:g} points"
        return f"{self.ratio * 100:g} %"


@dataclass(frozen=True)
class Verdict:
    """`answer` is B's against A's; `word` is what people read, `reason` why."""

    answer: Answer
    word: str
    reason: str


def is_points(metric: Metric) -> bool:
    """Whether a metric is compared as a difference and not as a ratio."""
    return metric.unit == "fraction"


def is_speed(metric: Metric) -> bool:
    """Whether a metric depends on how fast the machine is."""
    return metric.unit in SPEEDS


def judge(
    found: Effect, p: float | None, metric: Metric, margins: Margins, machine: float | None = None
) -> Verdict:
    """What can be said of B against A.

    Args:
        found: the effect.
        p: of no difference, corrected for all questions asked at once.
        metric: which way is better, and in which unit.
        margins: what counts as the same.
        machine: log of the machine's own speed at B over that at A, where both were measured at
            different times; None where it is not known or cannot matter.
    """
    if found.exact and not is_speed(metric):
        return _exact(found, metric)
    if found.low is None or found.high is None:
        return Verdict(
            "cannot tell", "cannot tell", "too few seeds for an interval: use --seeds 3 or more"
        )
    margin = margins.of(metric)
    if -margin < found.low and found.high < margin:
        if machine is not None and abs(machine) >= margin:
            return _moved(machine)
        return Verdict("same", f"same within {margins.text(metric)}", "the interval lies within it")
    if p is not None and p < SIGNIFICANT:
        if machine is not None and _explains(machine, found.change, metric):
            return _moved(machine)
        return _differs(found, metric, f"p = {p:.2g} after correction")
    return Verdict("cannot tell", "cannot tell", _more_seeds(found, margin))


def _exact(found: Effect, metric: Metric) -> Verdict:
    if found.change == 0:
        return Verdict("same", "equal", "nothing varies")
    return _differs(found, metric, "nothing varies")


def _differs(found: Effect, metric: Metric, reason: str) -> Verdict:
    up = found.change > 0
    if metric.better is None:
        return Verdict("differs", "higher" if up else "lower", reason)
    good = up == (metric.better == "higher")
    if is_speed(metric):
        return Verdict(_answer(good), "faster" if good else "slower", reason)
    if metric.unit == "bytes":
        return Verdict(_answer(good), "more" if up else "less", reason)
    return Verdict(_answer(good), "higher" if up else "lower", reason)


def _answer(good: bool) -> Answer:
    return "better" if good else "worse"


def _explains(machine: float, change: float, metric: Metric) -> bool:
    """Whether the machine alone would have made that difference, or more."""
    expected = machine if metric.better == "higher" else -machine
    return expected * change > 0 and abs(expected) >= abs(change)


def _moved(machine: float) -> Verdict:
    how = "faster" if machine > 0 else "slower"
    share = abs(math.expm1(machine))
    return Verdict(
        "cannot tell",
        "cannot tell",
        f"the machine itself was {100 * share:.1f} % {how} at B's time",
    )


def _more_seeds(found: Effect, margin: float) -> str:
    needed = seeds_needed(found, margin)
    if needed is None:
        return "not even 100 seeds a side would tell"
    return f"about {needed - found.n} more seeds a side would tell"

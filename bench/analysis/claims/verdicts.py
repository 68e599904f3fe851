"""What can be said to a claim, and the arithmetic of saying it from means with intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analysis.intervals import Estimate

Answer = Literal["holds", "does not hold", "cannot tell"]


@dataclass(frozen=True)
class Verdict:
    """What a run says to a claim; `measured` is what was found, as text, and may be empty."""

    answer: Answer
    reason: str
    measured: str = ""


class CannotTell(Exception):
    """The run lacks what the claim is about; the message says what."""


def placed(found: Estimate, low: float, high: float, text: str, around: str) -> Verdict:
    """Where the interval of `found` lies: within the bounds, outside them, or across one."""
    room = found.half_width or 0.0
    if low <= found.mean - room and found.mean + room <= high:
        return Verdict("holds", f"within {around}", text)
    if found.mean + room < low or found.mean - room > high:
        return Verdict("does not hold", f"outside {around}", text)
    return Verdict("cannot tell", f"the interval overlaps {around}", text)


def positive(gap: Estimate, text: str) -> Verdict:
    """Whether a difference is above 0 beyond its interval."""
    room = gap.half_width or 0.0
    if gap.mean - room > 0:
        return Verdict("holds", "beyond the intervals" if room else "so in this run", text)
    if gap.mean + room < 0 or (gap.mean == 0 and not room):
        return Verdict("does not hold", "equal" if gap.mean == 0 else "the other way round", text)
    return Verdict("cannot tell", "intervals overlap", text)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """a - b of independent means."""
    return Estimate(a.mean - b.mean, _joint(a.half_width, b.half_width), min(a.n, b.n))


def quotient(a: Estimate, b: Estimate) -> Estimate:
    """a / b of independent means, its interval to first order."""
    if not b.mean:
        raise CannotTell("a ratio to nothing")
    ratio = a.mean / b.mean
    joint = _joint((a.half_width or 0) / a.mean, (b.half_width or 0) / b.mean) if a.mean else None
    return Estimate(ratio, ratio * joint if joint else None, min(a.n, b.n))


def _joint(a: float | None, b: float | None) -> float | None:
    """Half-widths of independent means, as they add up in their difference."""
    return math.hypot(a or 0.0, b or 0.0) or None


def in_seeds(holds: bool, seeds: int, text: str) -> Verdict:
    """A verdict on curves, each of a seed."""
    where = "in the one seed" if seeds == 1 else f"in all {seeds} seeds"
    if holds:
        return Verdict("holds", f"so {where}", text)
    return Verdict("does not hold", f"not so {where}", text)


def falling(a: Estimate, b: Estimate, tolerance: float) -> Answer:
    """Whether b is below a; what rises by less than the tolerance (a fraction) is within noise."""
    gap, room = a.mean - b.mean, math.hypot(a.half_width or 0.0, b.half_width or 0.0)
    if gap > room and gap > 0:
        return "holds"
    return "does not hold" if gap < -room and -gap > tolerance * a.mean else "cannot tell"


def every(answers: Sequence[Answer], text: str, unclear: str) -> Verdict:
    """A verdict on a row of falls: one that rises refutes it."""
    if "does not hold" in answers:
        return Verdict("does not hold", "it rises with a larger batch", text)
    if "cannot tell" in answers:
        return Verdict("cannot tell", unclear, text)
    return Verdict("holds", "so from each size to the next", text)

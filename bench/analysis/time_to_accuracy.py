"""Time to accuracy: when a trial first reached an accuracy, and since when it stayed there.

The accuracy is that of the images that every epoch is evaluated on: of validation, or of the test.
Seconds are wall-clock, training and evaluation, from the start of the first epoch; they are known
at the ends of epochs only.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

from bench.config import DEFAULT_TARGETS
from bench.records.records import Epoch
from bench.records.run import TrialResult


@dataclass(frozen=True)
class Reached:
    """When one trial got to `target` (a fraction): the epoch at whose end it was first there, and
    the one from which on it stayed there; None where it did not."""

    target: float
    first_epoch: int | None
    first_seconds: float | None
    held_epoch: int | None
    held_seconds: float | None


def clock(epochs: Iterable[Epoch]) -> list[float]:
    """Wall-clock seconds, training and evaluation, at the end of each epoch."""
    return list(accumulate(e.time_budget.total_seconds for e in epochs))


def reached(epochs: list[Epoch], target: float) -> Reached:
    """When the accuracy of these epochs was first at `target`, and when for good."""
    ends = clock(epochs)
    above = [e.accuracy >= target for e in epochs]
    first = above.index(True) if any(above) else len(epochs)
    held = len(epochs) - above[::-1].index(False) if not all(above) else 0

    def end(i: int) -> tuple[int | None, float | None]:
        return (epochs[i].epoch, ends[i]) if i < len(epochs) else (None, None)

    return Reached(target, *end(first), *end(held))


def accuracy_after(epochs: list[Epoch], seconds: float) -> float | None:
    """The accuracy after the last epoch that was over by then; None before the first."""
    done = [e.accuracy for e, at in zip(epochs, clock(epochs), strict=True) if at <= seconds]
    return done[-1] if done else None


def targets_of(result: TrialResult) -> tuple[float, ...]:
    """The accuracies that the run was asked to time."""
    given = result.run.started.config.get("target_accuracy") or DEFAULT_TARGETS
    return tuple(float(target) for target in given)


def epochs_to(curves: Iterable[list[Epoch]], target: float) -> int | None:
    """The epoch at whose end the median seed first was at `target`, rounded up; None if it never
    was."""
    firsts = [reached(curve, target).first_epoch for curve in curves]
    middle = (
        median(math.inf if first is None else first for first in firsts) if firsts else math.inf
    )
    return math.ceil(middle) if math.isfinite(middle) else None

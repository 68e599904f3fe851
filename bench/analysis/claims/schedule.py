"""In which order trials decide the most claims for each second: pure."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Step(Generic[K]):
    """Trials to run next, the claims that they decide, and the seconds that they take."""

    trials: frozenset[K]
    claims: tuple[str, ...]
    seconds: float


def schedule(
    needs: Mapping[str, frozenset[K]],
    seconds: Mapping[K, float],
    limit: float,
    done: frozenset[K] = frozenset(),
    step_seconds: float = 0.0,
) -> tuple[Step[K], ...]:
    """Steps that fit in a limit together, each the one that decides the most claims a second of all
    that are left: what one of the claims needs and is not `done`.

    Args:
        needs: the trials that decide each claim.
        seconds: what each trial takes.
        limit: seconds for all of them.
        done: trials that were run already.
        step_seconds: what each step takes besides its trials.
    """
    steps: list[Step[K]] = []
    left, undecided = limit, dict(needs)
    while undecided:
        candidates = []
        for trials in dict.fromkeys(needed - done for needed in undecided.values()):
            cost = sum(seconds[trial] for trial in trials) + (step_seconds if trials else 0.0)
            if cost <= left:
                served = tuple(c for c, needed in undecided.items() if needed <= done | trials)
                candidates.append(Step(trials, served, cost))
        if not candidates:
            break
        best = max(candidates, key=lambda step: (rate(step), -step.seconds))
        if best.trials:
            steps.append(best)
        left, done = left - best.seconds, done | best.trials
        undecided = {c: needed for c, needed in undecided.items() if c not in best.claims}
    return tuple(steps)


def rate(step: Step[K]) -> float:
    """Claims that a step decides for each second."""
    return len(step.claims) / step.seconds if step.seconds > 0 else float("inf")

"""Tuning under one budget: which points every contestant tries, what came of each, which is best.

Pure functions from options and records; what is chosen follows from the log alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.analysis.formatting import listed
from bench.analysis.intervals import Best, best_of
from bench.analysis.trial_group import trait_text
from bench.records.records import (
    Contestant,
    DatasetFacts,
    PointChosen,
    Setting,
    Trial,
    TuningDeclared,
)
from bench.records.run import Run, TrialResult
from bench.search_spaces import SEARCH_SPACES, Dimension
from bench.settings import decay_of, label_smoothing_of, space_of, warmup_of

POINTS_SEED = 0
"""The seed of the scrambled Sobol sequence."""

TRIAL_SEED = 1_000_000
"""The seed of all trials of points: none of those that `--seeds` gives to the others."""

LABELS = {
    "learning_rate": "learning rate",
    "weight_decay": "weight decay",
    "warmup": "warm-up",
    "label_smoothing": "label smoothing",
}
"""What tuning chooses, by its name in a setting, in words."""

CHOSEN = tuple(LABELS)

FAILED = 0.0
"""The validation accuracy of a point whose trial failed: no other is as bad."""


def declare(budget: int, names: Iterable[str], retrained_on: DatasetFacts) -> TuningDeclared:
    """The spaces of these names, and the same quasi-random points for all of them."""
    import numpy as np
    from scipy.stats import qmc

    spaces = {name: SEARCH_SPACES[name] for name in names}
    dimensions = max(map(len, spaces.values()))
    sobol = qmc.Sobol(dimensions, scramble=True, seed=np.random.default_rng(POINTS_SEED))
    # A whole power of two is drawn, for Sobol's balance; a shorter budget has its beginning.
    drawn = sobol.random_base2((budget - 1).bit_length())[:budget]
    points = tuple(tuple(map(float, point)) for point in drawn)
    return TuningDeclared(spaces, points, POINTS_SEED, TRIAL_SEED, retrained_on)


def space_in(declared: TuningDeclared, setting: Setting) -> tuple[Dimension, ...]:
    """The space that a setting is tuned in; older logs have one for each optimizer alone."""
    spaces = declared.spaces
    return spaces.get(space_of(setting)) or spaces[setting.optimizer]


def setting_at(default: Setting, space: Sequence[Dimension], point: Sequence[float]) -> Setting:
    """A contestant's setting at a point of the unit cube."""
    values: dict[str, Any] = {d.name: d.at(share) for d, share in zip(space, point, strict=True)}
    return replace(default, **values)


def tried(run: Run, contestant: Contestant) -> list[TrialResult]:
    """The trials of a contestant's points, in their order; not those that broke off."""
    points = [
        result
        for result in run.trials
        if result.trial.is_point and result.trial.contestant == contestant and result.ended
    ]
    return sorted(points, key=lambda result: point_of(result.trial))


def contestants(run: Run) -> list[Contestant]:
    """Everything that got a budget, in the order of the first point's trials."""
    trials = [result.trial for result in run.trials]
    points = sorted((t for t in trials if t.is_point), key=point_of)
    others = [trial for trial in trials if trial.tuning and not trial.is_point]
    return list(dict.fromkeys(trial.contestant for trial in (*points, *others)))


def point_of(trial: Trial) -> int:
    """The number of the point that a trial tries; 0 if it tries none."""
    return (trial.tuning.point or 0) if trial.tuning else 0


def accuracy_of(result: TrialResult) -> float:
    """The validation accuracy that a point is judged by: after the last epoch, `FAILED` where its
    trial failed."""
    if result.status != "done" or not result.epochs:
        return FAILED
    accuracy = result.epochs[-1].validation_accuracy
    return FAILED if accuracy is None else accuracy


def choose(run: Run, contestant: Contestant, declared: TuningDeclared) -> PointChosen:
    """The best point of those that a contestant tried; of equals the first."""
    results = tried(run, contestant)
    done = [result for result in results if result.status == "done"]
    counts = len(results), len(results) - len(done)
    best = max(done, key=accuracy_of, default=None)
    if best is None:
        return PointChosen(contestant, *counts, None, None, None, {})
    setting = best.trial.setting
    space = space_in(declared, setting)
    ends = {d.name: d.edge(getattr(setting, d.name)) for d in space}
    edges = {name: end for name, end in ends.items() if end is not None}
    point = point_of(best.trial)
    return PointChosen(contestant, *counts, point, setting, accuracy_of(best), edges)


def best_by_budget(run: Run, contestant: Contestant) -> list[Best]:
    """The best validation accuracy of k points, for k from 1 to as many as were tried."""
    results = tried(run, contestant)
    return best_of([accuracy_of(result) for result in results]) if results else []


def values_text(setting: Setting) -> str:
    """What tuning chose of a setting, in words that can be typed again: `lr 0.02, decay 0.0004`."""
    return ", ".join(trait_text(name, f"{value_of(setting, name):g}") for name in CHOSEN)


def value_of(setting: Setting, name: str) -> float:
    """What a setting has of one of `CHOSEN`."""
    own = {"weight_decay": decay_of, "warmup": warmup_of, "label_smoothing": label_smoothing_of}
    return own[name](setting) if name in own else setting.learning_rate


def edges_text(edges: Mapping[str, str]) -> str:
    """Which chosen values lie at an end of their range, as a clause; empty if none does."""
    ends = [f"{LABELS[name]} at the {end} end" for name, end in edges.items()]
    return f"at the edge of its space ({listed(ends)}): a wider one may hold better" if ends else ""


def declared_text(declared: TuningDeclared) -> str:
    """What will be tried, how it is judged, and what comes after."""
    count = len(declared.points)
    points = "1 point" if count == 1 else f"the same {count} points"
    return (
        f"tuning: {points} of its search space for every contestant, judged on the validation "
        f"images after the last epoch; then all {declared.retrained_on.train_images:,} training "
        "images, at the chosen point and with the default values"
    )

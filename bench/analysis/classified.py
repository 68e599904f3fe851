"""The answers of trained networks to the test images, from the logits that their runs kept."""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.analysis.classification import (
    Classification,
    classify,
    confused_with,
)
from bench.analysis.intervals import share_interval
from bench.errors import Refused
from bench.records.logits import read_logits
from bench.records.records import KeptLogits
from bench.records.run import Run, TrialResult

NOT_KEPT = "not kept"
"""Why a trial's logits are not there, if nothing is wrong."""


def classified(result: TrialResult) -> Classification | None:
    """What a trial's network answered; None if its logits are not there."""
    with suppress(Refused):
        return _answers(result)
    return None


def left_out(run: Run) -> dict[str, str]:
    """The trials that came to their end and whose logits are not there, by id, and why."""
    reasons = {}
    for result in run.trials:
        try:
            if result.status == "done" and not result.trial.is_point:
                _answers(result)
        except Refused as error:
            reasons[result.trial.id] = str(error)
    return reasons


def _answers(result: TrialResult) -> Classification:
    if result.logits is None:
        raise Refused(NOT_KEPT)
    if result.logits.classes != len(result.run.dataset.classes):
        raise Refused("of another number of classes")
    return _classified(result.run.path, result.logits)


def class_rows(result: TrialResult) -> list[dict[str, Any]]:
    """A row per class that has test images, as `classes.csv` has them; none without logits."""
    answers = classified(result)
    if answers is None:
        return []
    names, confusion = result.run.dataset.classes, answers.confusion
    tested = np.flatnonzero(confusion.sum(axis=1))
    images, right = confusion.sum(axis=1)[tested], confusion.diagonal()[tested]
    accuracies, (low, high) = right / images, share_interval(right, images)
    others = [confused_with(confusion, number) for number in tested.tolist()]
    return [
        {
            "class": names[number],
            "images": int(images[row]),
            "right": int(right[row]),
            "accuracy": float(accuracies[row]),
            "accuracy_low": float(low[row]),
            "accuracy_high": float(high[row]),
            "answered": int(confusion[:, number].sum()),
            "confused_with": None if other is None else names[other],
            "confused": 0 if other is None else int(confusion[number, other]),
        }
        for row, (number, other) in enumerate(zip(tested, others, strict=True))
    ]


@lru_cache(maxsize=1024)
def _classified(folder: Path, kept: KeptLogits) -> Classification:
    """Kept, for every table and section asks for it; a hash in `kept` says that it is the same."""
    return classify(*read_logits(folder, kept))

"""The answers of trained networks to the test images, from the logits that their runs kept."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.analysis.classification import (
    Classification,
    class_accuracies,
    classify,
    confused_with,
    wilson,
)
from bench.errors import Refused
from bench.records.logits import read_logits
from bench.records.records import KeptLogits
from bench.records.run import Run, TrialResult


def classified(result: TrialResult) -> Classification | None:
    """What a trial's network answered; None if its logits were not kept, or no longer are what they
    were."""
    try:
        return _classified(result.run.path, result.logits) if result.logits else None
    except Refused:
        return None


def left_out(run: Run) -> dict[str, str]:
    """The trials whose logits the log has and the run folder lacks, by id, and what is wrong."""
    reasons = {}
    for result in run.trials:
        try:
            if result.logits:
                _classified(run.path, result.logits)
        except Refused as error:
            reasons[result.trial.id] = str(error)
    return reasons


def class_rows(result: TrialResult) -> list[dict[str, Any]]:
    """A row per class that has test images, as `classes.csv` has them; none without logits."""
    answers = classified(result)
    if answers is None:
        return []
    names, confusion, rows = result.run.dataset.classes, answers.confusion, []
    for number, accuracy in enumerate(class_accuracies(confusion)):
        if images := int(confusion[number].sum()):
            right, other = int(confusion[number, number]), confused_with(confusion, number)
            low, high = wilson(right, images)
            rows.append(
                {
                    "class": names[number],
                    "images": images,
                    "right": right,
                    "accuracy": float(accuracy),
                    "accuracy_low": low,
                    "accuracy_high": high,
                    "answered": int(confusion[:, number].sum()),
                    "confused_with": None if other is None else names[other],
                    "confused": 0 if other is None else int(confusion[number, other]),
                }
            )
    return rows


@lru_cache(maxsize=1024)
def _classified(folder: Path, kept: KeptLogits) -> Classification:
    """Kept, for every table and section asks for it; a hash in `kept` says that it is the same."""
    return classify(*read_logits(folder, kept))

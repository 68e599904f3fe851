"""How optimistic the accuracy of a picked epoch is, measured.

Where every epoch was evaluated on the test images, that is how far the best of a trial's test
accuracies lies above its last. With validation images, it is how far the best validation accuracy
lies above the test accuracy, by which nothing was picked.
"""

from collections.abc import Callable, Iterator

from bench.analysis.formatting import MISSING, supported
from bench.analysis.intervals import Estimate, estimate
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import TrialGroup
from bench.report.context import Context
from bench.report.sections.base import Section, known_table, value
from bench.report.tables import Cell, Table

FINAL = "final_test_accuracy"
PICKED = {"test": "best_test_accuracy", "validation": "best_validation_accuracy"}
LAST = "final_validation_accuracy"


def excess(group: TrialGroup, name: str, over: str) -> Estimate | None:
    """By how much a metric exceeds another in the same trial, over the counted trials that have
    both; None if none has."""
    a, b = (BY_NAME[metric].value for metric in (name, over))
    pairs = [(a(trial), b(trial)) for trial in group.counted]
    known = [x - y for x, y in pairs if isinstance(x, float) and isinstance(y, float)]
    return estimate(known) if known else None


def optimism(group: TrialGroup) -> Estimate | None:
    """By how much the accuracy of the picked epoch exceeds the test accuracy after the last one;
    None where there was no choice, and without validation where there is but one seed."""
    if all(len(trial.epochs) < 2 for trial in group.counted):
        return None
    mean = excess(group, PICKED[group.evaluated_on], FINAL)
    return mean if mean and (group.evaluated_on == "validation" or mean.n > 1) else None


def _points(mean: Estimate | None, sign: str = "+") -> str:
    if mean is None:
        return MISSING
    half_width = (mean.half_width or 0.0) * 100
    decimals = supported(half_width, 1) if half_width else 1
    room = f" ± {half_width:.{decimals}f}" if half_width else ""
    return f"{mean.mean * 100:{sign}.{decimals}f}{room}"


def _finding(context: Context) -> str | None:
    measured = [(g, mean) for g in context.finished if (mean := optimism(g))]
    if not measured:
        return None
    group, mean = max(measured, key=lambda pair: pair[1].mean)
    above = mean.mean >= 0
    side, size = "above" if above else "below", _points(mean, "").removeprefix("-")
    most = f" (of all models, the {'most' if above else 'least'})" if len(measured) > 1 else ""
    best, final = (value(name, group.metric(name)) for name in (PICKED[group.evaluated_on], FINAL))
    return (
        f"Picked on the {group.evaluated_on} images, the best epoch of {group.label} has {best} "
        f"{group.evaluated_on} accuracy: {size} points {side} the test accuracy after the last "
        f"epoch, {final}{most}."
    )


def _tables(context: Context) -> Iterator[Table]:
    groups = [group for group in context.finished if optimism(group)]
    differences: dict[str, Callable[[TrialGroup], Estimate | None]] = {
        "Best epoch above test (points)": optimism
    }
    if context.run.dataset.evaluated_on == "validation":
        differences |= {
            "of it, best above last epoch": lambda g: excess(g, PICKED["validation"], LAST),
            "of it, last epoch above test": lambda g: excess(g, LAST, FINAL),
        }
    more = {name: [Cell(_points(of(g))) for g in groups] for name, of in differences.items()}
    yield known_table(groups, (*PICKED.values(), LAST, FINAL), more)


def _remarks(context: Context) -> tuple[str, ...]:
    if context.run.dataset.evaluated_on == "test":
        return (
            "Both are of the same test images, so that the difference is never negative. A part of "
            "it is luck: how large a part, only images can tell by which no epoch was picked "
            "(--validation keeps some for picking).",
        )
    return (
        "The best epoch above the last, both on validation images, is what picking alone brings. "
        "The rest is how validation images differ from test images, without any picking.",
        "The test accuracy of the picked epoch was not measured: each trial was tested once, after "
        "its last epoch.",
        "Every seed has the same validation images: the chance in choosing them is in no interval.",
    )


SECTIONS = (
    Section(
        25,
        "picked-epochs",
        "How much picking an epoch flatters",
        _finding,
        _tables,
        remarks=_remarks,
    ),
)

"""Whether trials end where their recipe is known to, on the same images."""

from collections import Counter

from bench.analysis.expected import Expected
from bench.analysis.formatting import MISSING, listed
from bench.report.context import Context
from bench.report.sections.base import Section
from bench.report.tables import Table, table_of


def _missed(one: Expected) -> str:
    """What was expected, what came, and why that may be."""
    return f"{one.group.label} misses its reference, {one.text}."


def missed_sentences(context: Context) -> list[str]:
    """A sentence for each group that misses its reference and that the run has no other for: a
    setting that a run varies on purpose is no news."""
    beside = Counter(one.reference for one in context.expected)
    return [
        _missed(one)
        for one in context.expected
        if one.missed and (not one.differences or beside[one.reference] == 1)
    ]


def _finding(context: Context) -> str | None:
    found = context.expected
    missed = [one for one in found if one.missed]
    if missed:
        return " ".join(map(_missed, missed))
    if len(found) == 1:
        one = found[0]
        return f"{one.group.label} ends inside the interval that its reference sets: {one.text}."
    if not found:
        return None
    widest = max(found, key=lambda one: one.interval[1] - one.interval[0])
    return (
        f"All {len(found)} groups that have a reference end inside the interval that it sets; the "
        f"widest is that of {widest.group.label}: {widest.text}."
    )


def _tables(context: Context) -> tuple[Table, ...]:
    found = context.expected
    figures = [one.percentages for one in found]
    columns: dict[str, list[str]] = {
        "Model": [one.group.label for one in found],
        "Expected (%)": [f"{low} to {high}" for low, high, _ in figures],
        "Test accuracy, last epoch (%)": [got for *_, got in figures],
        "Seeds": [str(one.seeds) for one in found],
        "Verdict": [one.expectation.verdict for one in found],
        "Differences": [listed(one.differences) or MISSING for one in found],
        "Reference (measured)": [_measured(one) for one in found],
    }
    return (table_of(columns, prose=True, source="reference.csv"),)


def _measured(one: Expected) -> str:
    known = one.reference
    return (
        f"{100 * known.mean:.1f} %, {known.seeds} seeds, {known.data}, {known.device}, "
        f"torch {known.torch}, {known.date}"
    )


SECTIONS = (
    Section(
        21,
        "reference",
        "Accuracy beside references",
        _finding,
        _tables,
        remarks=lambda context: (
            "A reference is what this project measured with the same recipe, model, images, image "
            "size, epochs and batch size. The mean of as many seeds as here falls in the expected "
            "interval in 95 of 100 cases (a prediction interval, Student's t), so that one row in "
            "twenty misses by chance; it is wide where the reference has few seeds.",
        ),
    ),
)

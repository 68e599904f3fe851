"""Tables of text: what the terminal and the pages show.

The best value of a column is marked; a column has as many digits as its metric can carry; with
several seeds a cell is a mean and the half-width of its 95 % confidence interval.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.formatting import MISSING, display_of, header_of, quantity, supported
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import TrialGroup, setting_text
from bench.records.records import HeldOut, Predicted, PredictedSpeed
from bench.records.run import TrialResult


@dataclass(frozen=True)
class Cell:
    """One cell as text; `best` if no other row has a better value; `more` are lines that a page
    folds below it."""

    text: str
    best: bool = False
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Headers (units included) and rows of cells, the first of which names the row; `prose` if
    cells hold sentences; `source` is the CSV file of the run folder that has the same figures;
    `turned` if a row is a metric and a column a model."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    prose: bool = False
    title: str = ""
    source: str = ""
    turned: bool = False


Cells = Mapping[str, Sequence[Cell]]
"""Columns of cells by their header."""

HEADLINE = (
    *("params", "params_imagenet", "gmacs", "max_batch", "batch_size"),
    *("epoch_seconds", "test_seconds", "total_seconds", "images_per_second"),
    *("peak_memory_bytes", "final_test_accuracy"),
)
BEST: dict[HeldOut, tuple[str, ...]] = {
    "test": ("best_test_accuracy",),
    "validation": ("final_validation_accuracy", "best_validation_accuracy"),
}
"""Further columns, by the images that epochs were evaluated on."""


def table_of(
    columns: Mapping[str, Sequence[Cell | str]],
    *,
    prose: bool = False,
    title: str = "",
    source: str = "",
) -> Table:
    """Columns by their header, of equal length; plain text is a cell that is not the best."""
    cells = [[Cell(c) if isinstance(c, str) else c for c in column] for column in columns.values()]
    return Table(tuple(columns), tuple(zip(*cells, strict=True)), prose, title, source)


def text_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table of rows of plain text."""
    return Table(tuple(headers), tuple(tuple(map(Cell, row)) for row in rows))


def headline(groups: Sequence[TrialGroup]) -> Table:
    """The comparison: a row per group, its status where it is not done."""
    on: HeldOut = groups[0].trials[0].dataset.evaluated_on if groups else "test"
    best = known(groups, BEST[on]) if any(group.trained for group in groups) else BEST[on]
    return metric_table(groups, (*HEADLINE, *best), predicted(groups))


def picked(groups: Sequence[TrialGroup]) -> str:
    """The footnote of a best epoch: which images it was picked on; empty where none could be."""
    on: HeldOut = groups[0].trials[0].dataset.evaluated_on if groups else "test"
    if any(group.trained and not group.evaluated for group in groups):
        return ""
    if on == "test":
        images, instead = "the test set", "the last epoch's is the one to compare"
    else:
        images = "the validation images"
        instead = "the test accuracy, measured once after the last epoch, is the one to compare"
    return f"¹ picked on {images}, so an optimistic figure; {instead}."


def metric_table(
    groups: Sequence[TrialGroup], names: Iterable[str], more: Cells | None = None
) -> Table:
    """A row per group, a column per metric, and `more` columns."""
    columns = {header_of(name): _column(name, groups) for name in names}
    labels = [group.label + _unfinished(group.trials) for group in groups]
    return table_of({"Model": labels, **columns, **(more or {})}, source="models.csv")


def known(groups: Sequence[TrialGroup], names: Iterable[str]) -> list[str]:
    """Those metrics that any group has a figure for."""
    return [name for name in names if any(group.metric(name) for group in groups)]


def predicted(groups: Sequence[TrialGroup]) -> dict[str, list[Cell]]:
    """A column per card: the largest batch predicted for it, with its range."""
    cards = dict.fromkeys(p.card for g in groups for p in g.trials[0].run.all_predictions)
    return {
        f"Largest batch on {card} (predicted)": [
            Cell(prediction_text(g.trials[0].predicted(card))) for g in groups
        ]
        for card in cards
    }


def prediction_text(prediction: Predicted | None) -> str:
    """A predicted batch size with its range; `≥` if all training images fit at once."""
    if prediction is None:
        return MISSING
    low, high = prediction.max_batch_low, prediction.max_batch_high
    if low == high:
        return f"≥ {prediction.max_batch:,}"
    return f"{prediction.max_batch:,} ({low:,}–{high:,})"


def speed_table(predictions: Sequence[Predicted]) -> Table:
    """A row per predicted speed: at the largest batch of each card, and at others that were asked
    for. Without rows if there is no figure."""
    made = [(p, speed) for p in predictions for speed in p.speeds]
    columns = {
        "Model": [p.model for p, _ in made],
        "Setting": [setting_text(p.setting) for p, _ in made],
        "Card": [p.card for p, _ in made],
        "Batch size (images)": [f"{speed.batch_size:,}" for _, speed in made],
        "Images/s (predicted)": [speed_text(speed) for _, speed in made],
        "Step (ms, predicted)": [rounded(1e3 * speed.step_seconds) for _, speed in made],
    }
    epochs = [speed.epoch_seconds for _, speed in made]
    if any(epochs):
        columns["Epoch (s, predicted)"] = [MISSING if e is None else rounded(e) for e in epochs]
    columns["Limited by"] = [speed.limit for _, speed in made]
    return table_of(columns, source="predictions.csv")


def speed_text(speed: PredictedSpeed) -> str:
    """Images a second with their range."""
    low, high = map(rounded, speed.images_per_second_range)
    return f"{rounded(speed.images_per_second)} ({low}–{high})"


def rounded(value: float) -> str:
    """Two digits of a small value, and no more than three of any: a prediction knows no more."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 10 else f"{value:.2g}"


def _unfinished(trials: Sequence[TrialResult]) -> str:
    """What to say beside a model whose trials are not all done."""
    bad = Counter(t.status for t in trials if t.went_wrong or t.status == "unfinished")
    if len(bad) > 1:
        counts = ", ".join(f"{count} {status}" for status, count in bad.items())
        return f" ({counts} of {len(trials)})"
    if not bad:
        return ""
    ((status, count),) = bad.items()
    return f" ({status})" if count == len(trials) else f" ({count} of {len(trials)} {status})"


def _column(name: str, groups: Sequence[TrialGroup]) -> list[Cell]:
    better, display = BY_NAME[name].better, display_of(name)
    estimates = [group.metric(name) for group in groups]
    # The same digits in every row: those that the widest interval supports.
    widest = max((e.half_width or 0 for e in estimates if e), default=0) * display.scale
    decimals = supported(widest, display.decimals) if widest else display.decimals
    # What broke off early has not earned a best time.
    means = [e.mean for e, g in zip(estimates, groups, strict=True) if e and g.finished]
    best = None
    if better and len(set(means)) > 1:
        best = (max if better == "higher" else min)(means)
    return [
        Cell(MISSING)
        if e is None
        else Cell(
            quantity(e.mean, e.half_width, display, decimals),
            g.finished and e.mean == best,
        )
        for e, g in zip(estimates, groups, strict=True)
    ]


def transposed(table: Table) -> Table:
    """The same table on its side: a row per column, for narrow places."""
    first, *metrics = table.headers
    headers = (first, *(row[0].text for row in table.rows))
    rows = tuple(
        (Cell(header), *(row[i] for row in table.rows)) for i, header in enumerate(metrics, 1)
    )
    return Table(headers, rows, table.prose, table.title, table.source, not table.turned)

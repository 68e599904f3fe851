"""The comparison as a table of text: what the terminal and the pages show.

The best value of a column is marked; a column has as many digits as its metric can carry; with
several seeds a cell is a mean and the half-width of its 95 % confidence interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.analysis.formatting import MISSING, supported
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import Series
from bench.records.records import Predicted
from bench.records.run import TrialResult


@dataclass(frozen=True)
class Column:
    """A column of a table: a metric in a unit that people read, with so many decimals where no
    interval says how many it can carry."""

    header: str
    metric: str
    decimals: int
    scale: float = 1.0


@dataclass(frozen=True)
class Cell:
    """One cell as text; `best` if no other row has a better value."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Headers (units included) and rows of cells, the first of which names the row."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


HEADLINE = (
    Column("Parameters (10⁶)", "params", 2, 1e-6),
    Column("as it comes (10⁶)", "params_imagenet", 2, 1e-6),
    Column("GMACs/image", "gmacs", 3),
    Column("Largest batch", "max_batch", 0),
    Column("Batch", "batch_size", 0),
    Column("Epoch (s)", "epoch_seconds", 1),
    Column("Evaluation (s)", "test_seconds", 1),
    Column("All epochs (s)", "total_seconds", 0),
    Column("Images/s", "images_per_second", 0),
    Column("Peak memory (MiB)", "peak_memory_bytes", 0, 2**-20),
    Column("Test accuracy, last epoch (%)", "final_test_accuracy", 1, 100),
    Column("best epoch¹ (%)", "best_test_accuracy", 1, 100),
)


def headline(found: Sequence[Series]) -> Table:
    """The comparison: a row per series, its status where it is not done."""
    return comparison(found, HEADLINE, predicted(found))


def comparison(
    found: Sequence[Series], columns: Sequence[Column], more: Mapping[str, list[Cell]] | None = None
) -> Table:
    """A row per series, a column per metric, and `more` columns of cells by their header."""
    cells = {column.header: _column(column, found) for column in columns} | dict(more or {})
    names = [Cell(s.label + _unfinished(s.trials)) for s in found]
    rows = tuple((name, *(column[i] for column in cells.values())) for i, name in enumerate(names))
    return Table(("Model", *cells), rows)


def known_columns(found: Sequence[Series], columns: Sequence[Column]) -> tuple[Column, ...]:
    """Those columns that any series has a figure for."""
    return tuple(c for c in columns if any(one.metric(c.metric) for one in found))


def predicted(found: Sequence[Series]) -> dict[str, list[Cell]]:
    """A column per card: the largest batch predicted for it, with its range."""
    cards = dict.fromkeys(p.card for s in found for p in s.trials[0].run.all_predictions)
    return {
        f"Largest batch on {card} (predicted)": [
            Cell(prediction_text(s.trials[0].predicted(card))) for s in found
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


def _unfinished(trials: Sequence[TrialResult]) -> str:
    """What to say beside a model whose trials are not all done."""
    bad = [t.status for t in trials if t.status != "done"]
    if not bad:
        return ""
    return f" ({bad[0]})" if len(bad) == len(trials) else f" ({len(bad)} of {len(trials)} {bad[0]})"


def _column(column: Column, found: Sequence[Series]) -> list[Cell]:
    better = BY_NAME[column.metric].better
    estimates = [s.metric(column.metric) for s in found]
    column = _with_digits(column, [e.half_width for e in estimates if e and e.half_width])
    # What broke off early has not earned a best time.
    finished = [any(t.status == "done" for t in s.trials) for s in found]
    means = [e.mean for e, done in zip(estimates, finished, strict=True) if e is not None and done]
    best = None
    if better and len(set(means)) > 1:
        best = (max if better == "higher" else min)(means)
    return [
        Cell(MISSING)
        if e is None
        else Cell(cell_text(e.mean, e.half_width, column), done and e.mean == best)
        for e, done in zip(estimates, finished, strict=True)
    ]


def _with_digits(column: Column, half_widths: Sequence[float]) -> Column:
    """The column with the decimals that its widest interval supports, the same in every row."""
    if not half_widths:
        return column
    widest = max(half_widths) * column.scale
    return replace(column, decimals=supported(widest, column.decimals))


def cell_text(mean: float, half_width: float | None, column: Column) -> str:
    """A mean in the column's unit, with the half-width of its interval if there is one."""
    text = f"{mean * column.scale:,.{column.decimals}f}"
    if not half_width:
        return text
    return f"{text} ± {half_width * column.scale:,.{column.decimals}f}"


def transposed(table: Table) -> Table:
    """The same table on its side: a row per column, for narrow places."""
    first, *metrics = table.headers
    headers = (first, *(row[0].text for row in table.rows))
    rows = tuple(
        (Cell(header), *(row[i] for row in table.rows)) for i, header in enumerate(metrics, 1)
    )
    return Table(headers, rows)


def markdown(table: Table) -> str:
    """The table in GitHub's Markdown, best values bold."""
    lines = [_line(table.headers), _line(["---", *["---:"] * (len(table.headers) - 1)])]
    lines += [_line([f"**{c.text}**" if c.best else c.text for c in row]) for row in table.rows]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    """Text on one line that neither ends its cell nor begins a tag."""
    flat = " ".join(text.split())
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")

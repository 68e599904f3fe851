"""The lecture's own figures, quoted, to be put beside what was measured here.

From *residual networks hands-on*: `results/reference/lecture.csv`. They are published figures, from
another machine: nothing here mixes them with measurements.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from bench.metrics import BY_NAME
from bench.report.series import Series
from bench.report.tables import MISSING, Cell, Column, Table, cell_text

_PLACES = (
    Path(__file__).parents[2] / "results" / "reference" / "lecture.csv",
    Path(__file__).parent / "reference" / "lecture.csv",
)


@dataclass(frozen=True)
class Quoted:
    """One figure of the lecture: `value` in the metric's own unit, and the words it came in."""

    model: str
    metric: str
    value: float
    quote: str


def quoted_figures() -> list[Quoted]:
    """The lecture's figures, in the order of the file."""
    path = next(place for place in _PLACES if place.is_file())
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [Quoted(r["model"], r["metric"], float(r["value"]), r["quote"]) for r in rows]


def beside(found: list[Series]) -> Table:
    """A row per figure of the lecture, with what was measured here for that model, if anything."""
    rows = []
    for quoted in quoted_figures():
        column = _column(quoted.metric)
        here = [s for s in found if s.model == quoted.model]
        measured = "; ".join(_measured(one, column, several=len(here) > 1) for one in here)
        texts = (
            f"{quoted.model}: {column.header}",
            cell_text(quoted.value, None, column),
            measured or "not run",
            quoted.quote,
        )
        rows.append(tuple(Cell(text) for text in texts))
    headers = ("Figure", "Lecture (published)", "Here (measured)", "In the lecture's words")
    return Table(headers, tuple(rows))


def _column(metric: str) -> Column:
    known = BY_NAME[metric]
    decimals, scale, unit = {
        "fraction": (1, 100.0, " (%)"),
        "s": (1, 1.0, " (s)"),
    }.get(known.unit, (0, 1.0, ""))
    return Column(known.label + unit, metric, decimals, scale)


def _measured(one: Series, column: Column, several: bool) -> str:
    found = one.metric(column.metric)
    text = MISSING if found is None else cell_text(found.mean, found.half_width, column)
    return f"{one.label} {text}" if several else text

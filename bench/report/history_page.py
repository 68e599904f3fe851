"""`history.html`: one file that needs nothing else, with its pictures beside it."""

from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

from bench.analysis.formatting import header_of, sentence
from bench.records.files import write_atomic
from bench.report.document import Page
from bench.report.history import (
    History,
    answer,
    as_json,
    changes_table,
    notes,
    runs_table,
    series_table,
)
from bench.report.history_pictures import CAPTION, history_figure
from bench.report.render.html import html_page
from bench.report.sections.base import Answer, Picture, drawn
from bench.units import counted

PAGE, VALUES = "history.html", "history.json"

CHANGES_REMARK = (
    "A change is looked for among points under the same conditions, and confirmed where it is "
    "beyond chance: in a history of 50 points in which nothing happens, one is found in at most "
    "5 % of cases. Its size and place are those that fit all that is known now. Scaled is what is "
    "left of it on a machine whose fixed matrix product runs as fast as it did at the first point."
)


def write_history(history: History, folder: Path) -> None:
    """Replace page, pictures and values in a folder; raises BenchError if that fails. The values
    come last: they are what the next history takes for reported."""
    answers = tuple(_answers(history))
    models = ", ".join(dict.fromkeys(one.model for one in history.series))
    page = Page(f"history of {models}", _facts(history), tuple(notes(history)), answers)
    write_atomic(folder / PAGE, html_page(page, drawn(answers, folder / "plots")))
    write_atomic(folder / VALUES, as_json(history))


def _answers(history: History) -> Iterator[Answer]:
    changes = tuple(table for table in [changes_table(history, history.changes)] if table.rows)
    found = " ".join(answer(history))
    yield Answer("changes", "Changes", found, (), changes, (CHANGES_REMARK,))
    by_metric = sorted(history.series, key=lambda one: one.metric.name)
    for name, group in groupby(by_metric, key=lambda one: one.metric.name):
        series = list(group)
        label, scalable = series[0].metric.label, [one for one in series if one.scalable]
        draw = partial(history_figure, history)
        pictures = [
            Picture(
                *(name, f"{label} over time", sentence(CAPTION)),
                partial(draw, series, scaled=False),
            )
        ]
        if scalable:
            scaled = partial(draw, scalable, scaled=True)
            pictures.append(
                Picture(f"{name}-scaled", f"{label} over time, scaled", sentence(CAPTION), scaled)
            )
        finding = sentence(f"{header_of(name)}, a line per model")
        yield Answer(name, label, finding, tuple(pictures), (series_table(history, series),))
    remark = f"All figures are in {VALUES}."
    count = sum(len(moment.runs) for moment in history.moments)
    said = f"{counted(count, 'run')}, in order."
    yield Answer("runs", "Runs", said, (), (runs_table(history),), (remark,))


def _facts(history: History) -> tuple[tuple[str, str], ...]:
    runs = [run for moment in history.moments for run in moment.runs]
    devices = dict.fromkeys(run.conditions["device"] for run in runs)
    first, *_, last = sorted(run.started_at for run in (runs[0], *runs))
    return (
        ("Runs", str(len(runs))),
        ("From", f"{first:%Y-%m-%d %H:%M}"),
        ("To", f"{last:%Y-%m-%d %H:%M}"),
        ("Devices" if len(devices) > 1 else "Device", ", ".join(devices)),
    )

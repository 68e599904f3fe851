"""`history.html`: one file that needs nothing else, with its pictures beside it."""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from bench.analysis.formatting import sentence
from bench.records.files import write_atomic
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
from bench.report.render.html import render_page
from bench.report.style import saved_in_parallel
from bench.report.tables import Table

PAGE, VALUES = "history.html", "history.json"


@dataclass(frozen=True)
class _Section:
    """A metric of the page: its pictures by file name, and a row per series."""

    name: str
    title: str
    pictures: tuple[str, ...]
    table: Table


def write_history(history: History, folder: Path) -> None:
    """Replace page, pictures and values in a folder; raises BenchError if that fails. The values
    come last: they are what the next history takes for reported."""
    sections, plots = [], folder / "plots"
    with saved_in_parallel() as save:
        by_metric = sorted(history.series, key=lambda one: one.metric.name)
        for name, group in groupby(by_metric, key=lambda one: one.metric.name):
            series = list(group)
            pictures = [name]
            save(history_figure(history, series, scaled=False), plots / name)
            if scalable := [one for one in series if one.scalable]:
                pictures.append(f"{name}-scaled")
                save(history_figure(history, scalable, scaled=True), plots / pictures[-1])
            title, table = series[0].metric.label, series_table(history, series)
            sections.append(_Section(name, title, tuple(pictures), table))
    files = [picture for section in sections for picture in section.pictures]
    page = render_page(
        "history.html.jinja",
        {name: (plots / f"{name}.svg").read_text("utf-8") for name in files},
        models=", ".join(dict.fromkeys(one.model for one in history.series)),
        facts=_facts(history),
        notes=notes(history),
        answer=answer(history),
        changes=changes_table(history, history.changes),
        sections=sections,
        caption=sentence(CAPTION),
        runs=runs_table(history),
    )
    write_atomic(folder / PAGE, page)
    write_atomic(folder / VALUES, as_json(history))


def _facts(history: History) -> list[tuple[str, str]]:
    runs = [run for moment in history.moments for run in moment.runs]
    devices = dict.fromkeys(run.conditions["device"] for run in runs)
    first, *_, last = sorted(run.started_at for run in (runs[0], *runs))
    return [
        ("Runs", str(len(runs))),
        ("From", f"{first:%Y-%m-%d %H:%M}"),
        ("To", f"{last:%Y-%m-%d %H:%M}"),
        ("Devices" if len(devices) > 1 else "Device", ", ".join(devices)),
    ]

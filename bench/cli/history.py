"""The verb `history`: many runs over time, and where they changed."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta
from tyro.conf import Positional

from bench.analysis.compare.pairwise import USUAL
from bench.analysis.compare.thresholds import find_metric, parse_margins
from bench.analysis.history.news import Reported
from bench.analysis.metrics import Metric
from bench.cli.compare import REGRESSED, Margin
from bench.cli.console import open_console, print_path, rich_table
from bench.cli.main import visible
from bench.cli.parsing import parse
from bench.config import Name
from bench.errors import Refused
from bench.options import Folder, Help
from bench.records.files import read_text
from bench.records.run_folder import check_output
from bench.report import history as texts

LARGEST_FILE = 500_000_000
"""Bytes of values of an earlier history."""


@dataclass(frozen=True)
class HistoryOptions:
    """Runs over time: a line per model and metric, and where it changed beyond chance.

    Exit code 0; 2 if no run can be used; 3 if a metric got worse, once: with --output, if its
    history.json does not have the regression yet, else if the newest run confirmed it.

    Raises:
        Refused: an option has a value that cannot work; the message says which and what would.
    """

    runs: Annotated[Positional[tuple[Path, ...]], Meta(title="RUNS")]
    """Run folders, or folders full of them."""

    metric: Annotated[tuple[Name, ...], Help(default=" ".join(USUAL))] = ()
    """Columns of models.csv to follow."""

    same_within: Annotated[tuple[Margin, ...], Help(default="5% 1pt")] = ()
    """What counts as the same: a share of times, throughput and sizes; points of accuracy."""

    pool: bool = False
    """Make one point of the runs of a commit; as with every point, of those under the same
    conditions. Several runs of each commit find changes much sooner."""

    format: Literal["table", "json"] = "table"
    """What goes to standard output; json is that and nothing else."""

    output: Folder | None = None
    """A folder for page, pictures and history.json, which remembers what was reported; that of an
    earlier history, or a new one."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not self.runs:
            raise Refused("history needs RUNS: run folders, or folders full of them.")
        parse_margins(self.same_within)
        _ = self.metrics

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of --metric, or the usual ones."""
        return [find_metric(name, "--metric") for name in dict.fromkeys(self.metric or USUAL)]


def main(arguments: Sequence[str], prog: str) -> int:
    """Read, look for changes, show and write; 3 if a regression is new, else 0. Raises Refused if
    no run can be used, or a file cannot be written."""
    options = parse(HistoryOptions, arguments, prog)
    from bench.analysis.history.changes import check_library

    check_library()
    history = _history(options, _known(options.output))
    _show(history, options)
    if options.output is not None:
        from bench.report.history_page import PAGE, write_history

        write_history(history, options.output)
        if options.format == "table":
            print_path(open_console(), "page", options.output / PAGE)
    for sentence in history.regressions:
        print(f"archbench: new regression: {sentence}", file=sys.stderr)
    return REGRESSED if history.regressions else 0


def _known(folder: Path | None) -> tuple[Reported, ...] | None:
    """What was reported before; None where nothing is remembered."""
    if folder is None:
        return None
    values = folder / "history.json"
    if not values.is_file():
        from bench.report.history_page import PAGE

        # The page is written before the values: with it alone, an earlier history broke off.
        if not (folder / PAGE).is_file():
            check_output(folder)
        return ()
    return texts.reported_in(read_text(values, LARGEST_FILE, str(values)), str(values))


def _history(options: HistoryOptions, known: tuple[Reported, ...] | None) -> texts.History:
    from bench.analysis.history.changes import changes_of
    from bench.analysis.history.news import news
    from bench.analysis.history.runs import read_runs
    from bench.analysis.history.series import moments_of, series_of

    runs, unusable = read_runs(options.runs, options.metrics)
    moments = moments_of(runs, pooled=options.pool)
    series = series_of(moments, options.metrics)
    missing = [m.name for m in options.metrics if m not in {one.metric for one in series}]
    if options.metric and missing:
        raise Refused(f"--metric {missing[0]} is not known of any run.")
    changes = changes_of(series, parse_margins(options.same_within))
    new = news(changes, moments, known)
    return texts.History(
        tuple(moments), tuple(unusable), tuple(series), tuple(changes), tuple(new), known or ()
    )


def _show(history: texts.History, options: HistoryOptions) -> None:
    if options.format == "json":
        print(texts.as_json(history), end="")
        return
    console = open_console()
    console.print(rich_table(texts.series_table(history, history.series)))
    for one in history.unusable:
        said = visible(f"! {one.name}: {one.reason}")
        console.print(said, markup=False, highlight=False, style="yellow")
    for sentence in texts.answer(history):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    for note in texts.notes(history):
        console.print(f"! {note}", markup=False, highlight=False, style="yellow")

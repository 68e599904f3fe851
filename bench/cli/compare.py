"""The verb `compare`, from its options to what is printed, written and returned."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.compare.pairwise import compare, side_notes
from bench.analysis.compare.ranking import rank_side
from bench.analysis.compare.side import read_side
from bench.cli.compare_options import CompareOptions
from bench.cli.console import open_console, print_path, rich_table
from bench.records.run_folder import check_output, write_atomic
from bench.report.comparison import (
    ComparisonReport,
    as_csv,
    as_json,
    as_markdown,
    broken,
    comparison_report,
    ranking_report,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REGRESSED = 3
"""The exit code where a bound is broken."""


@dataclass(frozen=True)
class Outcome:
    """What came of a comparison: words and figures, the picture to be drawn of it, and a sentence
    for each bound that is broken."""

    report: ComparisonReport
    draw: "Callable[[], Figure]"
    broken: tuple[str, ...] = ()


def run_comparison(options: CompareOptions) -> int:
    """Compare, show and write; 3 if a bound is broken, else 0.

    Raises:
        Refused: what was given cannot be compared, or written to.
    """
    if options.output is not None:
        check_output(options.output)
    outcome = _between(options, options.run_b) if options.run_b else _within(options)
    _show(outcome, options)
    if options.plot is not None:
        from bench.report.style import save_as

        save_as(outcome.draw(), options.plot)
    if options.output is not None:
        _write(outcome, options.output)
        if options.format == "table":
            print_path(open_console(), "written", options.output)
    for sentence in outcome.broken:
        print(f"archbench: {sentence}", file=sys.stderr)
    return REGRESSED if outcome.broken else 0


def _between(options: CompareOptions, run_b: Path) -> Outcome:
    a, b = (read_side(path).only(options.models) for path in (options.run_a, run_b))
    found = compare(
        a,
        b,
        options.chosen_metrics,
        across=options.across,
        margins=options.margins,
        wanted=[metric.name for metric in options.wanted],
    )

    def draw() -> "Figure":
        from bench.report.forest import comparison_figure

        return comparison_figure(found)

    return Outcome(comparison_report(found), draw, tuple(broken(found, options.bounds)))


def _within(options: CompareOptions) -> Outcome:
    side = read_side(options.run_a).only(options.models)
    rankings = rank_side(
        side,
        options.chosen_metrics,
        across=options.across,
        margins=options.margins,
        wanted=[metric.name for metric in options.wanted],
    )

    def draw() -> "Figure":
        from bench.report.forest import ranking_figure

        return ranking_figure(rankings, name=side.name)

    return Outcome(ranking_report(side.name, rankings, side_notes(side)), draw)


def _show(outcome: Outcome, options: CompareOptions) -> None:
    report = outcome.report
    match options.format:
        case "table":
            console = open_console()
            for name, path in report.sides.items():
                print_path(console, name.upper(), path)
            for table in report.tables:
                console.print(rich_table(table))
            console.print(" ".join(report.answer), markup=False, highlight=False)
            for note in report.notes:
                console.print(f"! {note}", markup=False, highlight=False, style="yellow")
        case "csv":
            print(as_csv(report), end="")
            # A reader of the rows alone must not miss what is said of them.
            for sentence in (*report.answer, *report.notes):
                print(sentence, file=sys.stderr)
        case "markdown":
            print(as_markdown(report), end="")
        case "json":
            print(as_json(report, {"broken": outcome.broken}), end="")


def _write(outcome: Outcome, folder: Path) -> None:
    from bench.report.style import save

    report = outcome.report
    write_atomic(folder / "compare.csv", as_csv(report))
    write_atomic(folder / "compare.json", as_json(report, {"broken": outcome.broken}))
    write_atomic(folder / "compare.md", as_markdown(report))
    save(outcome.draw(), folder / "compare")

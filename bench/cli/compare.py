"""The verb `compare`, from its options to what is printed, written and returned."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta
from tyro.conf import Positional, UseAppendAction

from bench.analysis.compare.matching import Across
from bench.analysis.compare.pairwise import USUAL, compare, side_notes
from bench.analysis.compare.ranking import rank_side
from bench.analysis.compare.side import read_side
from bench.analysis.compare.thresholds import Bound, find_metric, parse_bound, parse_margins
from bench.analysis.compare.verdicts import Margins
from bench.analysis.metrics import Metric
from bench.cli.console import open_console, print_path, rich_table
from bench.cli.parsing import parse
from bench.config import Name
from bench.errors import Refused
from bench.options import Folder, Help
from bench.records.files import write_atomic
from bench.records.run_folder import check_output
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

Format = Literal["table", "csv", "markdown", "json"]
PICTURES = (".png", ".svg")
Margin = Annotated[str, Meta(title="5%|1pt")]


@dataclass(frozen=True)
class CompareOptions:
    """Which should I use, and how sure is that? Two runs against each other, or the models of one.

    Exit code 0; 2 if they cannot be compared; 3 if a bound of --fail-on is broken, and not by
    chance.

    Raises:
        Refused: an option has a value that cannot work; the message says which and what would.
    """

    run_a: Annotated[Positional[Path], Meta(title="RUN_A")]
    """A run folder, or a models.csv."""

    run_b: Annotated[Positional[Path | None], Meta(title="RUN_B")] = None
    """Another one, to compare with it. Without it, the models of RUN_A are ranked."""

    metrics: Annotated[tuple[Name, ...], Help(default=" ".join(USUAL))] = ()
    """Columns of models.csv to compare in."""

    models: Annotated[tuple[Name, ...], Help(default="all")] = ()
    """Compare only these models; names or wildcards."""

    across: tuple[Annotated[Across, Meta(title="WHAT")], ...] = ()
    """Compare although these differ: dataset, preset, device, precision, image_size, epochs,
    augment, pretrained, channels_last, model, optimizer, learning_rate, batch_size. Every line then
    says so."""

    same_within: Annotated[tuple[Margin, ...], Help(default="5% 1pt")] = ()
    """What counts as the same: a share of times, throughput and sizes; points of accuracy."""

    fail_on: UseAppendAction[tuple[Annotated[str, Meta(title="METRIC:BOUND")], ...]] = ()
    """Exit with code 3 if a metric of B is worse than A's by more than this, beyond chance:
    'images_per_second:-5%', 'test_accuracy:-1pt', 'peak_memory_bytes:+10%'."""

    format: Format = "table"
    """What goes to standard output; csv and json are that and nothing else."""

    plot: Annotated[Path, Meta(title="FILE.png|FILE.svg")] | None = None
    """Draw the comparison: each difference with its interval."""

    output: Folder | None = None
    """A new folder for table (CSV, JSON, Markdown) and picture."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        _ = self.margins, self.chosen_metrics
        if self.run_b is None and self.fail_on:
            raise Refused("--fail-on needs two runs: the second is judged by the first.")
        if self.plot is not None:
            _check_plot(self.plot)

    @property
    def margins(self) -> Margins:
        """What counts as the same."""
        return parse_margins(self.same_within)

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """How much worse each metric may get."""
        return tuple(parse_bound(text) for text in self.fail_on)

    @property
    def wanted(self) -> tuple[Metric, ...]:
        """The metrics that were asked for by name, each once."""
        named = [find_metric(name, "--metrics") for name in self.metrics]
        return tuple(dict.fromkeys([*named, *(bound.metric for bound in self.bounds)]))

    @property
    def chosen_metrics(self) -> tuple[Metric, ...]:
        """The metrics to compare in: those of --metrics, else the usual ones, and those of
        --fail-on."""
        usual = () if self.metrics else [find_metric(name, "--metrics") for name in USUAL]
        return tuple(dict.fromkeys([*usual, *self.wanted]))


@dataclass(frozen=True)
class Outcome:
    """What came of a comparison: words and figures, the picture to be drawn of it, and a sentence
    for each bound that is broken."""

    report: ComparisonReport
    draw: "Callable[[], Figure]"
    broken: tuple[str, ...] = ()


def main(arguments: Sequence[str], prog: str) -> int:
    """Compare, show and write; 3 if a bound is broken, else 0.

    Raises:
        Refused: the runs cannot be compared, or a file cannot be written.
    """
    options = parse(CompareOptions, arguments, prog)
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


def _check_plot(path: Path) -> None:
    if path.suffix not in PICTURES:
        raise Refused(f"--plot {path} must end in {' or '.join(PICTURES)}.")
    if path.is_dir():
        raise Refused(f"--plot {path} is a folder; name a file.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise Refused(f"--plot {path} cannot be written to; name a file in a folder that can.")

"""The verb `compare`, from its options to what is printed, written and returned."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta
from tyro.conf import Positional, UseAppendAction

from bench.analysis.compare.matching import Across
from bench.analysis.compare.pairwise import USUAL, Comparison, compare, side_notes
from bench.analysis.compare.ranking import Ranking, rank_side
from bench.analysis.compare.side import read_side
from bench.analysis.compare.thresholds import Bound, find_metric, parse_bound, parse_margins
from bench.analysis.metrics import Metric
from bench.cli.console import open_console, print_path, rich_table
from bench.cli.parsing import parse
from bench.config import Name
from bench.errors import Refused
from bench.options import Folder, Help
from bench.records.files import write_atomic
from bench.records.run_folder import LOG, check_output
from bench.report import comparison as texts

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
    augment, pretrained, channels_last, model, optimizer, learning_rate, batch_size, recipe,
    weight_decay, freeze, accumulate, warmup, label_smoothing, nproc_per_node, sync_batch_norm,
    nnodes, tuning. Every line then says so."""

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
        for name in self.models:
            if (Path(name) / LOG).exists() or Path(name).suffix == ".csv":
                raise Refused(f"--models {name} is a run: put RUN_A and RUN_B before --models.")
        parse_margins(self.same_within)
        _ = self.named_metrics, self.bounds
        if self.run_b is None and self.fail_on:
            raise Refused("--fail-on needs two runs: the second is judged by the first.")
        if (path := self.plot) is None:
            return
        if path.suffix not in PICTURES:
            raise Refused(f"--plot {path} must end in {' or '.join(PICTURES)}.")
        if path.is_dir():
            raise Refused(f"--plot {path} is a folder; name a file.")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise Refused(f"--plot {path} cannot be written to; name a file in a folder that can.")

    @property
    def named_metrics(self) -> list[Metric]:
        """The metrics of --metrics, or the usual ones."""
        return [find_metric(name, "--metrics") for name in self.metrics or USUAL]

    @property
    def bounds(self) -> list[Bound]:
        """How much worse each metric may get."""
        return [parse_bound(text) for text in self.fail_on]


@dataclass(frozen=True)
class Outcome:
    """What came of a comparison: figures, words, and a sentence for each bound that is broken."""

    compared: Comparison | list[Ranking]
    report: texts.ComparisonReport
    broken: tuple[str, ...] = ()

    def draw(self) -> "Figure":
        """The picture of it."""
        from bench.report.forest import comparison_figure, ranking_figure

        if isinstance(self.compared, Comparison):
            return comparison_figure(self.compared)
        return ranking_figure(self.compared, name=self.report.sides["a"])

    def json(self) -> str:
        """Everything, for other programs."""
        return texts.as_json(self.report, {"broken": self.broken})


def main(arguments: Sequence[str], prog: str) -> int:
    """Compare, show and write; 3 if a bound is broken, else 0. Raises Refused if the runs cannot
    be compared, or a file cannot be written."""
    options = parse(CompareOptions, arguments, prog)
    if options.output is not None:
        check_output(options.output)
    outcome = _compared(options)
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


def _compared(options: CompareOptions) -> Outcome:
    """Two runs against each other, or the models of one."""
    a, bounds = read_side(options.run_a).only(options.models), options.bounds
    bounded = [bound.metric for bound in bounds]
    metrics = list(dict.fromkeys([*options.named_metrics, *bounded]))
    across, margins = options.across, parse_margins(options.same_within)
    # Without these there is no answer; the usual ones may be missing.
    wanted = [metric.name for metric in (metrics if options.metrics else bounded)]
    if options.run_b is None:
        rankings = rank_side(a, metrics, across=across, margins=margins, wanted=wanted)
        return Outcome(rankings, texts.ranking_report(a.name, rankings, side_notes(a)))
    b = read_side(options.run_b).only(options.models)
    comparison = compare(a, b, metrics, across=across, margins=margins, wanted=wanted)
    broken = texts.broken(comparison, bounds)
    return Outcome(comparison, texts.comparison_report(comparison), tuple(broken))


def _show(outcome: Outcome, options: CompareOptions) -> None:
    report, console = outcome.report, open_console()
    match options.format:
        case "table":
            for name, path in report.sides.items():
                print_path(console, name.upper(), path)
            console.print(*map(rich_table, report.tables), sep="\n")
            console.print(" ".join(report.answer), markup=False, highlight=False)
            for note in report.notes:
                console.print(f"! {note}", markup=False, highlight=False, style="yellow")
        case "csv":
            print(texts.as_csv(report), end="")
            # A reader of the rows alone must not miss what is said of them.
            for sentence in (*report.answer, *report.notes):
                print(sentence, file=sys.stderr)
        case "markdown":
            print(texts.as_markdown(report), end="")
        case "json":
            print(outcome.json(), end="")


def _write(outcome: Outcome, folder: Path) -> None:
    from bench.report.style import save

    report = outcome.report
    write_atomic(folder / "compare.csv", texts.as_csv(report))
    write_atomic(folder / "compare.json", outcome.json())
    write_atomic(folder / "compare.md", texts.as_markdown(report))
    save(outcome.draw(), folder / "compare")

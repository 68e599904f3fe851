"""The options of the verb `compare`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from bench.analysis.compare.matching import Across
from bench.analysis.compare.pairwise import USUAL
from bench.analysis.compare.thresholds import Bound, find_metric, parse_bound, parse_margins
from bench.analysis.compare.verdicts import Margins
from bench.analysis.metrics import Metric
from bench.errors import Refused

Format = Literal["table", "csv", "markdown", "json"]
PICTURES = (".png", ".svg")


@dataclass(frozen=True)
class CompareOptions:
    """Which should I use, and how sure is that? Two runs against each other, or the models of one.

    Exit code 0; 2 if they cannot be compared; 3 if a bound of --fail-on is broken, and not by
    chance.

    Raises:
        Refused: an option has a value that cannot work; the message says which and what would.
    """

    run_a: Annotated[Positional[Path], arg(metavar="RUN_A")]
    """A run folder, or a models.csv."""

    run_b: Annotated[
        Positional[Path | None], arg(metavar="RUN_B", help_behavior_hint="(default: none)")
    ] = None
    """Another one, to be compared with it. Without it, the models of RUN_A are ranked."""

    metrics: Annotated[
        tuple[str, ...],
        arg(metavar="NAME ...", help_behavior_hint=f"(default: {' '.join(USUAL)})"),
    ] = ()
    """Columns of models.csv to compare in."""

    models: Annotated[
        tuple[str, ...], arg(metavar="NAME ...", help_behavior_hint="(default: all)")
    ] = ()
    """Compare only these models; names or wildcards."""

    across: Annotated[
        tuple[Across, ...], arg(metavar="WHAT ...", help_behavior_hint="(default: nothing)")
    ] = ()
    """Compare although these differ: dataset, preset, device, precision, image_size, epochs,
    augment, pretrained, channels_last, model, optimizer, learning_rate, batch_size. Every line then
    says so."""

    same_within: Annotated[
        tuple[str, ...], arg(metavar="5%|1pt ...", help_behavior_hint="(default: 5% 1pt)")
    ] = ()
    """What counts as the same: a share of times, throughput and sizes; points of accuracy."""

    fail_on: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="METRIC:BOUND")] = ()
    """Exit with code 3 if a metric of B is worse than A's by more than this, beyond chance:
    'images_per_second:-5%', 'test_accuracy:-1pt', 'peak_memory_bytes:+10%'."""

    format: Annotated[Format, arg(metavar="table|csv|markdown|json")] = "table"
    """What goes to standard output; csv and json are that and nothing else."""

    plot: Annotated[
        Path | None, arg(metavar="FILE.png|FILE.svg", help_behavior_hint="(default: none)")
    ] = None
    """Draw the comparison: each difference with its interval."""

    output: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: none)")] = None
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


def _check_plot(path: Path) -> None:
    if path.suffix not in PICTURES:
        raise Refused(f"--plot {path} must end in {' or '.join(PICTURES)}.")
    if path.is_dir():
        raise Refused(f"--plot {path} is a folder; name a file.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise Refused(f"--plot {path} cannot be written to; name a file in a folder that can.")

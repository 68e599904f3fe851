"""Pictures of what a run varies: two figures against optimizer, batch size, depth or heads, and
the seeds one by one."""

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bench.analysis.ablations import BATCH, DEPTH, HEADS, OPTIMIZER, Group, Trait, grouped
from bench.analysis.formatting import axis_label, shortened
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import Series, series
from bench.records.run import Run
from bench.report.style import STYLE, canvas, draw_legend, save

PANELS: dict[str, tuple[str, Trait, tuple[str, str]]] = {
    "optimizers": ("Optimizers", OPTIMIZER, ("final_test_accuracy", "step_milliseconds")),
    "batch_sizes": ("Batch sizes", BATCH, ("final_test_accuracy", "epoch_seconds")),
    "depth": ("Depth", DEPTH, ("max_batch", "epoch_seconds")),
    "heads": ("Auxiliary heads", HEADS, ("final_test_accuracy", "epoch_seconds")),
}
"""Title, trait and the two metrics of each picture, by file name."""


def variant_figures(run: Run) -> dict[str, Figure]:
    """A picture for each trait that the run varies, by file name without its suffix."""
    found = series(run)
    drawn: dict[str, Figure] = {}
    with mpl.rc_context(STYLE):
        for name, (title, trait, metrics) in PANELS.items():
            groups = grouped(found, trait)
            if groups:
                drawn[name] = _against(run, title, trait, groups, metrics)
        trained = [one for one in found if one.trained]
        if len({t.trial.seed for one in trained for t in one.trained}) > 1:
            drawn["seeds"] = _seeds(run, trained)
    return drawn


def write_variants(run: Run) -> list[str]:
    """Replace these pictures in the run's folder; returns their names."""
    drawn = variant_figures(run)
    for name, figure in drawn.items():
        save(figure, run.path / "plots" / name)
    return list(drawn)


def _against(
    run: Run, title: str, trait: Trait, groups: list[Group], metrics: tuple[str, str]
) -> Figure:
    """Two metrics against the values of a trait, a line per group; bars are 95 % intervals."""
    values = list(dict.fromkeys(value for group in groups for value in group.values))
    if all(isinstance(value, int) for value in values):
        values.sort()
    with canvas(run, title, columns=2) as (figure, axes):
        for ax, metric in zip(axes, metrics, strict=True):
            highest = [
                _draw_group(ax, group, values, metric, _beside(i, len(groups)))
                for i, group in enumerate(groups)
            ]
            # Equal steps: batch sizes and depths are compared one with the next.
            ax.set_xticks(range(len(values)), [f"{value}" for value in values])
            ax.set_xlim(-0.5, len(values) - 0.5)
            ax.set(xlabel=trait.label, ylabel=axis_label(metric))
            if BY_NAME[metric].unit == "fraction":
                ax.yaxis.set_major_formatter(PercentFormatter(xmax=1))
            elif max(highest) > 0:
                ax.set_ylim(0, 1.1 * max(highest))
        draw_legend(axes[0])
    return figure


def _beside(number: int, groups: int) -> float:
    """A shift to the side, so that the intervals of several groups are not drawn on each other."""
    return 0.08 * (number - (groups - 1) / 2) / max(1, groups / 6)


def _draw_group(
    ax: Axes, group: Group, values: list[str | int], metric: str, shift: float
) -> float:
    """One group's points, joined where there is something between them; returns the highest."""
    pairs = zip(group.values, group.members, strict=True)
    known = [(values.index(value) + shift, one.metric(metric)) for value, one in pairs]
    drawn = [(x, e) for x, e in known if e is not None]
    first = group.members[0]
    ax.errorbar(
        [x for x, _ in drawn],
        [e.mean for _, e in drawn],
        [e.half_width or 0.0 for _, e in drawn],
        marker="o",
        linestyle=first.line_style if isinstance(group.values[0], int) else "none",
        color=first.colour,
        capsize=3,
        label=shortened(group.name),
    )
    return max((e.mean + (e.half_width or 0.0) for _, e in drawn), default=0.0)


def _seeds(run: Run, trained: list[Series]) -> Figure:
    """The last epoch's test accuracy of each seed, and over it the mean with its interval."""
    with canvas(run, "Test accuracy of the last epoch, seed by seed", bars=len(trained)) as (
        figure,
        (ax,),
    ):
        for row, one in enumerate(trained):
            finals = [trial.epochs[-1].test_accuracy for trial in one.trained]
            ax.plot(finals, [row] * len(finals), "o", color=one.colour, alpha=0.5, ms=8)
            mean = one.metric("final_test_accuracy")
            if mean is not None:
                ax.errorbar(
                    mean.mean,
                    row + 0.22,
                    xerr=mean.half_width,
                    fmt="d",
                    color=one.colour,
                    capsize=4,
                )
        ax.set_yticks(range(len(trained)), [shortened(one.label) for one in trained])
        ax.set_ylim(len(trained) - 0.4, -0.6)
        ax.set(xlabel="Each seed (dots), mean and 95 % interval (below)")
        ax.xaxis.set_major_formatter(PercentFormatter(xmax=1))
        ax.grid(visible=False, axis="y")
    return figure

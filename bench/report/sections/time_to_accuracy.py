"""Accuracy against time: when each target was reached, by how many seeds, and who is first."""

from collections.abc import Callable, Sequence
from itertools import accumulate

from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from bench.analysis.compare.arrival import arrivals, common_accuracy, seconds_to
from bench.analysis.formatting import MISSING, percent, ratio, shown, supported
from bench.analysis.intervals import Estimate, estimate
from bench.analysis.time_to_accuracy import Reached, accuracy_after, clock, reached, targets_of
from bench.analysis.trial_group import TrialGroup
from bench.records.run import TrialResult
from bench.report.context import Context
from bench.report.sections.base import Picture, Section, certainty
from bench.report.style import canvas, draw_legend, draw_line, percent_axis
from bench.report.tables import Cell, Table, metric_table, text_table


def _finding(context: Context) -> str | None:
    target = common_accuracy(context.finished)
    if target is None:
        return None
    ranking = arrivals(target, context.finished)
    if ranking is None:
        group = next(g for g in context.finished if g.trained)
        return (
            f"{group.label} reaches its best, {percent(target)}, after {_seconds(group, target)}."
        )
    first, last = ranking.places[0].group, ranking.places[-1].group
    a, b = (_mean_seconds(group, target) for group in (first, last))
    return (
        f"{first.label} is first at {percent(target)}, the accuracy that every seed reaches, after "
        f"{_seconds(first, target)} of training and evaluation; {last.label} is last, after "
        f"{_seconds(last, target)}, {ratio(b.mean, a.mean)} as long: "
        f"{certainty(ranking.places[-1].difference)}."
    )


def _mean_seconds(group: TrialGroup, target: float) -> Estimate:
    return estimate(list(seconds_to(target, group).values()))


def _seconds(group: TrialGroup, target: float) -> str:
    mean = _mean_seconds(group, target)
    return shown("total_seconds", mean.mean, mean.half_width)


def _tables(context: Context) -> tuple[Table, ...]:
    target = common_accuracy(context.finished)
    if target is None:
        return ()
    common = metric_table(context.trained, ["total_seconds"], until(context.trained, target))
    return common, target_table(context.trained)


def target_table(trained: Sequence[TrialGroup]) -> Table:
    """A row per group and target that any seed reached: when, since when for good, and how many of
    its seeds got there. Means are over those that did."""
    rows = []
    for target in targets_of(trained[0].trained[0]) if trained else ():
        by_label = {g.label: [reached(t.epochs, target) for t in g.trained] for g in trained}
        if any(seed.first_epoch is not None for seeds in by_label.values() for seed in seeds):
            rows += [(label, percent(target), *_when(seeds)) for label, seeds in by_label.items()]
    headers = (
        "Model",
        "Target",
        "First reached (epoch)",
        "First reached (s)",
        "by seeds",
        "Held since (epoch)",
        "Held since (s)",
        "by seeds ",
    )
    return text_table(headers, rows)


def _when(seeds: Sequence[Reached]) -> tuple[str, ...]:
    return (
        _mean([seed.first_epoch for seed in seeds], 1),
        _mean([seed.first_seconds for seed in seeds], 0),
        f"{sum(seed.first_epoch is not None for seed in seeds)} of {len(seeds)}",
        _mean([seed.held_epoch for seed in seeds], 1),
        _mean([seed.held_seconds for seed in seeds], 0),
        f"{sum(seed.held_epoch is not None for seed in seeds)} of {len(seeds)}",
    )


def until(groups: Sequence[TrialGroup], target: float | None) -> dict[str, list[Cell]]:
    """Columns: epochs and seconds until each group first reached a test accuracy."""
    if target is None:
        return {}
    arrived = [[reached(trial.epochs, target) for trial in group.trained] for group in groups]
    return {
        f"Until {percent(target)} (epochs)": [
            Cell(_share([seed.first_epoch for seed in seeds], 1)) for seeds in arrived
        ],
        f"Until {percent(target)} (s)": [
            Cell(_share([seed.first_seconds for seed in seeds], 0)) for seeds in arrived
        ],
    }


def after_equal_seconds(groups: Sequence[TrialGroup]) -> dict[str, list[Cell]]:
    """A column: the test accuracy of each group when the first of them was done."""
    totals = [clock(trial.epochs)[-1] for group in groups for trial in group.trained]
    if not totals:
        return {}
    seconds = min(totals)
    known = [[accuracy_after(trial.epochs, seconds) for trial in g.trained] for g in groups]
    cells = [Cell(_share([a and a * 100 for a in seeds], 1)) for seeds in known]
    return {f"Test accuracy after {seconds:,.0f} s (%)": cells}


def _share(seeds: Sequence[float | None], decimals: int) -> str:
    """Their mean; with how many of the seeds have one, if not all do."""
    known = sum(seed is not None for seed in seeds)
    some = f" ({known} of {len(seeds)} seeds)" if 0 < known < len(seeds) else ""
    return _mean(seeds, decimals) + some


def _mean(seeds: Sequence[float | None], decimals: int) -> str:
    known = [seed for seed in seeds if seed is not None]
    if not known:
        return MISSING
    mean = estimate(known)
    if not mean.half_width:
        return f"{mean.mean:,.{decimals}f}"
    decimals = supported(mean.half_width, decimals)
    return f"{mean.mean:,.{decimals}f} ± {mean.half_width:,.{decimals}f}"


def _progress(
    position: Callable[[TrialResult], list[float]], label: str
) -> Callable[[Context], Figure]:
    """Test accuracy over something that models spend at different rates."""

    def draw(context: Context) -> Figure:
        title = f"Test accuracy over {label.partition(' (')[0].lower()}"
        with canvas(context.run, title) as (figure, (ax,)):
            for group in context.trained:
                curve = group.curve(lambda epoch: epoch.test_accuracy)
                spent = zip(*(position(trial) for trial in group.trained), strict=False)
                x = [sum(values) / len(values) for values in spent]
                draw_line(ax, group, context.looks[group.label], x, curve)
            ax.set(xlabel=label, ylabel="Test accuracy", xlim=(0, None))
            ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            percent_axis(ax)
            draw_legend(ax)
        return figure

    return draw


SECTIONS = (
    Section(
        30,
        "time",
        "Accuracy over time",
        _finding,
        _tables,
        (
            Picture(
                "accuracy_over_time",
                "Test accuracy over wall-clock time, a curve per model",
                "Training and evaluation: which model gets there sooner on this machine.",
                _progress(lambda trial: clock(trial.epochs), "Wall-clock time (s)"),
            ),
            Picture(
                "accuracy_over_updates",
                "Test accuracy over updates, a curve per model",
                "A larger batch means fewer updates an epoch.",
                _progress(
                    lambda trial: list(accumulate(float(e.steps) for e in trial.epochs)), "Updates"
                ),
            ),
        ),
    ),
)

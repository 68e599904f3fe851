"""Accuracy against time: when each target was reached, by how many seeds, and who is first."""

from collections.abc import Callable, Sequence
from itertools import accumulate

from matplotlib.figure import Figure

from bench.analysis.compare.arrival import arrivals, common_accuracy, seconds_to
from bench.analysis.formatting import MISSING, percent, supported, times
from bench.analysis.intervals import Estimate, estimate
from bench.analysis.time_to_accuracy import Reached, accuracy_after, clock, reached, targets_of
from bench.analysis.trial_group import TrialGroup
from bench.records.run import TrialResult
from bench.report.context import Context
from bench.report.sections.base import Picture, Section, certainty, over_both, picture, value
from bench.report.style import canvas, draw_legend, draw_line, percent_axis, whole_numbers
from bench.report.tables import Cell, Table, metric_table, table_of


def _finding(context: Context) -> str | None:
    target = common_accuracy(context.finished)
    if target is None:
        return None
    ranking = arrivals(target, context.finished)
    if ranking is None:
        group = next(g for g in context.finished if g.evaluated)
        after = value("total_seconds", _seconds(group, target))
        which = f"its best {group.evaluated_on} accuracy, {percent(target)},"
        if len(group.trained) > 1:
            which = f"{percent(target)}, the {group.evaluated_on} accuracy that every seed reaches,"
        return f"{group.label} reaches {which} after {after}."
    first, last = ranking.places[0], ranking.hindmost
    difference = last.difference
    assert difference is not None, "all but the first place are compared with it"
    change = difference.effect.change
    if change < 1:  # the seeds of both, which this is about, have them the other way round
        first, last, change = last, first, 1 / change
    group, other = first.group, last.group
    whole = _seconds(group, target), _seconds(other, target), ""
    a, b, over = over_both(first.values, last.values) or whole
    # The order and the ratio are those of geometric means, and these are not.
    after, late = "", "after "
    if a.mean <= b.mean:
        after = f", after {value('total_seconds', a)} of training and evaluation"
        late = f"after {value('total_seconds', b)}, "
    return (
        f"{group.label} is first at {percent(target)}, the {group.evaluated_on} accuracy that "
        f"every seed reaches{after}; {other.label} is last, {late}{times(change)} as long{over}: "
        f"{certainty(difference)}."
    )


def _seconds(group: TrialGroup, target: float) -> Estimate:
    return estimate(list(seconds_to(target, group).values()))


def _tables(context: Context) -> tuple[Table, ...]:
    target = common_accuracy(context.finished)
    if target is None:
        return ()
    common = metric_table(context.trained, ["total_seconds"], until(context.trained, target))
    return common, target_table(context.trained)


def target_table(trained: Sequence[TrialGroup]) -> Table:
    """A row per group and target that any seed reached: when, since when for good, and how many of
    its seeds got there. Means are over those that did."""
    rows: list[tuple[str, float, list[Reached]]] = []
    for target in targets_of(trained[0].trained[0]) if trained else ():
        made = [(g.label, target, [reached(t.epochs, target) for t in g.trained]) for g in trained]
        if any(seed.first_epoch is not None for *_, seeds in made for seed in seeds):
            rows += made
    first_epochs = [[seed.first_epoch for seed in seeds] for *_, seeds in rows]
    held_epochs = [[seed.held_epoch for seed in seeds] for *_, seeds in rows]
    columns = {
        "Model": [label for label, *_ in rows],
        f"Target{_of(trained)}": [percent(target) for _, target, _ in rows],
        "First reached (epoch)": [_mean(epochs, 1) for epochs in first_epochs],
        "First reached (s)": [_mean([s.first_seconds for s in seeds], 0) for *_, seeds in rows],
        "by seeds": [f"{_known(epochs)} of {len(epochs)}" for epochs in first_epochs],
        "Held since (epoch)": [_mean(epochs, 1) for epochs in held_epochs],
        "Held since (s)": [_mean([s.held_seconds for s in seeds], 0) for *_, seeds in rows],
        "by seeds ": [f"{_known(epochs)} of {len(epochs)}" for epochs in held_epochs],
    }
    return table_of(columns, source="time_to_accuracy.csv")


def until(groups: Sequence[TrialGroup], target: float | None) -> dict[str, list[Cell]]:
    """Columns: epochs and seconds until each group first reached an accuracy."""
    if target is None:
        return {}
    arrived = [[reached(trial.epochs, target) for trial in group.trained] for group in groups]
    epochs = [Cell(_share([seed.first_epoch for seed in seeds], 1)) for seeds in arrived]
    seconds = [Cell(_share([seed.first_seconds for seed in seeds], 0)) for seeds in arrived]
    until = f"Until {percent(target)}{_of(groups)}"
    return {f"{until} (epochs)": epochs, f"{until} (s)": seconds}


def after_equal_seconds(groups: Sequence[TrialGroup]) -> dict[str, list[Cell]]:
    """A column: the accuracy of each group when the first of them was done."""
    totals = [clock(trial.epochs)[-1] for group in groups for trial in group.evaluated]
    if not totals:
        return {}
    seconds = min(totals)
    known = [[accuracy_after(trial.epochs, seconds) for trial in g.evaluated] for g in groups]
    cells = [Cell(_share([a and a * 100 for a in seeds], 1)) for seeds in known]
    return {f"{groups[0].evaluated_on.capitalize()} accuracy after {seconds:,.0f} s (%)": cells}


def _of(groups: Sequence[TrialGroup]) -> str:
    """What an accuracy is of, where that is not the test."""
    on = groups[0].evaluated_on if groups else "test"
    return "" if on == "test" else f" {on} accuracy"


def _share(seeds: Sequence[float | None], decimals: int) -> str:
    """Their mean; with how many of the seeds have one, if not all do."""
    known = _known(seeds)
    some = f" ({known} of {len(seeds)} seeds)" if 0 < known < len(seeds) else ""
    return _mean(seeds, decimals) + some


def _known(seeds: Sequence[float | None]) -> int:
    return sum(seed is not None for seed in seeds)


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
    accuracy: str,
    file: str,
    label: str,
    caption: str,
    position: Callable[[TrialResult], list[float]],
) -> Picture:
    """Accuracy over something that models spend at different rates."""
    title = f"{accuracy} over {label.partition(' (')[0].lower()}"

    @picture(file, f"{title}, a curve per model", caption)
    def draw(context: Context) -> Figure:
        with canvas(context.run, title) as (figure, (ax,)):
            for group in context.trained:
                curve = group.curve(lambda epoch: epoch.accuracy)
                spent = zip(*(position(trial) for trial in group.trained), strict=False)
                x = [sum(values) / len(values) for values in spent]
                draw_line(ax, group, context.looks[group.label], x, curve)
            ax.set(xlabel=label, ylabel=accuracy, xlim=(0, 1.05 * ax.dataLim.xmax))
            whole_numbers(ax.xaxis, 6, fewest=3)
            percent_axis(ax)
            draw_legend(ax)
        return figure

    return draw


def _pictures(context: Context) -> tuple[Picture, ...]:
    accuracy = f"{context.run.dataset.evaluated_on.capitalize()} accuracy"
    return (
        _progress(
            accuracy,
            "accuracy_over_time",
            "Wall-clock time (s)",
            "Training and evaluation: which model gets there sooner on this machine.",
            lambda trial: clock(trial.epochs),
        ),
        _progress(
            accuracy,
            "accuracy_over_updates",
            "Updates",
            "A larger batch means fewer updates an epoch.",
            lambda trial: list(accumulate(float(e.steps) for e in trial.epochs)),
        ),
    )


SECTIONS = (Section(30, "time", "Accuracy over time", _finding, _tables, gallery=_pictures),)

"""How long an epoch takes, and where its time goes."""

from typing import Any

from matplotlib.figure import Figure

from bench.analysis.formatting import shortened, times
from bench.report.context import Context
from bench.report.sections.base import (
    Section,
    certainty,
    ends,
    known_table,
    mean_of,
    picture,
    value,
)
from bench.report.style import canvas, legend_beside, name_rows, percent_axis
from bench.report.tables import Table

SPEEDS = (
    *("epoch_seconds", "first_epoch_seconds", "test_seconds", "step_milliseconds"),
    *("images_per_second", "gmacs", "mfu"),
    *("power_watts", "energy_joules", "energy_per_image_joules"),
)

SHARES = {
    "data_share": ("data", "#E69F00"),
    "forward_share": ("forward", "#56B4E9"),
    "backward_share": ("backward", "#0072B2"),
    "optimizer_share": ("optimizer", "#CC79A7"),
    "evaluation_share": ("evaluation", "#009E73"),
    "other_share": ("other", "#999999"),
}
"""What an epoch's time is divided into, with its name and colour in the picture."""

MFU_REMARK = (
    "MFU, model FLOP utilisation: a training step taken as three times the multiply-adds of an "
    "inference (once, if the body is frozen), over the fastest matrix product that this run timed "
    "in the same precision. "
    "It does not count the work of auxiliary heads. It can exceed 100 % on a "
    "processor whose convolutions are faster than its matrix products."
)


def _finding(context: Context) -> str | None:
    # Epochs of one run have the same images, so the order is that of throughput.
    ranking = context.standings.ranking("images_per_second")
    if ranking is None:
        return _alone(context)
    fast, slow = ranking.places[0].group, ranking.hindmost.group
    difference = ranking.hindmost.difference
    assert difference is not None, "all but the first place are compared with it"
    change = difference.effect.change
    if change > 1:  # the seeds of both, which this is about, have them the other way round
        fast, slow, change = slow, fast, 1 / change
    few, many, over = ends("epoch_seconds", fast, slow)
    if few is None or many is None:
        return None
    # The order and the ratio are those of geometric means, and these are not.
    agree = few.mean <= many.mean
    first, last = (f", {value('epoch_seconds', s)}" if agree else "" for s in (few, many))
    return (
        f"{fast.label} has the fastest epoch{first}{over}; that of {slow.label} takes "
        f"{times(1 / change)} as long{last}: {certainty(difference)}."
    )


def _alone(context: Context) -> str | None:
    for group in context.finished:
        if seconds := group.metric("epoch_seconds"):
            rate = group.metric("images_per_second")
            speed = f", {value('images_per_second', rate)}" if rate else ""
            return f"{group.label} trains an epoch in {value('epoch_seconds', seconds)}{speed}."
    return None


def _tables(context: Context) -> tuple[Table, ...]:
    return tuple(known_table(context.trained, names) for names in (SPEEDS, SHARES))


@picture(
    "epoch_time",
    "Seconds of one epoch, training and evaluation, a bar per model",
    "Median over the epochs after the first.",
)
def _epoch_time(context: Context) -> Figure:
    trained = context.trained
    with canvas(context.run, "Time of one epoch", bars=len(trained)) as (figure, (ax,)):
        for row, group in enumerate(trained):
            train, test = (mean_of(group, name) for name in ("epoch_seconds", "test_seconds"))
            colour = context.looks[group.label].colour
            error: Any = {"xerr": train.half_width, "ecolor": "#333333"}
            ax.barh(row, train.mean, color=colour, label="training", **error)
            ax.barh(row, test.mean, left=train.mean, color=colour, alpha=0.45, label="evaluation")
            text = f" {train.mean:,.1f} + {test.mean:,.1f} s"
            ax.annotate(text, (train.mean + test.mean, row), va="center", fontsize=10)
        name_rows(ax, [shortened(group.label) for group in trained])
        ax.margins(x=0.25)
        ax.set(xlabel="Seconds; full colour: training, pale: evaluation")
        ax.xaxis.set_major_formatter("{x:,g}")
    return figure


@picture(
    "time_budget",
    "Shares of an epoch's time, a stacked bar per model",
    "Sampled on some steps, and scaled to the epoch's wall-clock time.",
)
def _time_budget(context: Context) -> Figure:
    trained = context.trained
    with canvas(context.run, "Where an epoch's time goes", bars=len(trained)) as (figure, (ax,)):
        left = [0.0] * len(trained)
        for metric, (label, colour) in SHARES.items():
            shares = [mean_of(group, metric).mean for group in trained]
            ax.barh(range(len(trained)), shares, left=left, color=colour, label=label)
            left = [a + b for a, b in zip(left, shares, strict=True)]
        name_rows(ax, [shortened(group.label) for group in trained])
        ax.set(xlabel="Share of an epoch's wall-clock time", xlim=(0, 1))
        percent_axis(ax, "x")
        legend_beside(figure)
    return figure


SECTIONS = (
    Section(
        40,
        "epoch-time",
        "Time of one epoch",
        _finding,
        _tables,
        (_epoch_time, _time_budget),
        lambda context: [MFU_REMARK] if any(t.calibrations for t in context.run.trials) else [],
    ),
)

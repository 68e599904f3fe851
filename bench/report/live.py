"""The curves of a run that is under way: one small picture."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bench.analysis.formatting import shortened
from bench.records.records import Epoch
from bench.report.context import Context
from bench.report.style import (
    DPI,
    MOST_MARKED,
    STYLE,
    ReportFigure,
    legend_beside,
    percent_axis,
    whole_numbers,
)

SIZE = (8.5, 2.6)
"""Inches; the same throughout a run, so that nothing on the page moves."""


def live_curves(context: Context) -> ReportFigure:
    """Accuracy and loss of evaluation after every epoch so far: a curve per trial, in the look of
    its group, because a mean over seeds would leave out those that have only begun. Points of
    tuning are grey; trials after it have no curve, for they are evaluated once."""
    with mpl.rc_context({**STYLE, "font.size": 9, "lines.linewidth": 1.5, "lines.markersize": 3}):
        figure = ReportFigure(figsize=SIZE, dpi=DPI, layout=ConstrainedLayoutEngine(h_pad=0.1))
        accuracy, loss = figure.subplots(1, 2)
        of = context.run.dataset.evaluated_on.capitalize()
        _draw(accuracy, context, f"{of} accuracy", attrgetter("accuracy"))
        _draw(loss, context, f"{of} loss (nats)", attrgetter("loss"))
        percent_axis(accuracy)
        lines, labels = accuracy.get_legend_handles_labels()
        if lines:
            legend_beside(figure, handles=lines, labels=labels)
    return figure


def _draw(axes: Axes, context: Context, what: str, value: Callable[[Epoch], float]) -> None:
    for result in context.run.trials:
        if result.trial.is_point:
            y = [value(epoch) for epoch in result.epochs]
            axes.plot(range(1, len(y) + 1), y, color="#999999", marker="o", linewidth=0.8)
    for group in context.groups:
        look = context.looks[group.label]
        style: Any = look.line_style
        label = shortened(group.label)
        for trial in (trial for trial in group.trials if trial.epochs):
            y = [value(epoch) for epoch in trial.epochs if epoch.evaluated]
            x, marker = range(1, len(y) + 1), "o" if len(y) <= MOST_MARKED else None
            axes.plot(x, y, color=look.colour, linestyle=style, marker=marker, label=label)
            label = ""  # a group is named once
    axes.set(xlabel="Epoch", ylabel=what)
    whole_numbers(axes.xaxis)

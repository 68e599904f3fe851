"""A metric over time: a row of axes per series, with its breaks and its changes."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from bench.analysis.formatting import display_of, header_of, shortened
from bench.analysis.history.series import Point, Series, changes_between
from bench.report.forest import LOOKS
from bench.report.history import History, heading
from bench.report.style import PALETTE, canvas

CAPTION = (
    "means over trials with 95 % intervals; dotted lines: machine, versions or images changed, so "
    "the curve breaks; triangles: confirmed changes"
)

MOST_NAMES = 12
"""Places whose names stand below the axis."""

MOST_BREAKS = 6
"""Breaks above which they are not named: the table of runs does."""


def history_figure(history: History, series: Sequence[Series], *, scaled: bool) -> Figure:
    """Series of one metric, as they were measured or as on the first point's machine."""
    metric = series[0].metric
    how = "on a machine as fast as at the first point" if scaled else "as measured"
    devices = dict.fromkeys(p.conditions.get("device", "") for one in series for p in one.points)
    measured = f"measured: {len(history.moments)} points, {shortened(', '.join(devices), 90)}"
    with canvas(measured, f"{header_of(metric.name)}, {how}", rows=len(series)) as (figure, axes):
        for number, (ax, one) in enumerate(zip(axes, series, strict=True)):
            factor = one.scaled if scaled else _unscaled
            _draw(ax, one, factor, PALETTE[number % len(PALETTE)])
            ax.set_xlim(-0.5, len(history.moments) - 0.5)
            _draw_breaks(ax, one)
            _draw_changes(ax, history, one, factor)
            ax.set_title(shortened(one.label, 60), fontsize=11, loc="left")
            ax.margins(y=0.15)
            _name_places(ax, [moment.name for moment in history.moments])
            ax.tick_params(labelbottom=ax is axes[-1])
    return figure


def _unscaled(point: Point) -> float:
    return 1.0


def _draw(ax: Axes, series: Series, factor: Callable[[Point], float], colour: str) -> None:
    unit = display_of(series.metric.name).scale
    for track in _unbroken(series.points):
        scales = [unit * factor(point) for point in track]
        means = [s * p.estimate.mean for s, p in zip(scales, track, strict=True)]
        rooms = [s * (p.estimate.half_width or 0.0) for s, p in zip(scales, track, strict=True)]
        places = [point.at for point in track]
        look: Any = {"color": colour, "marker": "o", "linewidth": 1.4, "elinewidth": 1}
        ax.errorbar(places, means, yerr=rooms, **look)


def _unbroken(points: Sequence[Point]) -> list[list[Point]]:
    """Points one after the other under the same conditions."""
    tracks = [[points[0]]]
    for before, after in pairwise(points):
        if before.conditions == after.conditions:
            tracks[-1].append(after)
        else:
            tracks.append([after])
    return tracks


def _draw_breaks(ax: Axes, series: Series) -> None:
    breaks = [(a, b) for a, b in pairwise(series.points) if a.conditions != b.conditions]
    for before, after in breaks:
        place = (before.at + after.at) / 2
        ax.axvline(place, color="#555555", linestyle=":", linewidth=1.2)
        if len(breaks) <= MOST_BREAKS:
            words = list(changes_between(before.conditions, after.conditions))
            more = f" (+{len(words) - 1})" if len(words) > 1 else ""
            left = place > ax.get_xlim()[1] / 2
            ax.annotate(
                shortened(words[0], 56) + more,
                (place, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(-3 if left else 3, -1),
                textcoords="offset points",
                ha="right" if left else "left",
                va="top",
                fontsize=8,
                color="#555555",
            )


def _draw_changes(
    ax: Axes, history: History, series: Series, factor: Callable[[Point], float]
) -> None:
    unit = display_of(series.metric.name).scale
    for change in (change for change in history.changes if change.series is series):
        better = series.metric.better
        kind = "different" if better is None else "worse" if change.regression else "better"
        look = {"color": LOOKS[kind]["color"], "marker": "^" if change.up else "v"}
        place = (change.before.at + change.after.at) / 2
        ends = [p.estimate.mean * unit * factor(p) for p in (change.before, change.after)]
        ax.plot([place], [sum(ends) / 2], linestyle="none", markersize=11, zorder=5, **look)
        ax.annotate(
            heading(change),
            (place, sum(ends) / 2),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
            fontweight="bold",
            color=look["color"],
        )


def _name_places(ax: Axes, names: Sequence[str]) -> None:
    step = max(1, -(-len(names) // MOST_NAMES))
    places = range(0, len(names), step)
    ax.xaxis.set_major_locator(FixedLocator(list(places)))
    shown = [shortened(names[i], 18) for i in places]
    ax.set_xticklabels(shown, rotation=35, ha="right", fontsize=8)

"""Forest plots: every difference as a point with its interval, and what counts as the same shaded.

Colour and shape of a point both say its verdict. An interval that leaves the picture goes on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from bench.analysis.compare.effects import Effect, Scale, scale_of
from bench.analysis.compare.pairwise import Comparison
from bench.analysis.compare.ranking import Place, Ranking
from bench.analysis.compare.verdicts import KINDS, Margins
from bench.analysis.formatting import in_sentence, shortened
from bench.records.run import Run
from bench.report.style import canvas, legend_beside

LOOKS: dict[str, Any] = {
    "better": {"color": "#009E73", "marker": "^"},
    "worse": {"color": "#D55E00", "marker": "v"},
    "different": {"color": "#0072B2", "marker": "D"},
    "same": {"color": "#56B4E9", "marker": "s"},
    "cannot tell": {"color": "#777777", "marker": "o", "markerfacecolor": "white"},
    "best": {"color": "#000000", "marker": "*"},
}
"""Colour and shape, and whether it is not filled, of each kind of verdict."""

MOST_TICKS = 7
"""Ticks of an axis whose figures would stand on each other if they were more."""


@dataclass(frozen=True)
class Row:
    """One row of a picture: its name, its point with an interval (none at all for the best), and
    which of `LOOKS` it has."""

    label: str
    effect: Effect | None
    kind: str


def comparison_figure(comparison: Comparison) -> Figure:
    """Two sides: ratios on the left, differences of fractions on the right."""
    several = len({line.metric.name for line in comparison.lines}) > 1
    panels: dict[Scale, list[Row]] = {}
    for line in comparison.lines:
        of = f"\n{in_sentence(line.metric, line.among)}" if several else ""
        name = shortened(line.label, 28) + of
        row = Row(name, line.effect, line.verdict.kind)
        panels.setdefault(line.effect.scale, []).append(row)
    caption = (
        f"A: {shortened(comparison.a, 60)}; B: {shortened(comparison.b, 60)}; 95 % intervals; "
        "the band is what counts as the same"
    )
    tallest = max(map(len, panels.values()))
    with canvas(caption, "B against A", len(panels), tallest + 1) as (figure, axes):
        words = {"ratio": "B / A", "difference": "B − A (points)"}
        for ax, (scale, rows) in zip(axes, panels.items(), strict=True):
            _draw(ax, rows, scale, comparison.margins)
            ax.set(xlabel=words[scale])
        _legend(figure, [row for rows in panels.values() for row in rows])
    return figure


def ranking_figure(rankings: Sequence[Ranking], run: Run | None = None, name: str = "") -> Figure:
    """The models of one run against the best of them, a panel a metric.

    Args:
        rankings: at least one.
        run: where they come from, for the line below the picture.
        name: what to call that where there is no run.
    """
    bars = max(len(r.places) for r in rankings) + 1
    title = "Who wins, and who cannot be told apart"
    with canvas(run or name, title, len(rankings), bars) as (figure, axes):
        for ax, ranking in zip(axes, rankings, strict=True):
            scale = scale_of(ranking.metric)
            _draw(ax, [_row(place) for place in ranking.places], scale, ranking.margins)
            _draw_ties(ax, ranking.ties)
            against = "ratio to the best" if scale == "ratio" else "points from the best"
            name = in_sentence(ranking.metric, [r.metric for r in rankings])
            ax.set(xlabel=f"{name.capitalize()}: {against}")
        _legend(figure, [_row(place) for r in rankings for place in r.places])
    return figure


def _row(place: Place) -> Row:
    label, difference = f"{place.rank}  {shortened(place.group.label, 28)}", place.difference
    if difference is None:
        return Row(label, None, "best")
    return Row(label, difference.effect, difference.verdict.kind)


def _draw(ax: Axes, rows: Sequence[Row], scale: Scale, margins: Margins) -> None:
    """Points with intervals on the scale that they are computed on, with the ticks of another."""
    margin = margins.width(scale)
    ax.axvspan(-margin, margin, color="#56B4E9", alpha=0.18, linewidth=0)
    ax.axvline(0.0, color="#555555", linewidth=1)
    for height, row in enumerate(rows):
        shift, room = (row.effect.shift, row.effect.half_width) if row.effect else (0.0, None)
        size, look = 13 if row.kind == "best" else 9, LOOKS[row.kind]
        ax.errorbar(shift, height, xerr=room, ls="none", markersize=size, capsize=4, **look)
    low, high = _limits([row.effect for row in rows if row.effect is not None], margin)
    ax.set_xlim(low, high)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_yticks(range(len(rows)), [row.label for row in rows])
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_locator(FixedLocator(_ticks(low, high, scale)))
    ax.xaxis.set_major_formatter(_ratio if scale == "ratio" else _points)


def _ticks(low: float, high: float, scale: Scale) -> list[float]:
    """Places for ticks where round ratios, or round points, are; none where another's would be."""
    nice = MaxNLocator(6, steps=[1, 2, 5, 10])
    if scale == "difference":
        round_ones = [float(x) for x in nice.tick_values(low, high)]
    else:
        ratios = nice.tick_values(math.exp(low), math.exp(high))
        round_ones = [math.log(x) for x in ratios if x > 0]
    ticks: list[float] = []
    for x in sorted((x for x in round_ones if low <= x <= high), key=abs):
        if all(abs(x - other) >= (high - low) / MOST_TICKS for other in ticks):
            ticks.append(x)
    return sorted(ticks)


def _limits(effects: Sequence[Effect], margin: float) -> tuple[float, float]:
    """As far as the points and the margin reach, and their intervals where those are not endless:
    of two seeds they may be."""
    widest = max([2 * margin, *(3 * abs(effect.shift) for effect in effects)])
    ends = [-1.5 * margin, 1.5 * margin]
    for effect in effects:
        room = effect.half_width or 0.0
        ends += [effect.shift, max(effect.shift - room, -widest), min(effect.shift + room, widest)]
    space = 0.06 * (max(ends) - min(ends))
    return min(ends) - space, max(ends) + space


def _draw_ties(ax: Axes, ties: Sequence[tuple[int, int]]) -> None:
    """A bar beside each range of rows that cannot be told apart (Demšar's critical differences)."""
    look: Any = {"color": "#555555", "linewidth": 5, "solid_capstyle": "round", "label": "_tie"}
    for number, (first, last) in enumerate(ties):
        x, y = [1.03 + 0.03 * (number % 3)] * 2, [first - 0.25, last + 0.25]
        ax.plot(x, y, transform=ax.get_yaxis_transform(), clip_on=False, **look)


def _legend(figure: Figure, rows: Sequence[Row]) -> None:
    """What the shapes mean, of those that are there."""
    present = {row.kind for row in rows}
    kinds = [kind for kind in ("best", *KINDS) if kind in present]
    handles = [Line2D([], [], ls="none", markersize=9, label=k, **LOOKS[k]) for k in kinds]
    legend_beside(figure, handles=handles)


def _ratio(shift: float, _: float) -> str:
    return f"{math.exp(shift):.3g}"


def _points(shift: float, _: float) -> str:
    points = round(shift * 100, 6)
    return f"{points:+.3g}" if points else "0"

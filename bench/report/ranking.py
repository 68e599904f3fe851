"""Which model wins, and how sure is that: the series of one run in order, ties as ties."""

from collections.abc import Sequence
from math import exp
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from bench.compare.ranking import Place, Seeds, alone_at_the_top, rank
from bench.compare.verdicts import is_points
from bench.metrics import BY_NAME, Metric
from bench.report.canvas import STYLE, canvas, save
from bench.report.series import Series, series
from bench.report.tables import Cell, Table
from bench.report.trust import yardstick
from bench.report.words import MISSING, listed, percent, shortened, shown, supported
from bench.results import Run

RANKED = ("final_test_accuracy", "images_per_second")
"""What the models of a run are ranked by."""


def places(found: Sequence[Series], metric: Metric) -> list[Place]:
    """The series that are done, ranked by a metric over their seeds."""
    return rank({one.label: _by_seed(one, metric) for one in found}, metric)


def _by_seed(one: Series, metric: Metric) -> Seeds:
    values = {t.trial.seed: metric.value(t) for t in one.trials if t.status == "done"}
    return {s: float(v) for s, v in values.items() if isinstance(v, (int, float))}


def ranking_finding(found: Sequence[Series]) -> str | None:
    """Who is first in each metric, alone or not."""
    said = [_first(found, BY_NAME[name]) for name in RANKED]
    known = [sentence for sentence in said if sentence]
    return " ".join(known) if known else None


def _first(found: Sequence[Series], metric: Metric) -> str | None:
    ranked = places(found, metric)
    if len(ranked) < 2:
        return None
    what, best = metric.label.lower(), ranked[0]
    if not any(place.against_best and place.against_best.low is not None for place in ranked):
        return f"Who is first in {what} cannot be told from one seed: use --seeds 3 or more."
    if alone_at_the_top(ranked):
        return (
            f"{best.name} is first in {what}, {shown(metric.name, best.mean)}, before "
            f"{ranked[1].name}, {shown(metric.name, ranked[1].mean)}, surely."
        )
    tied = [place.name for place in ranked if place.first == 1]
    return f"In {what} {listed(tied)} cannot be told apart at the top."


def ranking_tables(run: Run, found: Sequence[Series]) -> tuple[Table, ...]:
    """A table per metric: place, mean, and the difference to the best with its interval."""
    return tuple(_table(found, BY_NAME[name]) for name in RANKED)


def _table(found: Sequence[Series], metric: Metric) -> Table:
    ranked = places(found, metric)
    if len(ranked) < 2:
        return Table((), ())
    unit = "points" if is_points(metric) else "ratio"
    headers = (
        f"By {metric.label.lower()}",
        "Place",
        "Mean",
        f"Against the first ({unit})",
        "95 % interval",
        "p¹",
    )
    rows = []
    for place in ranked:
        change, interval = _against(place, metric)
        p = MISSING if place.p is None else f"{place.p:.2g}"
        texts = (place.name, place.rank, shown(metric.name, place.mean), change, interval, p)
        rows.append(tuple(map(Cell, texts)))
    return Table(headers, tuple(rows))


def _against(place: Place, metric: Metric) -> tuple[str, str]:
    e = place.against_best
    if e is None:
        return MISSING, MISSING
    mean, low, high = (_linear(v, metric) for v in (e.change, e.low, e.high))
    usual = 1 if is_points(metric) else 3
    if mean is None or low is None or high is None or high == low:
        return f"{mean or 0.0:.{usual}f}", MISSING
    digits = supported((high - low) / 2, usual)
    return f"{mean:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}"


def _linear(value: float | None, metric: Metric) -> float | None:
    if value is None:
        return None
    return value * 100 if is_points(metric) else exp(value)


def ranking_remarks(run: Run) -> tuple[str, ...]:
    """How places are told apart, and how far the machine itself may be behind it."""
    rule = (
        "A place is a range where models cannot be told apart: two are, at p < 0.05 by Student's "
        "test of pairs (of the same seed, side by side in time), corrected for the number of "
        "pairs (Holm). ¹ corrected."
    )
    known = yardstick(run.trials)
    if known is None or known.change < 0.01:
        return (rule,)
    return (
        rule,
        f"The machine's own speed changed by {percent(known.change)} over the run: differences in "
        "throughput below that rest on its having changed steadily.",
    )


def ranking_figures(run: Run) -> dict[str, Figure]:
    """The difference of each series to the best, a panel per metric; none for a single seed."""
    found = series(run)
    panels = [(BY_NAME[name], places(found, BY_NAME[name])) for name in RANKED]
    panels = [(metric, ranked) for metric, ranked in panels if _is_drawn(ranked)]
    if not panels:
        return {}
    colours = {one.label: one.colour for one in found}
    bars = max(len(ranked) for _, ranked in panels)
    with (
        mpl.rc_context(STYLE),
        canvas(
            run, "Against the first, with 95 % intervals", columns=len(panels), bars=bars + 1
        ) as (
            figure,
            axes,
        ),
    ):
        for ax, (metric, ranked) in zip(axes, panels, strict=True):
            points = is_points(metric)
            ax.axvline(0.0 if points else 1.0, color="#555555", linewidth=1)
            for row, place in enumerate(ranked):
                _draw(ax, row, place, metric, colours[place.name])
            labels = [f"{place.rank}  {shortened(place.name, 24)}" for place in ranked]
            ax.set_yticks(range(len(ranked)), labels)
            ax.set_ylim(len(ranked) - 0.5, -0.5)
            ax.grid(visible=False, axis="y")
            ax.set(xlabel=f"{metric.label} ({'points' if points else 'ratio'})")
            ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    return {"ranking": figure}


def _draw(ax: Axes, row: int, place: Place, metric: Metric, colour: str) -> None:
    style: dict[str, Any] = {"fmt": "o", "color": colour, "capsize": 4, "ms": 8}
    e = place.against_best
    mean, low, high = (
        _linear(v, metric) for v in ((e.change, e.low, e.high) if e else (0.0, None, None))
    )
    if mean is not None and low is not None and high is not None:
        style["xerr"] = [[mean - low], [high - mean]]
    ax.errorbar(0.0 if mean is None else mean, row, **style)


def _is_drawn(ranked: Sequence[Place]) -> bool:
    return any(p.against_best and p.against_best.low is not None for p in ranked)


def write_ranking(run: Run) -> list[str]:
    """Replace this picture in the run's folder; returns its name."""
    drawn = ranking_figures(run)
    for name, figure in drawn.items():
        save(figure, run.path / "plots" / name)
    return list(drawn)

"""Whether tuning changes who wins: default values against the best of the same number of points."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from bench.analysis.compare.ranking import Ranking, among
from bench.analysis.formatting import MISSING, change_text, listed, percent, shortened
from bench.analysis.intervals import share_interval
from bench.analysis.metrics import training_flop
from bench.analysis.run_time import points_left_out
from bench.analysis.trial_group import TrialGroup, contestant_labels
from bench.analysis.tuning import (
    CHOSEN,
    LABELS,
    accuracy_of,
    best_by_budget,
    contestants,
    edges_text,
    tried,
    value_of,
)
from bench.records.records import Contestant, PointChosen
from bench.records.run import TrialResult
from bench.report.context import Context
from bench.report.rankings import level, tie_text
from bench.report.sections.base import Section, certainty, ends, picture, value
from bench.report.style import Look, canvas, legend_beside, looks_of, percent_axis, whole_numbers
from bench.report.tables import Table, table_of, text_table
from bench.settings import space_of
from bench.units import counted

MARKERS = "oDs^v"
"""Of contestants of one model in one search space."""

FINAL = "final_test_accuracy"

PANELS = 3
"""Panels side by side."""

NEAR = 0.05
"""A point whose validation accuracy is within so much of the best is as good as near it."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """A contestant: its name, the points that it tried, what was chosen, and its groups on all
    training images, with the default values and tuned; None where there is none yet."""

    contestant: Contestant
    label: str
    points: tuple[TrialResult, ...]
    choice: PointChosen | None
    default: TrialGroup | None
    tuned: TrialGroup | None

    @property
    def best(self) -> float:
        """The highest validation accuracy of its points."""
        return max(map(accuracy_of, self.points), default=0.0)


def _all(context: Context) -> list[Tuned]:
    run, groups = context.run, {}
    for group in context.groups:
        trial = group.trials[0].trial
        if trial.tuning is not None:
            groups[trial.contestant, trial.tuning.part] = group
    labels = contestant_labels(contestants(run))
    return [
        Tuned(
            *(contestant, label, tuple(tried(run, contestant)), run.chosen.get(contestant)),
            *(groups.get((contestant, part)) for part in ("default", "tuned")),
        )
        for contestant, label in labels.items()
    ]


def _looks(context: Context) -> dict[str, Look]:
    """A look for each contestant: that of its default values, if it were alone."""
    first = {t.contestant: t.default or t.tuned for t in _all(context)}
    known = [group for group in first.values() if group is not None]
    looks = looks_of(known)
    return {
        t.label: looks[group.label] if (group := first[t.contestant]) else Look("#777777", "-")
        for t in _all(context)
    }


def _rankings(context: Context, tuned: Sequence[Tuned]) -> tuple[Ranking | None, Ranking | None]:
    """These contestants among themselves, with default values and tuned."""
    ranking = context.standings.ranking(FINAL)
    if ranking is None:
        return None, None
    before = among(ranking, [t.default for t in tuned if t.default])
    return before, among(ranking, [t.tuned for t in tuned if t.tuned])


def _finding(context: Context) -> str | None:
    tuned = _all(context)
    if not tuned:
        return None
    budget = max(len(t.points) for t in tuned)
    of = f"the best of {counted(budget, 'point')} under its space"
    # Who has no result on one side neither wins there nor loses.
    both = [t for t in tuned if all(g and g.has(FINAL) for g in (t.default, t.tuned))]
    before, after = _rankings(context, both)
    if before is None or after is None:
        return _alone(context, tuned, of)
    without = [t.label for t in tuned if t not in both and (t.default or t.tuned)]
    rest = f" Left out, without a result with default values or tuned: {listed(without)}."
    names = {g.label: t.label for t in tuned for g in (t.default, t.tuned) if g}
    if before.too_few and after.too_few:
        first, then = ([names[label] for label in level(r)] for r in (before, after))
        verb = "" if len(first) == 1 else " is ahead"
        return (
            f"With default values {_lead(first, ' is ahead')}, and as {of} {_lead(then, verb)}; so "
            f"few seeds cannot tell that from chance.{rest if without else ''}"
        )
    won, wins = (
        [names[place.group.label] for place in ranking.winners] for ranking in (before, after)
    )
    return (
        f"With default values {_top(won, before)}; each as {of}, {_top(wins, after)}: "
        f"{_change(won, wins)}.{rest if without else ''}"
    )


def _lead(who: list[str], verb: str) -> str:
    return f"{listed(who)} are level" if len(who) > 1 else f"{who[0]}{verb}"


def _top(winners: list[str], ranking: Ranking) -> str:
    if len(winners) == 1:
        return f"{winners[0]} wins"
    who = listed(winners) if len(winners) <= 4 else f"{len(winners)} of {len(ranking.places)}"
    return f"{who} {tie_text(ranking)} at the top"


def _change(first: list[str], then: list[str]) -> str:
    if not set(first) & set(then):
        return "tuning changes the winner"
    if len(first) == len(then) == 1:
        return "tuning does not change the winner"
    return "this run cannot tell whether tuning changes the winner"


def _alone(context: Context, tuned: list[Tuned], of: str) -> str | None:
    """Of a single contestant, or where none has results of both kinds."""
    for t in tuned:
        if t.default and t.tuned and t.default.has(FINAL) and t.tuned.has(FINAL):
            before, after, over = ends(FINAL, t.default, t.tuned)
            a, b = value(FINAL, before), value(FINAL, after)
            sure = certainty(context.standings.between(FINAL, t.default, t.tuned))
            return f"{t.label} as {of} ends at {b}, with default values at {a}{over}: {sure}."
    best, tried_points = max(tuned, key=lambda t: t.best), sum(len(t.points) for t in tuned)
    if not best.best:
        return (
            f"None of {counted(tried_points, 'point')} came to its end." if tried_points else None
        )
    rest = "none is trained on all images yet"
    if any(t.tuned for t in tuned):
        rest = "no training at a chosen point has come to its end"
    return (
        f"Of {counted(tried_points, 'point')} that were tried, the best has "
        f"{percent(best.best)} validation accuracy ({best.label}); {rest}."
    )


def _tables(context: Context) -> Iterator[Table]:
    tuned = _all(context)
    yield _ranks(context, tuned)
    yield _chosen(tuned)
    yield _spaces(context)


def _ranks(context: Context, tuned: list[Tuned]) -> Table:
    rankings = [ranking for ranking in _rankings(context, tuned) if ranking]
    places = {place.group.label: place.rank for r in rankings for place in r.places}
    rows = []
    for t in tuned:
        pair = (t.default, t.tuned)
        ranks = [places.get(g.label, MISSING) if g else MISSING for g in pair]
        ends = [value(FINAL, g.metric(FINAL)) if g else "" for g in pair]
        both = t.default and t.tuned and context.standings.between(FINAL, t.default, t.tuned)
        default, chosen = (list(g.trials) if g else [] for g in pair)
        row = (
            *(t.label, ranks[0], ends[0] or MISSING, ranks[1], ends[1] or MISSING),
            *((change_text(both.effect), both.verdict.text) if both else (MISSING, MISSING)),
            *(_cost(default), _cost([*t.points, *chosen])),
        )
        rows.append(row)
    headers = (
        *("Contestant", "Rank, default values", "Test accuracy, default values"),
        *("Rank, tuned", "Test accuracy, tuned", "Tuned against default (95 %)", "Verdict"),
        *("Cost of the default", "Cost of the tuned, tuning included"),
    )
    return text_table(headers, rows)


def _cost(trials: list[TrialResult]) -> str:
    """Trials, seconds and floating-point operations."""
    seconds = sum(t.seconds for t in trials)
    flop = [known for t in trials if (known := training_flop(t)) is not None]
    operations = f", {sum(flop):.1e} FLOP".replace("e+", "e") if flop else ""
    return f"{counted(len(trials), 'trial')}, {seconds:,.0f} s{operations}"


def _chosen(tuned: list[Tuned]) -> Table:
    columns: dict[str, list[str]] = {"Contestant": [t.label for t in tuned]}
    columns["Points tried"] = [str(len(t.points)) for t in tuned]
    columns["failed"] = [str(sum(p.status != "done" for p in t.points)) for t in tuned]
    columns["Chosen"] = [str((t.choice and t.choice.point) or MISSING) for t in tuned]
    for name in CHOSEN:
        columns[LABELS[name].capitalize()] = [_value_text(t, name) for t in tuned]
    columns["Validation accuracy"] = [percent(t.best) if t.points else MISSING for t in tuned]
    columns[f"within {NEAR * 100:g} percentage points of it"] = [
        str(sum(p.status == "done" and accuracy_of(p) >= t.best - NEAR for p in t.points))
        for t in tuned
    ]
    return table_of(columns)


def _value_text(tuned: Tuned, name: str) -> str:
    """A chosen value, marked where it lies at the edge, beside the default one."""
    beside = f" (default {value_of(tuned.contestant.default, name):g})"
    if tuned.choice is None or tuned.choice.setting is None:
        return MISSING + beside
    edge = {"low": " ↓ edge", "high": " ↑ edge", None: ""}[tuned.choice.edges.get(name)]
    return f"{value_of(tuned.choice.setting, name):g}{edge}{beside}"


def _spaces(context: Context) -> Table:
    declared = context.run.tuning_declared
    rows = [
        (
            *(name, LABELS[d.name], f"{d.low:g}", f"{d.high:g}"),
            *("logarithmic" if d.log else "linear", d.source),
        )
        for name, space in (declared.spaces if declared else {}).items()
        for d in space
    ]
    return text_table(("Search space of", "Value", "from", "to", "Scale", "Source"), rows)


def edge_sentences(context: Context) -> Iterator[str]:
    """Which chosen points lie at the edge of their space."""
    for t in _all(context):
        if t.choice is not None and t.choice.edges:
            yield f"The point that was chosen for {t.label} lies {edges_text(t.choice.edges)}."


def _remarks(context: Context) -> Iterator[str]:
    declared, data = context.run.tuning_declared, context.run.dataset
    if declared is None:
        return
    yield from edge_sentences(context)
    budget, cut = len(declared.points), len(points_left_out(context.run))
    of = f"{budget - cut} of {budget}" if cut else f"{budget}"
    yield (
        f"Every contestant tries the same {of} points of a scrambled Sobol "
        f"sequence (seed {declared.points_seed}), mapped to its search space, with one "
        f"seed, on {data.train_images:,} images, judged on {data.validation_images:,} validation "
        "images after the last epoch; a trial that failed counts as tried, with 0 %. Then it is "
        f"trained on all {declared.retrained_on.train_images:,} training images with other seeds, "
        "and tested once a trial."
    )
    yield (
        "The best of so many points under this space says nothing of other spaces or larger "
        "budgets. Validation accuracy of the chosen point is picked, so optimistic; test accuracy "
        "is not. FLOP are two for each multiply-add of completed epochs, without auxiliary "
        "heads and repetitions; seconds are wall-clock, with them."
    )


@picture(
    "tuning_ranks",
    "Test accuracy with default values and tuned, a line per contestant",
    "Means with 95 % intervals over seeds; lines that cross are ranks that change, which may be "
    "chance: the table has the verdicts.",
)
def _slopes(context: Context) -> Figure | None:
    pairs = [t for t in _all(context) if t.default and t.tuned]
    if not pairs:
        return None
    looks = _looks(context)
    with canvas(context.run, "What tuning changes") as (figure, (ax,)):
        for i, t in enumerate(pairs):
            means = [(x, g.metric(FINAL)) for x, g in enumerate((t.default, t.tuned)) if g]
            shift = 0.04 * (i - (len(pairs) - 1) / 2)
            known = [(x + shift, mean) for x, mean in means if mean]
            ax.errorbar(
                [x for x, _ in known],
                [mean.mean for _, mean in known],
                [mean.half_width or 0.0 for _, mean in known],
                **_line(looks[t.label]),
                capsize=3,
                label=shortened(t.label),
            )
        ax.set_xticks([0, 1], ["default values", "tuned"])
        ax.set(xlim=(-0.4, 1.4), ylabel="Test accuracy, last epoch")
        percent_axis(ax, decimals=None)
        legend_beside(figure)
    return figure


def _line(look: Look) -> dict[str, Any]:
    return {"color": look.colour, "linestyle": look.line_style, "marker": "o"}


@picture(
    "tuning_budget",
    "Expected best validation accuracy of k points, a line per contestant",
    "The mean over all choices of k of the points that were tried, without replacement (Tang et "
    "al., arXiv 2004.13705), which is a little too high for points that are spread evenly. "
    "The band is the 95 % interval of the median best of k, from order statistics; where points "
    "are too few to set it an end, it is open there.",
)
def _budget(context: Context) -> Figure | None:
    known = [t for t in _all(context) if len(t.points) > 1]
    if not known:
        return None
    looks = _looks(context)
    curves = [best_by_budget(context.run, t.contestant) for t in known]
    top = max(curve[-1].expected for curve in curves)
    floor = min(best.low or 0.0 for curve in curves for best in curve)
    room = 0.15 * (top - floor) or 0.01
    columns = min(PANELS, len(known))
    rows, title = -(-len(known) // columns), "Expected best validation accuracy by budget"
    with canvas(context.run, title, columns, rows=rows) as (figure, axes):
        for ax, t, best in zip(axes, known, curves, strict=False):
            k = [b.k for b in best]
            low = [b.low or 0.0 for b in best]
            high = [1.0 if b.high is None else b.high for b in best]
            look = looks[t.label]
            ax.fill_between(k, low, high, color=look.colour, alpha=0.15, linewidth=0)
            ax.plot(k, [b.expected for b in best], **_line(look))
            ax.set_title(shortened(t.label), fontsize=11)
            ax.set(xlabel="Points tried", ylim=(floor - room / 3, top + room))
            whole_numbers(ax.xaxis)
            percent_axis(ax, decimals=None)
        for ax in axes[::columns]:
            ax.set(ylabel="Best validation accuracy")
        for ax in axes[len(known) :]:
            ax.set_axis_off()
    return figure


@picture(
    "tuning_rates",
    "Validation accuracy over learning rate, a dot per point, a panel per search space",
    "The other values differ from dot to dot, too. Bars are Wilson's 95 % intervals for the number "
    "of validation images, and lie side by side where rates are equal; crosses failed; the ring is "
    "what was chosen.",
)
def _rates(context: Context) -> Figure | None:
    tuned = [t for t in _all(context) if t.points]
    if not tuned:
        return None
    spaces = list(dict.fromkeys(space_of(t.contestant.default) for t in tuned))
    looks, count = _looks(context), context.run.dataset.validation_images
    with canvas(context.run, "Sensitivity to the learning rate", columns=len(spaces)) as (
        figure,
        axes,
    ):
        handles = []
        for ax, name in zip(axes, spaces, strict=True):
            shown = [t for t in tuned if space_of(t.contestant.default) == name]
            for i, t in enumerate(shown):
                before = [s.contestant.model for s in shown[:i]]
                marker = MARKERS[before.count(t.contestant.model) % len(MARKERS)]
                shift = 1.03 ** (i - (len(shown) - 1) / 2)
                look = {"color": looks[t.label].colour, "marker": marker}
                handles.append(_draw_points(ax, t, shift, look, count))
            ax.set(xscale="log", xlabel="Learning rate", title=name)
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_locator(NullLocator())
            percent_axis(ax)
        axes[0].set(ylabel="Validation accuracy, last epoch")
        legend_beside(figure, handles=handles)
    return figure


def _draw_points(
    ax: Axes, tuned: Tuned, shift: float, look: dict[str, Any], count: int
) -> ErrorbarContainer:
    """The points of a contestant, each rate times `shift`; what a legend shows of them."""
    rates = [shift * p.trial.setting.learning_rate for p in tuned.points if p.status == "done"]
    values = [accuracy_of(p) for p in tuned.points if p.status == "done"]
    ends = [share_interval(v * count, count) for v in values]
    bars = [
        [v - low for v, (low, _) in zip(values, ends, strict=True)],
        [high - v for v, (_, high) in zip(values, ends, strict=True)],
    ]
    style: Any = {"linestyle": "none", "elinewidth": 1, "alpha": 0.8}
    drawn = ax.errorbar(rates, values, bars, label=shortened(tuned.label), **look, **style)
    failed = [shift * p.trial.setting.learning_rate for p in tuned.points if p.status != "done"]
    ax.plot(failed, [0.0] * len(failed), "x", color=look["color"], ms=8)
    if tuned.choice is not None and tuned.choice.setting is not None:
        at = shift * tuned.choice.setting.learning_rate, tuned.choice.validation_accuracy or 0.0
        ax.plot(*at, "o", ms=14, mfc="none", color=look["color"])
    return drawn


SECTIONS = (
    Section(
        *(135, "tuning", "Does tuning change who wins?", _finding, _tables),
        (_slopes, _budget, _rates),
        _remarks,
    ),
)

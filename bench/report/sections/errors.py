"""Errors beyond accuracy: which classes go wrong, what they are taken for, and whether confidence
can be trusted."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.analysis.classification import (
    BINS,
    Counts,
    Reliability,
    class_accuracies,
    most_confused,
    worst_and_best,
)
from bench.analysis.classified import NOT_KEPT, classified, left_out
from bench.analysis.formatting import MISSING, listed, percent, shortened
from bench.analysis.intervals import share_interval
from bench.analysis.trial_group import TrialGroup
from bench.report.context import Context
from bench.report.sections.base import (
    Picture,
    Section,
    certainty,
    ends,
    picture,
    sorted_by,
    value,
)
from bench.report.style import canvas, draw_legend, measured_on, name_rows, percent_axis
from bench.report.tables import Cell, Table, metric_table
from bench.units import counted

Ends = NDArray[np.float64]

FINAL, ECE = "final_test_accuracy", "ece"

MOST_MODELS = 6
"""Models that are drawn: those that end highest, if there are more."""

MOST_CLASSES = 20
"""Classes that are drawn: those with the lowest accuracy, if there are more."""

FEWEST_IMAGES = 10
"""A bin of confidence with fewer images says nothing of its accuracy."""

INTERVALS = (
    "Intervals are Wilson's, 95 %: how well the images of a class tell its accuracy. What other "
    "seeds would change they do not cover; with several seeds, figures of a class are means."
)


@dataclass(frozen=True, eq=False)
class Answers:
    """What the networks of a group answered, over its `seeds`: counts are sums."""

    group: TrialGroup
    seeds: int
    confusion: Counts
    reliability: Reliability

    def class_text(self, number: int) -> str:
        """A class with its accuracy and the interval."""
        accuracy, (low, high) = class_accuracies(self.confusion)[number], self.interval([number])
        return f"{self.names[number]} {percent(accuracy)} ({low[0] * 100:.1f}–{high[0] * 100:.1f})"

    def interval(self, numbers: list[int]) -> tuple[Ends, Ends]:
        """The intervals of classes' accuracies: several seeds have seen no other images than
        one."""
        right, images = self.confusion.diagonal(), self.confusion.sum(axis=1)
        return share_interval(right[numbers] / self.seeds, images[numbers] / self.seeds)

    @property
    def names(self) -> list[str]:
        """The classes."""
        return [shortened(n, 24) for n in self.group.trials[0].run.dataset.classes]

    @property
    def mistake(self) -> str:
        """The most frequent one, in words; empty if all is right."""
        return mistake(self.confusion, self.names)


def mistake(confusion: Counts, names: Sequence[str]) -> str:
    """The most frequent mistake in words, of the share of a class; empty if all is right."""
    found = most_confused(confusion)
    if found is None:
        return ""
    of, taken_for, share = found
    return f"{percent(share)} of {names[of]} taken for {names[taken_for]}"


def answers(groups: Iterable[TrialGroup]) -> list[Answers]:
    """The groups of whose networks any answers are known."""
    found = []
    for group in groups:
        known = [a for trial in group.trained if (a := classified(trial))]
        if known:
            confusion = reduce(add, (a.confusion for a in known))
            reliability = reduce(add, (a.reliability for a in known))
            found.append(Answers(group, len(known), confusion, reliability))
    return found


def _finding(context: Context) -> str | None:
    found = answers(context.trained)
    if not found:
        lacking = sum(why != NOT_KEPT for why in left_out(context.run).values())
        trials = counted(lacking, "trial")
        return f"The test logits of {trials} cannot be read." if lacking else None
    if len(found) == 1:
        return _alone(found[0])
    together = np.sum([a.confusion / a.seeds for a in found], axis=0)
    names, accuracies = found[0].names, class_accuracies(together)
    worst, best = worst_and_best(together)
    low, high = (f"{names[n]} ({percent(accuracies[n])})" for n in (worst, best))
    where = f"lowest in {low} and highest in {high}"
    if worst == best:  # of equal ones both are the first
        where = f"equal in every class, {percent(accuracies[best])}"
    clauses = [f"Over all {len(found)} groups, accuracy is {where}"]
    if most := mistake(together, names):
        clauses.append(f"the most frequent mistake is {most}")
    return "; ".join([*clauses, *_calibration(context)]) + "."


def _alone(a: Answers) -> str:
    worst, best = worst_and_best(a.confusion)
    low, high = a.class_text(worst), a.class_text(best)
    text = f"{a.group.label} has its lowest accuracy in {low}, its highest in {high}"
    if worst == best:
        accuracy = percent(class_accuracies(a.confusion)[best])
        text = f"{a.group.label} is equally accurate in every class, {accuracy}"
    text += f"; its most frequent mistake is {a.mistake}" if a.mistake else ""
    return f"{text}; its calibration error is {value(ECE, a.group.metric(ECE))}."


def _calibration(context: Context) -> Iterator[str]:
    ranking = context.standings.ranking(ECE)
    if ranking is None:
        return
    first, last = ranking.places[0], ranking.hindmost
    a, b, over = ends(ECE, first.group, last.group)
    if over and a and b and a.mean > b.mean:
        (first, a), (last, b) = (last, b), (first, a)
    yield (
        f"calibration error is lowest for {first.group.label} ({value(ECE, a)}) and highest for "
        f"{last.group.label} ({value(ECE, b)}){over}: {certainty(ranking.hindmost.difference)}"
    )


def _tables(context: Context) -> tuple[Table, ...]:
    found = answers(context.trained)
    ends = [worst_and_best(a.confusion) for a in found]
    more = {
        "Confidence above accuracy (points)": [
            f"{a.reliability.overconfidence * 100:+.1f}" for a in found
        ],
        "Worst class": [a.class_text(worst) for a, (worst, _) in zip(found, ends, strict=True)],
        "Best class": [a.class_text(best) for a, (_, best) in zip(found, ends, strict=True)],
        "Most frequent mistake": [a.mistake or MISSING for a in found],
    }
    cells = {header: list(map(Cell, texts)) for header, texts in more.items()}
    return (metric_table([a.group for a in found], (FINAL, ECE), cells),)


def _drawn(context: Context) -> list[Answers]:
    found = answers(context.trained)
    if len(found) <= MOST_MODELS:
        return found
    highest = sorted_by([a.group for a in found], FINAL, highest=True)[:MOST_MODELS]
    kept = {group.label for group, _ in highest}
    return [a for a in found if a.group.label in kept]


def _classes(drawn: Sequence[Answers]) -> list[int]:
    """The classes to draw, from the lowest mean accuracy up."""
    means = np.mean([class_accuracies(a.confusion) for a in drawn], axis=0)
    return [int(n) for n in np.argsort(means, kind="stable") if not np.isnan(means[n])][
        :MOST_CLASSES
    ]


@picture(
    "class_accuracy",
    "Test accuracy in each class, a dot per model",
    "After the last epoch; classes from the lowest mean accuracy up, at most 20. " + INTERVALS,
)
def _class_accuracy(context: Context) -> Figure | None:
    drawn = _drawn(context)
    if not drawn:
        return None
    classes, title = _classes(drawn), "Test accuracy in each class"
    bars = round(len(classes) * (0.4 + 0.1 * len(drawn)))
    with canvas(context.run, title, bars=bars) as (figure, (ax,)):
        for turn, a in enumerate(drawn):
            accuracies = class_accuracies(a.confusion)[classes]
            low, high = a.interval(classes)
            rows = np.arange(len(classes)) + 0.6 * ((turn + 0.5) / len(drawn) - 0.5)
            reach = np.maximum(0.0, [accuracies - low, high - accuracies])
            look: Any = {"color": context.looks[a.group.label].colour, "capsize": 2}
            ax.errorbar(
                accuracies, rows, xerr=reach, fmt="o", label=shortened(a.group.label), **look
            )
        name_rows(ax, [drawn[0].names[n] for n in classes])
        ax.set_ylim(len(classes) - 0.5, -0.5)
        ax.set(xlabel="Test accuracy, 95 % interval", xlim=(0, 1))
        percent_axis(ax, "x")
        if len(drawn) > 1:
            draw_legend(ax)
    return figure


@picture(
    "reliability",
    "Accuracy against confidence, and how confident the answers are, a line per model",
    "Confidence is the probability of the class that was answered, in 15 bins of equal width; bins "
    "of fewer than 10 images are left out on the left. Below the diagonal, a network is surer than "
    "it is right.",
)
def _reliability(context: Context) -> Figure | None:
    drawn = _drawn(context)
    if not drawn:
        return None
    with canvas(context.run, "Accuracy against confidence", columns=2) as (figure, axes):
        axes[0].plot((0, 1), (0, 1), color="#999999", linewidth=1)
        for a in drawn:
            bins, look = a.reliability, context.looks[a.group.label]
            style: Any = {"color": look.colour, "linestyle": look.line_style}
            full = bins.images >= FEWEST_IMAGES
            x, y = bins.confidence[full] / bins.images[full], bins.right[full] / bins.images[full]
            axes[0].plot(x, y, marker="o", label=shortened(a.group.label), **style)
            shares = bins.images / bins.images.sum()
            axes[1].stairs(shares, np.linspace(0, 1, BINS + 1), linewidth=2, **style)
        axes[0].set(xlabel="Mean confidence", ylabel="Test accuracy", xlim=(0, 1), ylim=(0, 1))
        axes[1].set(xlabel="Confidence", ylabel="Share of the test images", xlim=(0, 1))
        for ax in axes:
            percent_axis(ax, "x")
            percent_axis(ax)
        draw_legend(axes[0])
    return figure


def _confusions(context: Context) -> Iterator[Picture]:
    """A matrix per model; labels come from outside, files are numbered."""
    for number, a in enumerate(_drawn(context)):
        yield Picture(
            f"confusion/{number:02}",
            f"{a.group.label}: what the images of each class are taken for",
            "A row is a class, with the percentage of its test images by the answer after the last "
            "epoch; off the diagonal are the mistakes.",
            partial(_confusion, a),
        )


def _confusion(a: Answers, context: Context) -> Figure:
    confusion, names = a.confusion, a.names
    shown = sorted(_classes([a])) if len(names) > MOST_CLASSES else list(range(len(names)))
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    cells = shares[np.ix_(shown, shown)]
    title = f"{shortened(a.group.label)}: confusion matrix"
    some = f"the {len(shown)} classes with the lowest accuracy; " if len(shown) < len(names) else ""
    with canvas(some + measured_on(context.run), title) as (figure, (ax,)):
        figure.set_size_inches(8, 7.5)
        image = ax.imshow(cells, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(cells):
            if share >= 0.005:
                colour = "white" if share > 0.45 else "#333333"
                text = f"{share * 100:.0f}"
                ax.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
        ax.set_xticks(range(len(shown)), [names[n] for n in shown], rotation=45, ha="right")
        ax.set_yticks(range(len(shown)), [names[n] for n in shown])
        ax.set(xlabel="Answer", ylabel="Class")
        ax.grid(visible=False)
        bar = figure.colorbar(image, ax=ax, shrink=0.7, label="Share of the class (%)")
        percent_axis(bar.ax, decimals=0)
    return figure


def _remarks(context: Context) -> Iterator[str]:
    yield (
        "From the test logits after the last epoch, which the run folder keeps. Calibration error "
        f"is the expected calibration error (ECE) in {BINS} bins of equal width; with few test "
        "images, chance alone makes it larger. classes.csv has every class of every trial."
    )
    if len(answers(context.trained)) > MOST_MODELS:
        yield f"Drawn are the {MOST_MODELS} models that end highest; the table has all."
    if lacking := left_out(context.run):
        reasons = [f"{context.labels[trial]} ({why})" for trial, why in lacking.items()]
        yield f"Left out, for want of their logits: {listed(reasons)}."


SECTIONS = (
    Section(
        22,
        "errors",
        "Errors beyond accuracy",
        _finding,
        _tables,
        (_class_accuracy, _reliability),
        _remarks,
        _confusions,
    ),
)

"""What parameters and multiply-adds buy in accuracy."""

from typing import Any

from matplotlib.figure import Figure

from bench.analysis.formatting import ratio, shortened
from bench.analysis.intervals import Estimate
from bench.report.context import Context
from bench.report.sections import base
from bench.report.sections.base import certainty, ends, leaders, value
from bench.report.style import canvas, draw_legend, percent_axis

FINAL = "final_test_accuracy"

MOST_NAMED = 4
"""Points with their names beside them; of more, names would cover each other."""


def _finding(context: Context) -> str | None:
    """Where the smallest model stands, against the most accurate one."""
    ranking = context.standings.ranking(FINAL)
    if ranking is None:
        return None
    sizes = base.sorted_by([place.group for place in ranking.places], "params", highest=False)
    if len({size.mean for _, size in sizes}) < 2:
        return None
    (small, count), ((best, accuracy), (second, _), over) = sizes[0], leaders(ranking)
    if small is best:
        sure = certainty(ranking.differences[best.label, second.label])
        return (
            f"{small.label}, with the fewest parameters ({_millions(count)}), is also the "
            f"most accurate, at {value(FINAL, accuracy)}{over}, before {second.label}; {sure}."
        )
    difference = ranking.differences[best.label, small.label]
    size, gap = best.metric("params") or count, difference.effect.change
    _, _, over = ends(FINAL, best, small)
    far = f"{abs(gap) * 100:.1f} points {'below' if gap < 0 else 'above'}" if gap else "level with"
    return (
        f"{small.label} has the fewest parameters, {_millions(count)}, and ends {far} "
        f"{best.label}{over}, with {_millions(size)}, {ratio(size.mean, count.mean)} as many; "
        f"{certainty(difference)}."
    )


def _millions(count: Estimate) -> str:
    return f"{count.mean / 1e6:.2f} million"


@base.picture(
    "parameters_accuracy",
    "Test accuracy of the last epoch against parameters and GMACs, a point per model",
    "Parameters as trained, auxiliary heads included; GMACs of one inference, without them.",
)
def _figure(context: Context) -> Figure:
    """A labelled point per group; bars are 95 % intervals over seeds."""
    title = "Parameters and GMACs against accuracy"
    with canvas(context.run, title, columns=2) as (figure, axes):
        for ax, metric, scale in zip(axes, ("params", "gmacs"), (1e-6, 1.0), strict=True):
            for group in context.trained:
                accuracy, x = (group.metric(name) for name in (FINAL, metric))
                if accuracy is None or x is None:
                    continue
                at, colour = (x.mean * scale, accuracy.mean), context.looks[group.label].colour
                name, beside = shortened(group.label), (8, 6)
                style: Any = {"fmt": "o", "color": colour, "ms": 9, "capsize": 3}
                ax.errorbar(*at, accuracy.half_width, label=name, **style)
                if len(context.trained) <= MOST_NAMED:
                    ax.annotate(name, at, xytext=beside, textcoords="offset points", color=colour)
            ax.margins(x=0.3, y=0.25)
            low, high = ax.get_ylim()
            ax.set_ylim(max(0.0, low), min(1.0, high))
            percent_axis(ax)
        axes[0].set(xlabel="Parameters as trained, auxiliary heads included (10⁶)")
        axes[0].set(ylabel="Test accuracy, last epoch")
        axes[1].set(xlabel="GMACs of one inference (10⁹ multiply-adds)")
        if len(context.trained) > MOST_NAMED:
            draw_legend(axes[0], inside=0)
    return figure


_tables = base.metrics_of_trained("params", "params_aux", "params_imagenet", "gmacs", FINAL)
SECTIONS = (
    base.Section(60, "parameters", "Parameters against accuracy", _finding, _tables, (_figure,)),
)

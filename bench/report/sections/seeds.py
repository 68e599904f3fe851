"""How far the seeds of one model lie apart."""

from matplotlib.figure import Figure

from bench.analysis.formatting import MISSING, percent, shortened
from bench.report.context import Context
from bench.report.sections.base import Picture, Section, value
from bench.report.style import canvas, percent_axis
from bench.report.tables import Table, text_table

FINAL = "final_test_accuracy"


def _finding(context: Context) -> str | None:
    """The widest spread of any group."""
    finals = [
        (group, [trial.epochs[-1].test_accuracy for trial in group.trained])
        for group in context.finished
    ]
    several = [(group, values) for group, values in finals if len(values) > 1]
    if not several:
        return None
    widest, values = max(several, key=lambda pair: max(pair[1]) - min(pair[1]))
    spread = (max(values) - min(values)) * 100
    return (
        f"Over {len(values)} seeds, {widest.label}'s last test accuracy varies most, by "
        f"{spread:.1f} points ({percent(min(values))} to {percent(max(values))})."
    )


def _tables(context: Context) -> tuple[Table, ...]:
    numbers = sorted({t.trial.seed for group in context.groups for t in group.trained})
    rows = []
    for group in context.groups:
        finals = {t.trial.seed: t.epochs[-1].test_accuracy for t in group.trained}
        cells = [f"{finals[n] * 100:.1f}" if n in finals else MISSING for n in numbers]
        rows.append((group.label, *cells, value(FINAL, group.metric(FINAL)) or MISSING))
    return (
        text_table(("Model", *(f"Seed {n} (%)" for n in numbers), "Mean ± 95 % interval"), rows),
    )


def _figure(context: Context) -> Figure:
    """The last epoch's test accuracy of each seed, and below it the mean with its interval."""
    trained, title = context.trained, "Test accuracy of the last epoch, seed by seed"
    with canvas(context.run, title, bars=len(trained)) as (figure, (ax,)):
        for row, group in enumerate(trained):
            colour = context.looks[group.label].colour
            finals = [trial.epochs[-1].test_accuracy for trial in group.trained]
            ax.plot(finals, [row] * len(finals), "o", color=colour, alpha=0.5, ms=8)
            mean = group.metric(FINAL)
            if mean is not None:
                at, room = (mean.mean, row + 0.22), mean.half_width
                ax.errorbar(*at, xerr=room, fmt="d", color=colour, capsize=4)
        ax.set_yticks(range(len(trained)), [shortened(group.label) for group in trained])
        ax.set_ylim(len(trained) - 0.4, -0.6)
        ax.set(xlabel="Each seed (dots), mean and 95 % interval (below)")
        percent_axis(ax, "x", decimals=None)
        ax.grid(visible=False, axis="y")
    return figure


SECTIONS = (
    Section(
        140,
        "seeds",
        "Seeds",
        _finding,
        _tables,
        (
            Picture(
                "seeds",
                "Test accuracy of the last epoch, a dot per seed",
                "One model is trained several times; nothing but the random numbers differs.",
                _figure,
            ),
        ),
    ),
)

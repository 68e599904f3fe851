"""How far the seeds of one model lie apart."""

from matplotlib.figure import Figure

from bench.analysis.formatting import MISSING, percent, shortened
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import TrialGroup
from bench.report.context import Context
from bench.report.sections.base import Section, picture, value
from bench.report.style import canvas, percent_axis
from bench.report.tables import Table, table_of

FINAL = "final_test_accuracy"


def _groups(context: Context) -> list[TrialGroup]:
    """Those that came to their end: others broke off after unlike numbers of epochs."""
    return [group for group in context.groups if group.finished]


def _finals(group: TrialGroup) -> dict[int, float]:
    """Test accuracy after the last epoch, by seed."""
    finals = {trial.trial.seed: BY_NAME[FINAL].value(trial) for trial in group.trained}
    return {seed: value for seed, value in finals.items() if isinstance(value, float)}


def _finding(context: Context) -> str | None:
    """The widest spread of any group."""
    finals = [(group, [*_finals(group).values()]) for group in _groups(context)]
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
    groups = _groups(context)
    numbers = sorted({t.trial.seed for group in groups for t in group.trained})
    finals = [
        {seed: f"{value * 100:.1f}" for seed, value in _finals(group).items()} for group in groups
    ]
    means = [value(FINAL, group.metric(FINAL)) or MISSING for group in groups]
    columns = {f"Seed {n} (%)": [texts.get(n, MISSING) for texts in finals] for n in numbers}
    names = {"Model": [group.label for group in groups]}
    return (table_of(names | columns | {"Mean ± 95 % interval": means}, source="models.csv"),)


@picture(
    "seeds",
    "Test accuracy of the last epoch, a dot per seed",
    "One model is trained several times; nothing but the random numbers differs.",
)
def _figure(context: Context) -> Figure:
    """The last epoch's test accuracy of each seed, and below it the mean with its interval."""
    trained, title = _groups(context), "Test accuracy of the last epoch, seed by seed"
    with canvas(context.run, title, bars=len(trained)) as (figure, (ax,)):
        for row, group in enumerate(trained):
            colour = context.looks[group.label].colour
            finals = [*_finals(group).values()]
            ax.plot(finals, [row] * len(finals), "o", color=colour, alpha=0.5, ms=8)
            mean = group.metric(FINAL)
            if mean is not None:
                at, room = (mean.mean, row + 0.22), mean.half_width
                ax.errorbar(*at, xerr=room, fmt="d", color=colour, capsize=4)
        ax.set_yticks(range(len(trained)), [shortened(group.label) for group in trained])
        ax.set_ylim(len(trained) - 0.4, -0.6)
        ax.set(xlabel="Test accuracy; dots: each seed,\nbelow: mean and 95 % interval")
        percent_axis(ax, "x")
        ax.grid(visible=False, axis="y")
    return figure


SECTIONS = (Section(140, "seeds", "Seeds", _finding, _tables, (_figure,)),)

"""How far a run's times can be trusted: noise, and the machine itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from bench.analysis.formatting import percent, shortened
from bench.analysis.noise import WARMUP_STEPS, noise_of
from bench.records.run import Run, TrialResult
from bench.report.context import Context
from bench.report.sections.base import Section, known_table, picture
from bench.report.style import canvas, draw_legend, whole_numbers
from bench.report.tables import Table, table_of
from bench.units import counted

COLUMNS = (
    *("step_milliseconds", "step_mean_milliseconds", "step_p95_milliseconds"),
    *("step_mad_milliseconds", "step_low_milliseconds", "step_high_milliseconds"),
    *("step_spread", "step_outliers", "steps_counted", "first_step_seconds", "first_epoch_ratio"),
    *("other_busy_cores", "calibration_gflops", "sm_clock_mhz", "temperature_celsius"),
)

MOST_STEPS = 1000
"""Points of a line of steps; of more, each stretch keeps its shortest and its longest."""


@dataclass(frozen=True)
class MachineSpeed:
    """The speed of the fixed matrix product over a run, GFLOP/s: the median of each trial."""

    low: float
    high: float

    @property
    def change(self) -> float:
        """How much faster the machine was at its best than at its worst, as a share."""
        return self.high / self.low - 1


def machine_speed(trials: Sequence[TrialResult]) -> MachineSpeed | None:
    """How much the machine itself changed over trials of one precision; the widest, of several."""
    made = [calibration for trial in trials for calibration in trial.calibrations]
    precisions = dict.fromkeys(calibration.precision for calibration in made)
    by_precision = [[c.gflops for c in made if c.precision == p] for p in precisions]
    ranges = [MachineSpeed(min(speeds), max(speeds)) for speeds in by_precision]
    return max(ranges, key=lambda speed: speed.change, default=None)


def timed_trials(run: Run) -> list[TrialResult]:
    """The trials whose steps were timed, points of tuning among them."""
    return [trial for trial in run.trials if any(epoch.step_times for epoch in trial.epochs)]


def noisy_trials(run: Run) -> list[tuple[TrialResult, tuple[str, ...]]]:
    """Those whose times cannot be trusted, and why."""
    return [(trial, why) for trial in timed_trials(run) if (why := noise_of(trial))]


def _finding(context: Context) -> str | None:
    """How many trials were quiet, and how much the machine changed."""
    trials = timed_trials(context.run)
    if not trials:
        return None
    quiet = len(trials) - len(noisy_trials(context.run))
    verb = "was" if len(trials) == 1 else "were"
    said = f"{quiet} of {counted(len(trials), 'trial')} {verb} quiet"
    speed = machine_speed(trials)
    if speed is None:
        return f"{said}; the machine's own speed was not watched."
    between = f"between {speed.low:,.1f} and {speed.high:,.1f} GFLOP/s"
    return (
        f"{said}; a fixed matrix product, timed before and after each, ran {between}, at best "
        f"{percent(speed.change)} faster than at worst, which verdicts on speeds allow for."
    )


def _tables(context: Context) -> tuple[Table, ...]:
    noisy = noisy_trials(context.run)
    names = [context.labels[trial.trial.id] for trial, _ in noisy]
    reasons = {"Trial": names, "Why its times may mislead": ["; ".join(why) for _, why in noisy]}
    return known_table(context.trained, COLUMNS), table_of(reasons, source="models.csv")


def _remarks(context: Context) -> list[str]:
    """The rule of warming up, and what was done about noise."""
    repeated = sum(len(trial.repeated) for trial in context.run.trials)
    rule = (
        f"Every model warms up alike: its first {WARMUP_STEPS} steps are in no statistics of "
        "steps, its first epoch in no time of an epoch; both are given apart. Outliers are "
        "counted, and nothing is left out for being one."
    )
    again = f"Noisy trials were repeated, {counted(repeated, 'time')} in all."
    return [rule, again] if repeated else [rule]


@picture(
    "steps",
    "Time of every step in order, a line per model, and of the fixed matrix product",
    "Steps of the first seed, raw; the matrix product of every trial, in order.",
)
def _figure(context: Context) -> Figure | None:
    """Raw step times in order, and the machine's own speed trial by trial."""
    groups = [g for g in context.trained if any(e.step_times for e in g.trained[0].epochs)]
    if not groups:
        return None
    watched = any(trial.calibrations for trial in context.run.trials)
    title = "Steps, and the machine itself" if watched else "Every step in order"
    with canvas(context.run, title, columns=1 + watched) as (figure, (steps, *others)):
        for group in groups:
            epochs, look = group.trained[0].epochs, context.looks[group.label]
            points = [
                ((e.epoch - 1) * e.steps + 1 + i * e.step_times_every, 1e3 * seconds)
                for e in epochs
                for i, seconds in enumerate(e.step_times)
            ]
            drawn = extremes([time for _, time in points])
            x, y = [points[i][0] for i in drawn], [points[i][1] for i in drawn]
            style: Any = {"linewidth": 0.8, "linestyle": look.line_style}
            steps.plot(x, y, color=look.colour, label=shortened(group.label), **style)
        at, speeds = [], []
        for position, trial in enumerate(context.run.trials, 1):
            for c, shift in zip(trial.calibrations, (-0.2, 0.2), strict=False):
                at.append(position + shift)
                speeds.append(c.gflops)
        for machine in others:
            machine.plot(at, speeds, "o-", color="#555555", linewidth=1)
            machine.set(xlabel="Trial, in the order they ran")
            machine.set(ylabel="Fixed matrix product (GFLOP/s)")
            whole_numbers(machine.xaxis)
            machine.set_ylim(0, 1.15 * max(speeds))
        steps.set(xlabel="Step, first seed", ylabel="Step time (ms)")
        whole_numbers(steps.xaxis, 6)
        low, high = steps.dataLim.intervaly
        if high > 10 * low:  # on a shorter logarithmic axis hardly a tick has a number
            steps.set_yscale("log")
            steps.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            steps.yaxis.set_minor_formatter(NullFormatter())
        steps.yaxis.set_major_formatter("{x:,g}")
        draw_legend(steps)
    return figure


def extremes(values: Sequence[float]) -> list[int]:
    """Places of at most `MOST_STEPS` values that show where the others lie, outliers included."""
    if len(values) <= MOST_STEPS:
        return list(range(len(values)))
    size = -(-2 * len(values) // MOST_STEPS)
    kept: list[int] = []
    for start in range(0, len(values), size):
        stretch = range(len(values))[start : start + size]
        kept += sorted({end(stretch, key=values.__getitem__) for end in (min, max)})
    return kept


_title = "How far the times can be trusted"
SECTIONS = (Section(150, "trust", _title, _finding, _tables, (_figure,), _remarks),)

"""How far a run's times can be trusted: what a report says of noise and of the machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.formatting import percent
from bench.analysis.noise import WARMUP_STEPS, noise_of
from bench.analysis.trial_group import Series
from bench.records.run import Run, TrialResult
from bench.report.tables import Cell, Column, Table, comparison, known_columns


@dataclass(frozen=True)
class Yardstick:
    """The speed of the fixed matrix product over a run, GFLOP/s: the median of each trial."""

    low: float
    high: float

    @property
    def change(self) -> float:
        """How much faster the machine was at its best than at its worst, as a share."""
        return self.high / self.low - 1


def yardstick(trials: Sequence[TrialResult]) -> Yardstick | None:
    """How much the machine itself changed over trials of one precision; the widest, of several."""
    by_precision: dict[str, list[float]] = {}
    for trial in trials:
        for c in trial.calibrations:
            by_precision.setdefault(c.precision, []).append(c.gflops)
    found = [Yardstick(min(speeds), max(speeds)) for speeds in by_precision.values()]
    return max(found, key=lambda one: one.change, default=None)


def noisy_trials(run: Run) -> list[tuple[TrialResult, tuple[str, ...]]]:
    """The trials whose times cannot be trusted, and why."""
    return [(trial, why) for trial in run.trials if (why := noise_of(trial))]


def trust_finding(found: Sequence[Series]) -> str | None:
    """How many trials were quiet, and how much the machine changed."""
    trials = [trial for one in found for trial in one.trained]
    if not any(e.step_times for trial in trials for e in trial.epochs):
        return None
    quiet = sum(not noise_of(trial) for trial in trials)
    said = f"{quiet} of {len(trials)} trials were quiet"
    known = yardstick(trials)
    if known is None:
        return f"{said}; the machine's own speed was not watched."
    between = f"between {known.low:,.1f} and {known.high:,.1f} GFLOP/s"
    return (
        f"{said}; a fixed matrix product, timed before and after each, ran {between}: differences "
        f"in speed below {percent(known.change)} may be the machine's."
    )


def trust_tables(run: Run, found: Sequence[Series]) -> tuple[Table, ...]:
    """How the steps of each series spread, and which trials were noisy for which reason."""
    trained = [one for one in found if one.trained]
    headers = ("Trial", "Why its times may mislead")
    rows = tuple((Cell(trial.trial.id), Cell("; ".join(why))) for trial, why in noisy_trials(run))
    steps = comparison(trained, known_columns(trained, COLUMNS))
    return (steps, Table(headers, rows))


def trust_remarks(run: Run) -> tuple[str, ...]:
    """The rule of warming up, and what was done about noise."""
    repeated = sum(len(trial.repeated) for trial in run.trials)
    again = f"Noisy trials were repeated, {repeated} times in all."
    rule = (
        f"Every model warms up alike: its first {WARMUP_STEPS} steps are in no statistics of "
        "steps, its first epoch in no time of an epoch; both are given apart. Outliers are "
        "counted, and nothing is left out for being one."
    )
    return (rule, again) if repeated else (rule,)


COLUMNS = (
    Column("Step, median (ms)", "step_milliseconds", 1),
    Column("mean (ms)", "step_mean_milliseconds", 1),
    Column("p95 (ms)", "step_p95_milliseconds", 1),
    Column("MAD (ms)", "step_mad_milliseconds", 2),
    Column("interval of the median from (ms)", "step_low_milliseconds", 1),
    Column("to (ms)", "step_high_milliseconds", 1),
    Column("IQR/median (%)", "step_spread", 1, 100),
    Column("Outliers", "step_outliers", 0),
    Column("of steps", "steps_counted", 0),
    Column("First step (s)", "first_step_seconds", 2),
    Column("First epoch / others", "first_epoch_ratio", 2),
    Column("Cores used by others", "other_busy_cores", 2),
    Column("Matrix product (GFLOP/s)", "calibration_gflops", 0),
    Column("GPU clock (MHz)", "sm_clock_mhz", 0),
    Column("GPU temperature (°C)", "temperature_celsius", 0),
)

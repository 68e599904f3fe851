"""What `run --dry-run` prints: the plan with its predicted times and the memory of its steps."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from rich.console import Console

from bench.analysis.formatting import MISSING, listed
from bench.analysis.run_time import prediction_text, run_seconds, too_short, trial_seconds
from bench.analysis.trial_group import SEPARATOR, contestant_labels
from bench.cli.console import rich_table
from bench.errors import Refused
from bench.records.records import TimePredicted, TrialTime
from bench.records.run import Run
from bench.report.tables import Table, text_table
from bench.units import duration_option, duration_text

MORE_SLOTS = (4, 16)
"""Cards for which the time of a run is predicted, too."""


def show_plan(run: Run, console: Console) -> int:
    """Print the plan of a dry run and return the exit code; raises Refused if no trial could begin,
    or not one seed of every model in the time limit."""
    predicted = run.time_predicted
    if predicted is None or not predicted.trials:
        raise Refused("nothing in this plan can be trained; the reasons are above.")
    console.print(rich_table(plan_table(run, predicted)))
    for sentence in plan_sentences(predicted):
        console.print(sentence, highlight=False, soft_wrap=True)
    if reason := too_short(predicted):
        raise Refused(reason)
    return 0


def plan_table(run: Run, predicted: TimePredicted) -> Table:
    """A row per model and setting; memory was measured, seconds are predicted."""
    rows = [_row(run, label, times) for label, times in _by_label(predicted).items()]
    headers = ("Model", "Batch size", "Memory (MiB)", "An epoch (s)", "A trial (s)", "Seeds")
    return text_table((*headers, "All seeds (s)"), rows)


def plan_sentences(predicted: TimePredicted) -> list[str]:
    """The sum, and what a time limit would cut."""
    said = [
        f"The run takes {prediction_text(predicted)}: {duration_text(predicted.passed_seconds)} "
        f"before the first trial, {duration_text(trial_seconds(predicted))} for the trials, "
        f"{duration_text(predicted.report_seconds)} for the report.",
        "Times are predicted from a few real steps, memory is what these steps took; nothing was "
        "trained or written.",
    ]
    seeds = {time.trial.seed for time in predicted.trials if not time.trial.is_point}
    if len(seeds) > 1 and predicted.slots == 1:
        several = {n: run_seconds(replace(predicted, slots=n)) for n in MORE_SLOTS}
        texts = [f"{duration_text(seconds)} on {n}" for n, seconds in several.items()]
        said.append(f"With seeds side by side, about {listed(texts)} devices of this kind.")
    if predicted.limit_seconds is not None and predicted.cut_seeds and not too_short(predicted):
        cut = ", ".join(map(str, predicted.cut_seeds))
        said.insert(
            1,
            f"--time-limit {duration_option(predicted.limit_seconds)} would leave out the last "
            f"seeds ({cut}) of every model; the rest takes about "
            f"{duration_text(run_seconds(predicted, predicted.cut_seeds))}.",
        )
    return said


def _by_label(predicted: TimePredicted) -> dict[str, list[TrialTime]]:
    """The trials that differ only in seed, or only in the point that they try, by what they are
    called."""
    trials = [time.trial for time in predicted.trials]
    labels = contestant_labels(dict.fromkeys(trial.contestant for trial in trials))
    groups: dict[str, list[TrialTime]] = {}
    for time, trial in zip(predicted.trials, trials, strict=True):
        label = labels[trial.contestant]
        if trial.tuning is not None:
            part = {"point": "points", "default": "default values"}.get(trial.tuning.part, "tuned")
            label += SEPARATOR + part
        groups.setdefault(label, []).append(time)
    return groups


def _row(run: Run, label: str, times: Sequence[TrialTime]) -> tuple[str, ...]:
    trial = times[0].trial
    timed = run.steps_timed.get((*trial.shape, trial.batch_size or 0))
    if timed is None:
        return (label, str(trial.batch_size), *[MISSING] * 3, str(len(times)), MISSING)
    whole = run.tuning_declared and trial.tuning is not None and not trial.is_point
    data = run.tuning_declared.retrained_on if run.tuning_declared and whole else run.dataset
    ranks = timed.setting.ranks
    epoch = data.train_images / ranks / timed.batch_size * fmean(timed.step_seconds)
    epoch += 0.0 if whole else data.evaluated_images / ranks * timed.evaluation_seconds
    peak = timed.peak_memory_bytes
    return (
        label,
        str(trial.batch_size),
        MISSING if peak is None else f"{peak / 2**20:,.0f}",
        f"{epoch:,.1f}",
        f"{times[0].total_seconds:,.1f}",
        str(len(times)),
        f"{sum(time.total_seconds for time in times):,.1f}",
    )

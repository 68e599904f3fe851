"""How long a run will take, and which of its seeds a time limit has room for: records in, seconds
out.

A seed is trained by all models or by none, so that groups stay equal.
"""

import heapq
import math
from collections.abc import Collection, Iterable, Sequence
from statistics import fmean

from bench.analysis.tuning import point_of
from bench.recipes import RECIPES
from bench.records.records import (
    DatasetFacts,
    SeedsCut,
    StepsTimed,
    TimePredicted,
    Trial,
    TrialTime,
)
from bench.records.run import Run, TrialResult
from bench.units import duration_option, duration_text

MARGIN = 0.1
"""A seed is started only if it would be done in time even if it took this share longer than
predicted."""

REPORT_SECONDS = 10.0
"""An allowance for tables, pictures and pages, which come after the last trial."""

REHEARSED_STEPS, REHEARSED_SHARE = 20, 0.02
"""A run that nobody asked to predict is predicted if so many steps of each model are at most this
share of all its steps."""


def is_cheap_to_predict(trials: Sequence[Trial], images: int, epochs: int) -> bool:
    """Whether timing a few steps takes little time beside these trials of so many epochs."""
    kinds = {(trial.shape, trial.batch_size) for trial in trials}
    steps = sum(epochs * images / (trial.batch_size or images) for trial in trials)
    return 0 < REHEARSED_STEPS * len(kinds) <= REHEARSED_SHARE * steps


def phases_of(
    timed: StepsTimed,
    data: DatasetFacts,
    epochs: int,
    *,
    inspect: bool,
    evaluated: bool = True,
    tested: bool = False,
) -> dict[str, float]:
    """Seconds of a trial by phase, from a few of its steps.

    The first step of each batch size takes longer than the others, and an epoch may end with a
    smaller batch, whose time is taken to be in proportion to its images. If it is not `evaluated`,
    no epoch is; if it is `tested`, the test images are not touched after the last one.
    """
    ranks = timed.setting.ranks
    each = data.train_images / ranks
    size, step = timed.batch_size, fmean(timed.step_seconds or (timed.first_step_seconds,))
    part, image = timed.setting.part_of(size), timed.evaluation_seconds
    first_step = max(0.0, timed.first_step_seconds - step)
    first_evaluation = timed.first_evaluation_seconds - min(part, data.evaluated_images) * image
    sizes_trained, sizes_tested = (
        1 + (n > batch and n % batch > 1)
        for n, batch in ((each, size), (data.evaluated_images / ranks, part))
    )
    apart = not tested and (not evaluated or data.evaluated_on == "validation")
    began = min(epochs, 1)
    last = began and evaluated and data.evaluated_on == "test"
    views = RECIPES[timed.setting.recipe].views if apart or last else 0
    once = data.test_images * (apart + views)
    return {
        "start workers": timed.start_seconds,
        "calibrate": timed.calibration_seconds,
        "train": epochs * each / size * step + began * sizes_trained * first_step,
        "evaluate": (evaluated * epochs * data.evaluated_images + once) / ranks * image
        + began * sizes_tested * max(0.0, first_evaluation),
        "checkpoints": max(0, epochs - (not inspect and not apart)) * timed.checkpoint_seconds,
        "inspect": inspect * timed.inspection_seconds,
    }


def by_seed(trials: Iterable[Trial]) -> dict[int, list[Trial]]:
    """The trials of each seed, in their order."""
    seeds: dict[int, list[Trial]] = {}
    for trial in trials:
        seeds.setdefault(trial.seed, []).append(trial)
    return seeds


def by_point(trials: Iterable[Trial]) -> dict[int, list[Trial]]:
    """The trials of each point of tuning, in their order."""
    points: dict[int, list[Trial]] = {}
    for trial in trials:
        points.setdefault(point_of(trial), []).append(trial)
    return points


def limit_needed(passed: float, seconds: float) -> float:
    """The time limit within which trials of so many seconds, and the report, would surely be done
    if they were started now."""
    return passed + (1 + MARGIN) * seconds + REPORT_SECONDS


def seed_ends(times: Iterable[TrialTime], slots: int = 1) -> tuple[float, dict[int, float]]:
    """When all points of tuning and when each seed would be done, in seconds from the start of the
    first trial, if a slot that is free always took the next point or seed."""
    points: dict[int, float] = {}
    seeds: dict[int, float] = {}
    for time in times:
        is_point, seed = time.trial.is_point, time.trial.seed
        blocks, number = (points, point_of(time.trial)) if is_point else (seeds, seed)
        blocks[number] = blocks.get(number, 0.0) + time.total_seconds
    start = max(_ends(points.values(), slots), default=0.0)
    return start, dict(zip(seeds, _ends(seeds.values(), slots, start), strict=True))


def _ends(blocks: Iterable[float], slots: int, start: float = 0.0) -> list[float]:
    free, ends = [start] * slots, []
    for seconds in blocks:
        ends.append(heapq.heappop(free) + seconds)
        heapq.heappush(free, ends[-1])
    return ends


def cut_seeds(
    times: Iterable[TrialTime],
    passed: float,
    limit: float | None,
    *,
    factor: float = 1.0,
    slots: int = 1,
) -> tuple[int, ...]:
    """The seeds that do not fit in what is left of a limit: all from the first that does not. The
    points of tuning have to fit with the first of them. Seconds that are known only within a factor
    are taken at their best."""
    ends = seed_ends(times, slots)[1]
    left = math.inf if limit is None else limit
    late = (s for s, end in ends.items() if limit_needed(passed, end / factor) > left)
    first = next(late, None)
    return () if first is None else tuple(ends)[tuple(ends).index(first) :]


def predict_time(
    times: Iterable[TrialTime],
    passed: float,
    limit: float | None = None,
    *,
    factor: float = 1.0,
    slots: int = 1,
) -> TimePredicted:
    """How long a run takes in so many slots whose trials take these times, within a factor."""
    times = tuple(times)
    cut = cut_seeds(times, passed, limit, factor=factor, slots=slots)
    return TimePredicted(passed, times, REPORT_SECONDS, limit, cut, factor=factor, slots=slots)


def too_short(predicted: TimePredicted) -> str | None:
    """Why a run cannot be done in its time limit, in a sentence; None if it can."""
    if predicted.limit_seconds is None or not predicted.trials:
        return None
    first = next((t.trial.seed for t in predicted.trials if not t.trial.is_point), None)
    if first not in predicted.cut_seeds:
        return None
    later = {t.trial.seed for t in predicted.trials} - {first}
    seconds, passed = trial_seconds(predicted, later), predicted.passed_seconds
    least = duration_option(limit_needed(passed, seconds))
    tuned = any(time.trial.is_point for time in predicted.trials)
    what = "tuning and one seed of every model are" if tuned else "one seed of every model is"
    lower = "--tune or --epochs" if tuned else "--epochs"
    done = f"done in {least}"
    if predicted.factor > 1:
        best = duration_option(limit_needed(passed, seconds / predicted.factor))
        done = f"predicted (no step was timed) to be done in {least}, at best in {best}"
    return (
        f"--time-limit {duration_option(predicted.limit_seconds)} is too short: {what} "
        f"{done}; allow that, or lower {lower}."
    )


def trial_seconds(predicted: TimePredicted, cut: Collection[int] = ()) -> float:
    """Seconds from the first trial to the end of the last, without the seeds that are cut."""
    points, seeds = seed_ends(predicted.trials, predicted.slots)
    return max((end for seed, end in seeds.items() if seed not in cut), default=points)


def run_seconds(predicted: TimePredicted, cut: Collection[int] = ()) -> float:
    """Seconds of the whole run, without the seeds that are cut."""
    return predicted.passed_seconds + trial_seconds(predicted, cut) + predicted.report_seconds


def prediction_text(predicted: TimePredicted) -> str:
    """How long the run will take, and how much of it a time limit has room for.

    >>> prediction_text(TimePredicted(30.0, (), 10.0))
    'about 40 s'
    """
    text, limit = f"about {duration_text(run_seconds(predicted))}", predicted.limit_seconds
    if limit is None:
        return text
    seeds = len(by_seed(time.trial for time in predicted.trials if not time.trial.is_point))
    kept = seeds - len(predicted.cut_seeds)
    verb = "fits" if kept == seeds == 1 else "fit"
    most = "at most " if predicted.factor > 1 else ""
    return f"{text}; {most}{kept} of {seeds} seeds {verb} in {duration_text(limit)}"


def cut_sentence(left_out: Sequence[int], cut: SeedsCut) -> str:
    """Which of the seeds, or points of tuning, that a time limit cut are left out, and why."""
    what = "point" if cut.points else "seed"
    which = f"{what}{'s' if len(left_out) > 1 else ''} {', '.join(map(str, left_out))}"
    left = max(0.0, cut.limit_seconds - cut.passed_seconds)
    takes = "a point and one seed afterwards take" if cut.points else "a seed takes"
    return (
        f"The time limit of {duration_option(cut.limit_seconds)} left out {which} of every model: "
        f"{takes} about {duration_text(cut.needed_seconds)}, and {duration_text(left)} were "
        "left, with the report to make."
    )


def corrected_seconds(trial: Trial, run: Run) -> float:
    """What a trial will take: the mean of those that differ only in seed, or in what tuning
    changes, if any is done; else what was predicted, times how much longer than predicted the
    points of its contestant took."""
    own = {
        result.trial: result.ended.seconds
        for result in run.trials
        if result.ended and result.trial.contestant == trial.contestant and _is_whole(result)
    }
    alike = [seconds for other, seconds in own.items() if other.is_point == trial.is_point]
    if alike:
        return fmean(alike)
    predicted = {name: time.total_seconds for name, time in run.predicted_times.items()}
    known = [other for other in own if predicted.get(other.id)]
    slower = sum(own[t] for t in known) / sum(predicted[t.id] for t in known) if known else 1.0
    return slower * predicted.get(trial.id, 0.0)


def _is_whole(result: TrialResult) -> bool:
    """Whether the seconds of a trial are of all its epochs: not if it was resumed."""
    epochs = sum(epoch.train_seconds + epoch.test_seconds for epoch in result.epochs)
    return result.status == "done" and result.ended is not None and result.ended.seconds >= epochs


def trained_seeds(run: Run) -> set[int]:
    """The seeds of a run's trials, done or not; that of tuning's points is none of them."""
    return {result.trial.seed for result in run.trials if not result.trial.is_point}


def seeds_left_out(run: Run) -> tuple[int, ...]:
    """The seeds that a time limit cut from a run, unless it trained them after it was resumed."""
    trained = trained_seeds(run)
    return tuple(k for k in (run.seeds_cut.seeds if run.seeds_cut else ()) if k not in trained)


def points_left_out(run: Run) -> tuple[int, ...]:
    """The points of tuning that a time limit cut from a run, unless it tried them later."""
    tried = {point_of(result.trial) for result in run.trials if result.trial.is_point}
    return tuple(k for k in (run.points_cut.points if run.points_cut else ()) if k not in tried)


def predicted_and_actual(run: Run) -> dict[str, tuple[float, float]]:
    """Predicted and actual seconds of the trials by phase; empty where they cannot be compared: no
    prediction, a trial that did not come to its end, or a run whose clock was lost when it was
    killed."""
    predicted, seconds = run.predicted_times, run.phase_seconds
    trained = sum(epoch.train_seconds for result in run.trials for epoch in result.epochs)
    ended = [r for r in run.trials if r.status == "done" and r.trial.id in predicted]
    if not ended or len(ended) < len(run.trials) or seconds.get("train", 0.0) < 0.99 * trained:
        return {}
    totals: dict[str, float] = {}
    for result in ended:
        for phase, value in predicted[result.trial.id].seconds.items():
            totals[phase] = totals.get(phase, 0.0) + value * (1 + len(result.repeated))
    return {phase: (value, seconds.get(phase, 0.0)) for phase, value in totals.items()}

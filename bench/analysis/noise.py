"""Whether a trial's times can be trusted, in words that say what to do: pure functions.

The rule of warming up is the same for every model: the first `WARMUP_STEPS` steps of a trial are
left out of the statistics of its steps, and its first epoch out of those of its epochs; both are
reported apart. To warm up until a clock looks stable would warm up one model longer than another
(pyperf's documentation says why it does not).

Noisy trials are marked; nothing is left out of the figures for being noisy.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from statistics import fmean, median
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from bench.analysis.intervals import Spread, spread
from bench.records.records import Epoch, Telemetry
from bench.records.run import TrialResult
from bench.units import counted

T = TypeVar("T")

WARMUP_STEPS = 10
"""Steps at the start of every trial that no statistics of steps count."""

WIDE, VERY_WIDE = 0.10, 0.25
"""IQR / median: torch.utils.benchmark's bounds of significant and of severe noise."""

OUTLIERS_SHARE = 0.02
"""Outliers matter if they took so large a share of all the steps' time beyond their due."""

UNSETTLED = 0.05
"""Steps had settled if the medians of their first and last third are within this share, or their
intervals overlap."""

DRIFT = 0.05
"""So much may the machine's own speed, or a clock's, change during a trial."""

SHORT_OF_TIME = 0.90
"""Threads that spin while they wait use all their time; below this share others had the rest."""

FAULTS = 100
"""Pages read back from disk in an epoch after the first: above this, memory is short."""

CROWDED = 0.05
"""Others may use so large a share of the cores that the training needs."""


Check = Callable[[TrialResult], Iterator[str]]

CHECKS: list[Check] = []
"""What is looked for, in the order it is reported."""


def check(function: Check) -> Check:
    """Register a check: a function that gives a clause for each reason to distrust a trial's
    times, and says what to do about it."""
    CHECKS.append(function)
    return function


def steady_epochs(result: TrialResult) -> list[Epoch]:
    """The epochs without the first, which warms up, and without those that were interrupted; all
    that there are, if nothing else is left."""
    later = result.epochs[1:] or result.epochs
    return [e for e in later if not e.resumed] or later


def telemetry(result: TrialResult) -> list[Telemetry]:
    """What the card reported of the steady epochs."""
    return [e.telemetry for e in steady_epochs(result) if e.telemetry]


def surroundings(epochs: Iterable[Epoch], name: str) -> list[float]:
    """A field of the epochs' `Surroundings`, where the system reported it."""
    values = (getattr(e.surroundings, name, None) for e in epochs)
    return [value for value in values if value is not None]


def _kept(function: Callable[[TrialResult], T]) -> Callable[[TrialResult], T]:
    """Work a figure out once per state of a trial: a report asks for the same many times, and a
    trial may have a hundred thousand steps."""
    known: WeakKeyDictionary[TrialResult, tuple[Any, T]] = WeakKeyDictionary()

    @functools.wraps(function)
    def kept(result: TrialResult) -> T:
        counts = (len(result.epochs), len(result.repeated), len(result.calibrations))
        state = (*counts, result.ended)
        if result not in known or known[result][0] != state:
            known[result] = (state, function(result))
        return known[result][1]

    return kept


@_kept
def step_spread(result: TrialResult) -> Spread | None:
    """How the times of a trial's steps spread, in seconds, after the warm-up; None if they were not
    kept."""
    times = _steady_steps(result)
    return spread(times) if times else None


@_kept
def noise_of(result: TrialResult) -> tuple[str, ...]:
    """Why the times of a trial cannot be trusted, a sentence for each reason."""
    return tuple(reason for check in CHECKS for reason in check(result)) if result.epochs else ()


def first_epoch_ratio(result: TrialResult) -> float | None:
    """The first epoch's time over the median of the others; None without others."""
    if len(result.epochs) < 2:
        return None
    return result.epochs[0].train_seconds / median(e.train_seconds for e in result.epochs[1:])


def machine_change(result: TrialResult) -> float | None:
    """How much slower the fixed matrix product ran after the trial than before, as a share (below
    0: faster); None if it was not timed at both ends."""
    ends = _both_ends(result)
    return ends[1].median / ends[0].median - 1 if ends else None


def _both_ends(result: TrialResult) -> tuple[Spread, Spread] | None:
    """The times of the fixed matrix product before the trial and after it."""
    at = {c.epochs: c.seconds for c in result.calibrations}
    return (spread(at[min(at)]), spread(at[max(at)])) if len(at) > 1 else None


def _moved(before: Spread, after: Spread, limit: float) -> str:
    """By how much times changed, if beyond chance and by more than a share: `5 % slower`."""
    change = after.median / before.median - 1
    if abs(change) <= limit or before.overlaps(after):
        return ""
    return f"{_percent(abs(change))} {'slower' if change > 0 else 'faster'}"


def _steady_steps(result: TrialResult, *, whole: bool = False) -> list[float]:
    """The steps that statistics count; if `whole`, without the smaller last one of each epoch."""
    kept: list[float] = []
    batch = (result.trial.batch_size or 0) * result.trial.setting.ranks
    for epoch in result.epochs:
        skipped = -(-WARMUP_STEPS // epoch.step_times_every) if epoch is result.epochs[0] else 0
        smaller = epoch.steps > 1 and epoch.images_trained < epoch.steps * batch
        end = -1 if whole and smaller and epoch.step_times_every == 1 else None
        if not epoch.resumed:
            kept += epoch.step_times[skipped:end]
    return kept


@check
def _steps_vary(result: TrialResult) -> Iterator[str]:
    times = _steady_steps(result, whole=True)
    steps = spread(times) if times else None
    if steps and steps.relative > WIDE:
        how = "widely" if steps.relative > VERY_WIDE else "noticeably"
        yield (
            f"its steps vary {how} (the middle half of them by {_percent(steps.relative)} of the "
            "median): close other programs and repeat it (--rerun-noisy 1)"
        )


@check
def _outliers(result: TrialResult) -> Iterator[str]:
    times, steps = _steady_steps(result), step_spread(result)
    # A smaller last batch is early; it does not make up for what was late.
    over = [times[i] - steps.median for i in steps.outliers] if steps else []
    late = [seconds for seconds in over if seconds > 0]
    lost = sum(late) / sum(times) if late else 0.0
    if steps and lost > OUTLIERS_SHARE:
        yield (
            f"{len(late)} of {steps.n} steps are outliers that took {_percent(lost)} of the time "
            "beyond their due: something else ran now and then; repeat it on a quiet machine"
        )


@check
def _unsettled(result: TrialResult) -> Iterator[str]:
    times = _steady_steps(result)
    third = len(times) // 3
    if third < WARMUP_STEPS:
        return
    change = _moved(spread(times[:third]), spread(times[-third:]), UNSETTLED)
    if change:
        yield (
            f"its steps had not settled after the warm-up: the last third ran {change} than the "
            "first; train more epochs, or let the machine reach its temperature"
        )


def _busy_ranks(epoch: Epoch, here: int) -> float:
    """The processors that the other processes of a trial took, of several that train together, as
    far as they are on the node of the first, which has the first `here` of them."""
    return sum(rank.cpu_seconds for rank in epoch.ranks[1:here]) / epoch.train_seconds


@check
def _crowded(result: TrialResult) -> Iterator[str]:
    here = result.trial.setting.nproc_per_node
    known = [
        (s.cores, max(0.0, s.other_busy_cores - _busy_ranks(e, here)))
        for e in result.epochs
        if (s := e.surroundings) and s.other_busy_cores is not None
    ]
    if not known:
        return
    cores, threads = known[0][0], result.run.device.threads or 1
    others = fmean(busy for _, busy in known)
    needed = min(threads, cores)
    if others > cores - needed + CROWDED * needed:
        limit = f", or leave them cores by setting OMP_NUM_THREADS below {threads}"
        yield (
            f"other processes used {others:.2f} of the {cores} cores that it may use: end them"
            f"{limit if threads > 1 else ''}"
        )


@check
def _short_of_time(result: TrialResult) -> Iterator[str]:
    threads = result.run.device.threads
    if not threads or result.trial.setting.ranks > 1:  # those wait for each other
        return
    share = median(e.cpu_seconds / (e.train_seconds * threads) for e in result.epochs)
    if share < SHORT_OF_TIME:
        yield (
            f"its {counted(threads, 'thread')} had a processor for {_percent(share)} of the time: "
            "others took the rest, or a container's limit; give it fewer threads (OMP_NUM_THREADS)"
        )


@check
def _frequency(result: TrialResult) -> Iterator[str]:
    clocks = list(filter(None, surroundings(result.epochs, "cpu_mhz")))
    if result.run.device.kind == "cpu" and clocks and max(clocks) > (1 + DRIFT) * min(clocks):
        yield (
            f"the processor's clock went from {min(clocks):,.0f} to {max(clocks):,.0f} MHz: choose "
            "the governor 'performance', or let it reach its temperature first"
        )


@check
def _faults(result: TrialResult) -> Iterator[str]:
    counts = surroundings(steady_epochs(result), "major_faults")
    if counts and median(counts) > FAULTS:
        yield (
            f"{median(counts):,.0f} pages of its memory were read back from disk in an epoch: the "
            "machine has too little memory; use a smaller batch or end other programs"
        )


@check
def _card(result: TrialResult) -> Iterator[str]:
    known = telemetry(result)
    if not known:
        return
    reasons = dict.fromkeys(why for t in known for why in t.throttled_by)
    reasons.pop("power cap", None)  # what a card may draw is part of what it is
    if reasons:
        yield f"the card slowed down ({', '.join(reasons)}): look to its cooling and its supply"
    others = max(t.other_processes for t in known)
    if others:
        what = counted(others, "other process", "other processes")
        yield f"{what} computed on the card: end them"
    low, high = min(t.sm_clock_mhz for t in known), max(t.sm_clock_mhz for t in known)
    if high > (1 + DRIFT) * low:
        yield (
            f"the card's clock went from {low:,.0f} to {high:,.0f} MHz: let it reach its "
            "temperature first, or lock its clock (nvidia-smi -lgc)"
        )


@check
def _machine(result: TrialResult) -> Iterator[str]:
    ends = _both_ends(result)
    change = _moved(*ends, DRIFT) if ends else ""
    if change:
        yield (
            f"a fixed matrix product ran {change} after it than before: the machine changed; "
            "repeat it"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"

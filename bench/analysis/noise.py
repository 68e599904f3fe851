"""Whether a trial's times can be trusted, in words that say what to do: pure functions.

The rule of warming up is the same for every model: the first `WARMUP_STEPS` steps of a trial are
left out of the statistics of its steps, and its first epoch out of those of its epochs; both are
reported apart. To warm up until a clock looks stable would warm up one model longer than another
(pyperf's documentation says why it does not).

What is found is flagged, and nothing is left out for it.
"""

from collections.abc import Callable, Iterator
from statistics import fmean, median
from typing import TypeVar

from bench.analysis.intervals import Spread, spread
from bench.records.records import Epoch
from bench.records.run import TrialResult

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


def steady_epochs(result: TrialResult) -> list[Epoch]:
    """The epochs without the first, which warms up, and without those that were interrupted; all
    that there are, if nothing else is left."""
    later = result.epochs[1:] or result.epochs
    return [e for e in later if not e.resumed] or later


def step_spread(result: TrialResult) -> Spread | None:
    """How the times of a trial's steps spread, in seconds, after the warm-up; None if they were not
    kept."""

    def work_out() -> Spread | None:
        times = _steady_steps(result)
        return spread(times) if times else None

    return _once(result, "spread", work_out)


def noise_of(result: TrialResult) -> tuple[str, ...]:
    """Why the times of a trial cannot be trusted, a sentence for each reason."""
    if not result.epochs:
        return ()
    return _once(result, "noise", lambda: tuple(said for check in CHECKS for said in check(result)))


def _once(result: TrialResult, what: str, work_out: Callable[[], T]) -> T:
    """A report asks for the same many times, and a trial may have a hundred thousand steps."""
    key = (what, len(result.epochs), len(result.repeated), len(result.calibrations))
    if key not in result.derived:
        result.derived[key] = work_out()
    found: T = result.derived[key]
    return found


def first_epoch_ratio(result: TrialResult) -> float | None:
    """The first epoch's time over the median of the others; None without others."""
    if len(result.epochs) < 2:
        return None
    return result.epochs[0].train_seconds / median(e.train_seconds for e in result.epochs[1:])


def machine_change(result: TrialResult) -> float | None:
    """How much slower the fixed matrix product ran after the trial than before, as a share (below
    0: faster); None if it was not timed at both ends."""
    ends = _both_ends(result)
    return None if ends is None else ends[1].median / ends[0].median - 1


def _both_ends(result: TrialResult) -> tuple[Spread, Spread] | None:
    """The times of the fixed matrix product before the trial and after it."""
    at = {c.epochs: c.seconds for c in result.calibrations}
    if len(at) < 2:
        return None
    return spread(at[min(at)]), spread(at[max(at)])


def _steady_steps(result: TrialResult) -> list[float]:
    kept: list[float] = []
    for epoch in result.epochs:
        skipped = -(-WARMUP_STEPS // epoch.step_times_every) if epoch is result.epochs[0] else 0
        if not epoch.resumed:
            kept += epoch.step_times[skipped:]
    return kept


def _steps_vary(result: TrialResult) -> Iterator[str]:
    found = step_spread(result)
    if found is None or found.relative <= WIDE:
        return
    how = "widely" if found.relative > VERY_WIDE else "noticeably"
    yield (
        f"its steps vary {how} (the middle half of them by {_percent(found.relative)} of the "
        "median): close other programs and repeat it (--rerun-noisy 1)"
    )


def _outliers(result: TrialResult) -> Iterator[str]:
    times, found = _steady_steps(result), step_spread(result)
    if found is None or not found.outliers:
        return
    lost = sum(times[i] - found.median for i in found.outliers) / sum(times)
    if lost > OUTLIERS_SHARE:
        yield (
            f"{len(found.outliers)} of {found.n} steps are outliers that took {_percent(lost)} of "
            "the time beyond their due: something else ran now and then; repeat it on a quiet "
            "machine"
        )


def _unsettled(result: TrialResult) -> Iterator[str]:
    times = _steady_steps(result)
    third = len(times) // 3
    if third < WARMUP_STEPS:
        return
    first, last = spread(times[:third]), spread(times[-third:])
    change = last.median / first.median - 1
    if abs(change) > UNSETTLED and not _overlap(first, last):
        how = "slower" if change > 0 else "faster"
        yield (
            f"its steps had not settled after the warm-up: the last third ran "
            f"{_percent(abs(change))} {how} than the first; train more epochs, or let the machine "
            "reach its temperature"
        )


def _crowded(result: TrialResult) -> Iterator[str]:
    known = [s for e in result.epochs if (s := e.surroundings) and s.other_busy_cores is not None]
    if not known:
        return
    cores, threads = known[0].cores, result.run.device.threads or 1
    others = fmean(s.other_busy_cores or 0.0 for s in known)
    needed = min(threads, cores)
    if others > cores - needed + CROWDED * needed:
        yield (
            f"other processes used {others:.2f} of the {cores} cores that it may use: end them, or "
            f"leave them cores by setting OMP_NUM_THREADS below {threads}"
            if threads > 1
            else f"other processes used {others:.2f} of the {cores} cores that it may use: end them"
        )


def _short_of_time(result: TrialResult) -> Iterator[str]:
    threads = result.run.device.threads
    if not threads:
        return
    share = median(e.cpu_seconds / (e.train_seconds * threads) for e in result.epochs)
    if share < SHORT_OF_TIME:
        yield (
            f"its {threads} threads had a processor for {_percent(share)} of the time: others "
            "took the rest, or a container's limit; give it fewer threads (OMP_NUM_THREADS)"
        )


def _frequency(result: TrialResult) -> Iterator[str]:
    known = [e.surroundings.cpu_mhz for e in result.epochs if e.surroundings]
    clocks = [mhz for mhz in known if mhz]
    if result.run.device.kind == "cpu" and clocks and max(clocks) > (1 + DRIFT) * min(clocks):
        yield (
            f"the processor's clock went from {min(clocks):,.0f} to {max(clocks):,.0f} MHz: choose "
            "the governor 'performance', or let it reach its temperature first"
        )


def _faults(result: TrialResult) -> Iterator[str]:
    known = [e.surroundings.major_faults for e in steady_epochs(result) if e.surroundings]
    counts = [count for count in known if count is not None]
    if counts and median(counts) > FAULTS:
        yield (
            f"{median(counts):,.0f} pages of its memory were read back from disk in an epoch: the "
            "machine has too little memory; use a smaller batch or end other programs"
        )


def _card(result: TrialResult) -> Iterator[str]:
    known = [e.telemetry for e in steady_epochs(result) if e.telemetry]
    if not known:
        return
    reasons = dict.fromkeys(why for t in known for why in t.throttled_by)
    reasons.pop("power cap", None)  # what a card may draw is part of what it is
    if reasons:
        yield f"the card slowed down ({', '.join(reasons)}): look to its cooling and its supply"
    others = max(t.other_processes for t in known)
    if others:
        yield f"{others} other process{'es' if others > 1 else ''} computed on the card: end them"
    low, high = min(t.sm_clock_mhz for t in known), max(t.sm_clock_mhz for t in known)
    if high > (1 + DRIFT) * low:
        yield (
            f"the card's clock went from {low:,.0f} to {high:,.0f} MHz: let it reach its "
            "temperature first, or lock its clock (nvidia-smi -lgc)"
        )


def _machine(result: TrialResult) -> Iterator[str]:
    change, ends = machine_change(result), _both_ends(result)
    if change is None or ends is None or abs(change) <= DRIFT:
        return
    before, after = ends
    if not _overlap(before, after):
        how = "slower" if change > 0 else "faster"
        yield (
            f"a fixed matrix product ran {_percent(abs(change))} {how} after it than before: "
            "the machine changed; repeat it"
        )


def _overlap(a: Spread, b: Spread) -> bool:
    """Whether the intervals of two medians overlap; of too few values, no."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.low <= b.high and b.low <= a.high


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


CHECKS: tuple[Callable[[TrialResult], Iterator[str]], ...] = (
    _steps_vary,
    _outliers,
    _unsettled,
    _crowded,
    _short_of_time,
    _frequency,
    _faults,
    _card,
    _machine,
)
"""What is looked for; a new one is a row here."""

"""From probes to the largest batch that is kept, with its certificate."""

import bisect
from collections.abc import Callable

from bench.batch_size.search import Attempt, SearchResult, largest_batch
from bench.prediction.memory import LARGEST
from bench.records.messages import Ready, SearchJob
from bench.records.records import Certificate, LargestBatch, PredictedLine, Probe

SMALLEST_BATCH = 2
"""Batch norm cannot train on one image."""


def searched(
    job: SearchJob, ready: Ready, cap: int, probe: Callable[[int, bool], Probe]
) -> LargestBatch:
    """The largest batch of a model, up to `cap` images, with the probes that prove it.

    Args:
        job: the model, the setting and the conditions.
        ready: the limit, and what a step is predicted to take.
        cap: the largest batch that makes sense, such as the number of training images.
        probe: tries a batch size, briefly if it says so.
    """
    probes: list[Probe] = []
    trace, parts = ready.trace, job.setting.accumulate

    def attempt(batch_size: int, brief: bool) -> Attempt:
        probes.append(made := probe(batch_size, brief))
        return Attempt(made.fits, made.peak_memory_bytes)

    def predicted(batch_size: int) -> int:
        assert trace is not None
        return trace.peak_bytes(-(-batch_size // parts))

    result = largest_batch(
        attempt,
        limit_bytes=ready.limit_bytes,
        cap=cap,
        smallest=SMALLEST_BATCH,
        predicted=predicted if trace else None,
    )
    return certified(result, probes, job, ready)


def certified(
    result: SearchResult, probes: list[Probe], job: SearchJob, ready: Ready
) -> LargestBatch:
    """The largest batch, with the probes that prove it."""
    by_size = {probe.batch_size: probe for probe in probes}
    largest = by_size.get(result.largest)
    failed = by_size.get(result.largest + 1 if result.largest else SMALLEST_BATCH)
    certificate = Certificate(
        steps=largest.steps if largest else 0,
        evaluated=largest is not None,
        peak_memory_bytes=largest.peak_memory_bytes if largest else None,
        allocation_retries=largest.allocation_retries if largest else 0,
        failed_batch=failed.batch_size if failed else None,
        failed_because=failed.reason if failed else None,
        channels_last=job.setting.channels_last,
        versions=ready.versions,
    )
    contradiction = None
    if result.contradiction is not None:
        below, above = result.contradiction
        contradiction = f"{below} images failed but {above} ran: memory is not monotone here."
    return LargestBatch(
        job.model,
        job.setting,
        result.largest,
        "measured",
        result.limited_by,
        ready.limit_bytes,
        certificate=certificate,
        contradiction=contradiction,
        predicted=_predicted(probes, job, ready, result.largest),
    )


def _predicted(
    probes: list[Probe], job: SearchJob, ready: Ready, largest: int
) -> PredictedLine | None:
    """What the first probe that ran leads one to expect; None where it came to the answer itself,
    for then there was nothing left to predict."""
    trace, part_of = ready.trace, job.setting.part_of
    first = next((probe for probe in probes if probe.fits), None)
    if trace is None or ready.limit_bytes is None or first is None or first.batch_size >= largest:
        return None
    if first.peak_memory_bytes is None:
        return None
    beside = first.peak_memory_bytes - trace.peak_bytes(part_of(first.batch_size))
    tensors = ready.limit_bytes - beside
    expected = bisect.bisect_right(range(LARGEST), tensors, key=trace.peak_bytes) - 1
    fixed, per_part = trace.line(max(expected, SMALLEST_BATCH))
    per_image = per_part // job.setting.accumulate
    return PredictedLine(fixed + beside, per_image, first.batch_size) if per_image > 0 else None

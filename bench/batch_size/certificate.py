"""From a search's result and its probes to the record that is kept, with its certificate."""

from bench.batch_size.search import SearchResult
from bench.records.messages import Ready, SearchJob
from bench.records.records import Certificate, LargestBatch, Probe

SMALLEST_BATCH = 2
"""Batch norm cannot train on one image."""


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
    )

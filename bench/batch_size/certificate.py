"""From a search's answer and its probes to the record that is kept, with its certificate."""

from bench.batch_size.search import Answer
from bench.records.messages import Ready, SearchJob
from bench.records.records import Certificate, LargestBatch, Probe

SMALLEST_BATCH = 2
"""Batch norm cannot train on one image."""


def fitted(answer: Answer, probes: list[Probe], job: SearchJob, ready: Ready) -> LargestBatch:
    """What was found, and what stands behind it."""
    by_size = {probe.batch_size: probe for probe in probes}
    proof = by_size.get(answer.largest)
    failed = by_size.get(answer.largest + 1) if answer.largest else by_size.get(SMALLEST_BATCH)
    certificate = Certificate(
        steps=proof.steps if proof else 0,
        evaluated=proof is not None,
        peak_memory_bytes=proof.peak_memory_bytes if proof else None,
        allocation_retries=proof.allocation_retries if proof else 0,
        failed_batch=failed.batch_size if failed else None,
        failed_because=failed.reason if failed else None,
        channels_last=job.conditions.channels_last,
        versions=ready.versions,
    )
    contradiction = None
    if answer.contradiction is not None:
        below, above = answer.contradiction
        contradiction = f"{below} images failed but {above} fitted: memory is not monotone here."
    return LargestBatch(
        job.model,
        job.setting,
        answer.largest,
        "measured",
        answer.limited_by,
        ready.limit_bytes,
        certificate=certificate,
        contradiction=contradiction,
    )

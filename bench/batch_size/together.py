"""What the probes of processes that train together come to."""

from collections.abc import Sequence
from dataclasses import replace

from bench.records.records import Probe


def together(probes: Sequence[Probe]) -> Probe:
    """A batch size fits if it fits in all processes, and the peak is the highest; of several that
    failed, the reason is the first one's."""
    first = next((probe for probe in probes if not probe.fits), probes[0])
    peaks = [p.peak_memory_bytes for p in probes if p.peak_memory_bytes is not None]
    return replace(
        first,
        peak_memory_bytes=max(peaks, default=None) if first.fits else None,
        seconds=max(probe.seconds for probe in probes),
        allocation_retries=max(probe.allocation_retries for probe in probes),
        steps=min(probe.steps for probe in probes),
    )

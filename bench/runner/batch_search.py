"""The largest batch of one model in one setting, with a worker process that makes the probes.

If a worker is killed because memory ran out, its probe failed; the search continues in a new one.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from bench.batch_size.certificate import SMALLEST_BATCH, searched
from bench.errors import OutOfMemoryKilled
from bench.records.messages import ProbeRequest, Ready, SearchJob
from bench.records.records import LargestBatch, ModelDescribed, Probe, SweepPoint
from bench.runner.worker_handle import Start, WorkerHandle
from bench.runner.worker_process import Worker

SWEEP_SIZES = 6
"""A sweep times at most this many batch sizes."""

SWEEP_STEPS = 5
"""Timed steps at each size of a sweep."""


class Prober:
    """Has probes made by a worker; use as a context manager. `ready` is what the last worker that
    was started said of its limit and of a step's memory.

    Args:
        job: the model, the setting and the conditions.
        log: file for the worker's standard error.
        limited: whether it runs under a memory limit on the CPU (see `bench.system.malloc`).
        timeout: seconds after which a worker is killed; None for no limit.
        on_described: called with the model's description, a worker's first message.
        on_probe: called with every probe of a search.
        start: what starts a worker, if not a process of this machine.
    """

    def __init__(
        self,
        job: SearchJob,
        log: Path,
        *,
        limited: bool,
        timeout: float | None = None,
        on_described: Callable[[ModelDescribed], None] = lambda described: None,
        on_probe: Callable[[Probe], None] = lambda probe: None,
        start: Start | None = None,
    ) -> None:
        self._job = job
        self._log = log
        self._limited = limited
        self._timeout = timeout
        self._on_described = on_described
        self._on_probe = on_probe
        self._start = start
        self._worker: WorkerHandle | None = None
        self.ready = Ready(None, {})

    def __enter__(self) -> "Prober":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def open(self) -> WorkerHandle:
        """Start the worker if there is none."""
        if self._worker is None:
            start = self._start or Worker
            self._worker = start(self._job, self._log, limited=self._limited, timeout=self._timeout)
            self._on_described(self._worker.reply())
            self.ready = self._worker.reply()
        return self._worker

    def close(self) -> None:
        """End the worker, if there is one."""
        if self._worker is not None:
            self._worker.__exit__(None, None, None)
            self._worker = None

    def search(self, train_images: int) -> LargestBatch:
        """Find the largest batch up to the number of training images."""

        def probe(batch_size: int, brief: bool) -> Probe:
            made = self.probe(ProbeRequest(batch_size, brief=brief))
            self._on_probe(made)
            return made

        self.open()
        largest = searched(self._job, self.ready, max(train_images, SMALLEST_BATCH), probe)
        if largest.max_batch:
            return largest
        needed = self.probe(ProbeRequest(SMALLEST_BATCH, limited=False)).peak_memory_bytes
        return replace(largest, needed_bytes=needed)

    def sweep(self, largest: int) -> list[SweepPoint]:
        """Time a few batch sizes up to the largest; sizes that fail are left out."""
        points = []
        for size in sweep_sizes(largest):
            probe = self.probe(ProbeRequest(size, timed_steps=SWEEP_STEPS))
            if probe.fits:
                seconds, peak = probe.step_seconds, probe.peak_memory_bytes
                points.append(SweepPoint(probe.model, probe.setting, size, seconds, peak))
        return points

    def probe(self, request: ProbeRequest) -> Probe:
        """Make one probe; it failed if its worker was killed because memory ran out."""
        start = perf_counter()
        try:
            probe: Probe = self.open().ask(request)
        except OutOfMemoryKilled as error:
            self.close()
            model, setting, n = self._job.model, self._job.setting, request.batch_size
            return Probe(model, setting, n, False, None, perf_counter() - start, str(error))
        return probe


def sweep_sizes(largest: int) -> list[int]:
    """The largest size and powers of two below it, at most `SWEEP_SIZES` in all, in ascending
    order."""
    powers = [1 << k for k in range(1, largest.bit_length()) if 1 << k < largest]
    return [*powers[-(SWEEP_SIZES - 1) :], largest] if largest >= SMALLEST_BATCH else []

"""What else runs on the processors during training, and at which clock; read before and after an
epoch, with nothing running in between.
"""

import contextlib
import os
import time
from dataclasses import dataclass

import psutil

from bench.records.records import Surroundings

try:
    import resource
except ImportError:  # Windows has none, nor these counts
    resource = None  # type: ignore[assignment]


@dataclass(frozen=True)
class _Reading:
    wall: float
    own: float
    busy: float | None
    major_faults: int | None
    switches: int | None


class Watch:
    """Reads counters of the system at the start and the end of a `with` block."""

    def __init__(self) -> None:
        self._cpus = _allowed()
        self._first = self._last = _read(self._cpus)

    def __enter__(self) -> "Watch":
        self._first = _read(self._cpus)
        return self

    def __exit__(self, *error: object) -> None:
        self._last = _read(self._cpus)

    def result(self) -> Surroundings:
        """What happened in the block."""
        first, last = self._first, self._last
        others = None
        if first.busy is not None and last.busy is not None and last.wall > first.wall:
            spent = (last.busy - first.busy) - (last.own - first.own)
            others = max(0.0, spent / (last.wall - first.wall))
        return Surroundings(
            cores=len(self._cpus),
            other_busy_cores=others,
            cpu_mhz=_frequency(),
            major_faults=_between(first.major_faults, last.major_faults),
            involuntary_switches=_between(first.switches, last.switches),
        )


def _between(first: int | None, last: int | None) -> int | None:
    return None if first is None or last is None else last - first


def _allowed() -> tuple[int, ...]:
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(psutil.cpu_count() or 1))


def _read(cpus: tuple[int, ...]) -> _Reading:
    usage = resource.getrusage(resource.RUSAGE_SELF) if resource else None
    return _Reading(
        wall=time.perf_counter(),
        own=_own_seconds(),
        busy=_busy_seconds(cpus),
        major_faults=usage.ru_majflt if usage else None,
        switches=usage.ru_nivcsw if usage else None,
    )


def _own_seconds() -> float:
    """Processor time of this process and its data loader processes, those that have ended among
    them."""
    spent = time.process_time()
    if resource:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent += ended.ru_utime + ended.ru_stime
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                times = child.cpu_times()
                spent += times.user + times.system + times.children_user + times.children_system
    return spent


def _busy_seconds(cpus: tuple[int, ...]) -> float | None:
    """Processor time used on these processors since the system started, including the time that a
    hypervisor took; None where the system does not count them all."""
    times = psutil.cpu_times(percpu=True)
    if max(cpus) >= len(times):
        return None
    idle = ("idle", "iowait", "guest", "guest_nice")  # guests are in user and nice, too
    return float(
        sum(
            value
            for cpu in cpus
            for name, value in times[cpu]._asdict().items()
            if name not in idle
        )
    )


def _frequency() -> float | None:
    # Containers and some systems have none, and report that in different ways.
    with contextlib.suppress(Exception):
        return float(psutil.cpu_freq().current) or None
    return None

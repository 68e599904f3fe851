"""A job of several processes, its ranks: torch's elastic launcher starts them, and ends all of them
as soon as one fails.

They are forked from this worker, which has run nothing in a thread pool and no CUDA. Each has a
socket to it: the first rank says there what a worker says to its parent, the others only why they
failed, and a rank ends when the socket does.
"""

import os
import selectors
import signal
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from bench.batch_size.forked import die_with_parent, settled
from bench.data.loader import Share
from bench.errors import BenchError, RankDied, Refused, TrialFailed, Unsaved
from bench.records import messages
from bench.records.records import Probe
from bench.runner.worker import jobs
from bench.runner.worker.parent import Parent, failure_of
from bench.system.environment import versions
from bench.training.gang import Gang

GRACE_SECONDS = 2
"""How long a rank that lost another one may live on."""

_HERE = "127.0.0.1"

Work = Callable[[Gang, Parent], None]
"""What a rank does; it says what it has to say to its parent, which is the worker."""


class Ranks:
    """So many processes that do the same work together; use as a context manager."""

    def __init__(self, size: int, work: Work) -> None:
        self._size = size
        self._pairs = [socket.socketpair() for _ in range(size)]
        self._work = work
        self._error: ChildFailedError | None = None
        self._thread = threading.Thread(target=self._launch)

    def __enter__(self) -> "Ranks":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for ours, _ in self._pairs:
            ours.close()
        self._thread.join()

    def send(self, line: bytes) -> None:
        """Say something to the first rank."""
        self._pairs[0][0].sendall(line)

    def messages(self, stopping: Callable[[], bool] = lambda: False) -> Iterator[tuple[int, Any]]:
        """What the ranks say, each with its number, until all have ended; once `stopping` returns
        True, the first is asked to stop."""
        asked, unread = False, [b""] * self._size
        with selectors.DefaultSelector() as selector:
            for rank, (ours, _) in enumerate(self._pairs):
                selector.register(ours, selectors.EVENT_READ, rank)
            while selector.get_map():
                if stopping() and not asked:
                    asked = True
                    self.send(messages.STOP)
                for key, _ in selector.select(0.1):
                    data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    *lines, unread[key.data] = (unread[key.data] + data).split(b"\n")
                    if not data:
                        selector.unregister(key.fileobj)
                    for line in lines:
                        yield key.data, messages.decode_message(line)

    def ending(self) -> tuple[int, int] | None:
        """The first rank that failed, with its exit code or minus the signal that ended it; rather
        one that a signal ended, for then others fail because of it. None if all came to their end.
        """
        self._thread.join()
        failures = self._error.failures.items() if self._error else ()
        ends = [(failure.exitcode >= 0, rank, failure.exitcode) for rank, failure in failures]
        return min(ends)[1:] if ends else None

    def _launch(self) -> None:
        # Asked otherwise, torch would start CUDA to count the cards, which no fork survives.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
        with tempfile.TemporaryDirectory() as folder:
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=self._size,
                run_id=uuid.uuid4().hex,
                rdzv_backend="c10d",
                rdzv_endpoint=f"{_HERE}:0",
                local_addr=_HERE,
                max_restarts=0,
                start_method="fork",
                logs_specs=DefaultLogsSpecs(log_dir=folder),
            )
            try:
                elastic_launch(config, self._rank)()
            except ChildFailedError as error:
                self._error = error
            finally:
                for _, theirs in self._pairs:
                    theirs.close()

    def _rank(self) -> None:
        """Be a rank."""
        die_with_parent()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        rank = int(os.environ["RANK"])
        for number, (ours, theirs) in enumerate(self._pairs):
            ours.close()
            if number != rank:
                theirs.close()
        link = self._pairs[rank][1]
        parent = Parent(link.makefile("rb", buffering=0), link.makefile("wb"), orphaned=1)
        torch.set_num_threads(max(1, torch.get_num_threads() // self._size))
        try:
            # No name of this host is looked up, and nobody else can join.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
            dist.init_process_group()
            self._work(Gang(Share(rank, self._size)), parent)
        except Exception as error:
            parent.send(failure_of(error))
            if not isinstance(error, BenchError):
                # Most likely another rank has gone, and the launcher is to see that one first.
                time.sleep(GRACE_SECONDS)
            os._exit(1)
        dist.destroy_process_group()


def train(job: messages.TrainJob, parent: Parent) -> None:
    """Train a trial by several processes.

    Raises:
        TrialFailed: a rank failed; the message says which and why.
    """
    size = job.trial.setting.nproc_per_node
    failed: list[tuple[int, messages.Failure]] = []
    with Ranks(size, partial(_train, job)) as ranks:
        for rank, message in ranks.messages(parent.stopping):
            if isinstance(message, messages.Failure):
                failed.append((rank, message))
            elif isinstance(message, messages.Progress):
                parent.send(message)
            else:
                parent.report(message)
                ranks.send(b"\n")
        _check(ranks, size, failed)


def _train(job: messages.TrainJob, gang: Gang, parent: Parent) -> None:
    if gang.leads:
        for message in jobs.train(job, parent.progress, parent.stopping, gang):
            parent.report(message)
    else:
        for _ in jobs.train(job, _silent, gang=gang):
            pass


def open_search(
    job: messages.SearchJob,
) -> tuple[messages.Ready, Callable[[messages.ProbeRequest], Probe]]:
    """A function that makes the requested probes, each by new processes."""

    def settle(request: messages.ProbeRequest) -> Probe:
        def attempt(limited: bool) -> Probe:
            return probe(job, replace(request, limited=limited))

        return settled(attempt, limited=request.limited)

    return messages.Ready(job.conditions.budget_bytes, versions(), jobs.expected(job)), settle


def probe(job: messages.SearchJob, request: messages.ProbeRequest) -> Probe:
    """Try a batch size on each of several processes, which are started for it: it fits if it fits
    on all.

    Raises:
        TrialFailed: training failed for a reason that is not memory.
    """
    size, probes = job.setting.nproc_per_node, dict[int, Probe]()
    failed: list[tuple[int, messages.Failure]] = []
    with Ranks(size, partial(_probe, job, request)) as ranks:
        for rank, message in ranks.messages():
            if isinstance(message, messages.Failure):
                failed.append((rank, message))
            else:
                probes[rank] = message
        reason = next((f"rank {k}: {p.reason}" for k, p in probes.items() if not p.fits), None)
        if reason is None:
            try:
                _check(ranks, size, failed)
            except RankDied as error:
                reason = str(error)
    return _together(job, request, list(probes.values()), reason)


def _together(
    job: messages.SearchJob, request: messages.ProbeRequest, probes: list[Probe], reason: str | None
) -> Probe:
    """What the probes of all ranks come to."""
    peaks = [p.peak_memory_bytes for p in probes if p.peak_memory_bytes is not None]
    return Probe(
        job.model,
        job.setting,
        request.batch_size,
        reason is None,
        max(peaks, default=None) if reason is None else None,
        max((p.seconds for p in probes), default=0.0),
        reason,
        max((p.allocation_retries for p in probes), default=0),
        min((p.steps for p in probes), default=0),
        probes[0].step_seconds if probes else (),
    )


def _probe(
    job: messages.SearchJob, request: messages.ProbeRequest, gang: Gang, parent: Parent
) -> None:
    made = jobs.probe_once(job, request, gang)
    parent.send(made)
    if not made.fits:
        os._exit(1)  # the others wait for gradients that do not come


def _check(ranks: Ranks, size: int, failed: list[tuple[int, messages.Failure]]) -> None:
    """Raises the failure that came first: those of other ranks follow from it."""
    rank, code = ranks.ending() or (0, 0)
    if code < 0 or (code and not failed):
        raise RankDied(f"rank {rank} of {size} {_ending(code)}")
    for rank, failure in failed:
        other = Unsaved if failure.unsaved else TrialFailed
        raise (Refused if failure.refused else other)(f"rank {rank} of {size}: {failure.reason}")


def _silent(phase: str, done: int, total: int, rate: float | None = None) -> None:
    """Progress that the first rank reports."""


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL): memory ran out, most likely."
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}."
    return f"ended with exit code {code}."

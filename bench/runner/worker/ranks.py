"""A job of several processes, its ranks: torch's elastic launcher starts them, and ends all of them
as soon as one fails.

They are forked from this worker, which has run nothing in a thread pool and no CUDA. Each has a
socket to it: the first rank says there what a worker says to its parent, the others only why they
failed, and a rank ends when the socket does. Of several nodes, each has a worker that starts its
ranks, and the first rank is the first node's.
"""

import contextlib
import os
import selectors
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from bench.batch_size.forked import die_with_parent, settled
from bench.batch_size.together import together
from bench.data.loader import Share
from bench.errors import BenchError, RankDied, WorkerDied, first_line
from bench.records import messages
from bench.records.records import Probe, Setting
from bench.runner.worker import jobs
from bench.runner.worker.parent import Parent, failure_of
from bench.system.environment import interface_of, versions
from bench.training.gang import Gang

MEETING_SECONDS = 60
"""How long nodes wait for each other at the start."""

GRACE_SECONDS = 2
"""How long a rank that lost another one may live on."""

ALONE = messages.Meeting("127.0.0.1", 0, 0, "127.0.0.1")
"""Where ranks of one node meet: no name of it is looked up, and nobody else can join."""

Failed = tuple[int, messages.Failure]
"""A rank, and what it said of its failure."""

Work = Callable[[Gang, Parent], None]
"""What a rank does; it says what it has to say to its parent, which is the worker."""


class Ranks:
    """The processes of this node that do the same work together, with those of other nodes if there
    is a `meeting`; use as a context manager. `first` is the number of this node's first rank, `all`
    how many there are on all nodes."""

    def __init__(self, setting: Setting, meeting: messages.Meeting | None, work: Work) -> None:
        self._meeting = meeting or ALONE
        self._nodes = setting.nnodes
        self._size = setting.nproc_per_node
        self.first = self._meeting.node * self._size
        self.all = setting.ranks
        self._pairs = [socket.socketpair() for _ in range(self._size)]
        self._work = work
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._launch)

    def __enter__(self) -> "Ranks":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for ours, _ in self._pairs:
            ours.close()
        self._thread.join()

    def send(self, line: bytes) -> None:
        """Say something to the first rank; one that has ended does not get it."""
        with contextlib.suppress(ConnectionError):
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
                    data = b""
                    with contextlib.suppress(ConnectionResetError):  # killed before it had read all
                        data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    *lines, unread[key.data] = (unread[key.data] + data).split(b"\n")
                    if not data:
                        selector.unregister(key.fileobj)
                    for line in lines:
                        yield self.first + key.data, messages.decode_message(line)

    def check(self, failed: Sequence[Failed]) -> None:
        """Raises the failure that came first: those of other ranks follow from it.

        A rank that a signal ended is rather the cause than one that ended by itself. `failed` is
        what ranks said of themselves.
        """
        self._thread.join()
        if self._error is not None and not isinstance(self._error, ChildFailedError):
            raise WorkerDied(f"torch's launcher failed: {first_line(self._error)}")
        failures = self._error.failures.items() if self._error else ()
        ends = [(failure.exitcode >= 0, rank, failure.exitcode) for rank, failure in failures]
        _, rank, code = min(ends, default=(True, 0, 0))
        if code < 0 or (code and not failed):
            died = f"rank {rank} of {self.all} {_ending(code)}"
            raise RankDied(died, killed=code == -signal.SIGKILL)
        for rank, failure in failed:
            raise failure.error(f"rank {rank} of {self.all}: {failure.reason}")

    def _launch(self) -> None:
        # Asked otherwise, torch would start CUDA to count the cards, which no fork survives.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
        with tempfile.TemporaryDirectory() as folder:
            meeting = self._meeting
            config = LaunchConfig(
                min_nodes=self._nodes,
                max_nodes=self._nodes,
                nproc_per_node=self._size,
                run_id="archbench",
                rdzv_backend="c10d" if meeting is ALONE else "static",
                rdzv_endpoint=f"{meeting.address}:{meeting.port}",
                rdzv_configs={"timeout": MEETING_SECONDS}
                | ({} if meeting is ALONE else {"rank": meeting.node}),
                local_addr=meeting.own,
                max_restarts=0,
                start_method="fork",
                logs_specs=DefaultLogsSpecs(log_dir=folder),
            )
            try:
                elastic_launch(config, self._rank)()
            except Exception as error:
                self._error = error
            finally:
                for _, theirs in self._pairs:
                    theirs.close()

    def _rank(self) -> None:
        """Be a rank."""
        die_with_parent()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        here = Share(int(os.environ["LOCAL_RANK"]), self._size)
        share = Share(int(os.environ["RANK"]), self.all)
        for number, (ours, theirs) in enumerate(self._pairs):
            ours.close()
            if number != here.rank:
                theirs.close()
        link = self._pairs[here.rank][1]
        parent = Parent(link.makefile("rb", buffering=0), link.makefile("wb"), orphaned=1)
        torch.set_num_threads(max(1, torch.get_num_threads() // self._size))
        try:
            if interface := interface_of(self._meeting.own):
                os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
            dist.init_process_group()
            self._work(Gang(share, here), parent)
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
    failed: list[Failed] = []
    with Ranks(job.trial.setting, job.meeting, partial(_train, job)) as ranks:
        for rank, message in ranks.messages(parent.stopping):
            if isinstance(message, messages.Failure):
                failed.append((rank, message))
            elif isinstance(message, messages.Progress):
                parent.send(message)
            else:
                parent.report(message)
                ranks.send(b"\n")
        ranks.check(failed)


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
            if limited == request.limited:
                return probe(job, request)
            # Whatever another node finds out, this one can do it alone.
            alone = replace(job, setting=replace(job.setting, nnodes=1))
            return probe(alone, replace(request, limited=limited, meeting=None))

        return settled(attempt, limited=request.limited)

    return messages.Ready(job.conditions.budget_bytes, versions(), jobs.expected(job)), settle


def probe(job: messages.SearchJob, request: messages.ProbeRequest) -> Probe:
    """Try a batch size on each of several processes, which are started for it: it fits if it fits
    on all.

    Raises:
        TrialFailed: training failed for a reason that is not memory.
    """
    probes, failed = dict[int, Probe](), list[Failed]()
    with Ranks(job.setting, request.meeting, partial(_probe, job, request)) as ranks:
        for rank, message in ranks.messages():
            if isinstance(message, messages.Failure):
                failed.append((rank, message))
            else:
                probes[rank] = message
        made = [replace(p, reason=p.reason and f"rank {k}: {p.reason}") for k, p in probes.items()]
        if all(probe.fits for probe in made):
            try:
                ranks.check(failed)
            except RankDied as error:
                # A card that is full says so; another signal than SIGKILL is something else there.
                if job.conditions.device != "cpu" and not error.killed:
                    raise WorkerDied(str(error)) from error
                made.append(
                    Probe(job.model, job.setting, request.batch_size, False, None, 0.0, str(error))
                )
    return together(made)


def _probe(
    job: messages.SearchJob, request: messages.ProbeRequest, gang: Gang, parent: Parent
) -> None:
    made = jobs.probe_once(job, request, gang)
    parent.send(made)
    if not made.fits:
        os._exit(1)  # the others wait for gradients that do not come


def _silent(phase: str, done: int, total: int, rate: float | None = None) -> None:
    """Progress that the first rank reports."""


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL): memory ran out, most likely."
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}."
    return f"ended with exit code {code}."

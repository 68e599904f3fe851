"""Workers on the nodes of a cluster, as the process sees them that started the run."""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from bench import errors
from bench.batch_size.together import together
from bench.errors import BenchError, NodeLost, OutOfMemoryKilled, TimedOut, WorkerDied
from bench.records.messages import (
    Job,
    Meeting,
    ProbeRequest,
    SearchJob,
    TrainJob,
    WorkerEnded,
    decode_message,
    encode_message,
)
from bench.records.records import Probe
from bench.runner.worker_handle import TimeLimit, WorkerHandle

FOLLOW_SECONDS = 5.0
"""How long the other nodes of a trial that failed may take to say why, if they know better."""


class Slot(Protocol):
    """Where one worker at a time runs; `shared` if the run folder can be written to there."""

    @property
    def address(self) -> str:
        """The node's."""

    @property
    def shared(self) -> bool:
        """Whether the run folder can be written to there."""

    def call(self, method: str, *arguments: Any) -> Any:
        """What a method of its `SlotActor` returns; raises NodeLost if it does not in time."""

    def tell(self, method: str, *arguments: Any) -> None:
        """Call a method and wait for nothing."""


class RemoteWorker(WorkerHandle):
    """A worker on a node, with what `bench.runner.worker_process.Worker` has.

    A time limit of a trial is kept here: of a node that is gone, nobody else would.
    """

    def __init__(
        self,
        slot: Slot,
        scratch: Path,
        job: Job,
        log: Path,
        *,
        limited: bool | None = False,
        timeout: float | None = None,
    ) -> None:
        self._slot, self._scratch, self._job = slot, str(scratch), encode_message(job)
        self._trains = isinstance(job, TrainJob)
        self._lines: deque[bytes] = deque()
        slot.call("begin", self._job, self._scratch, slot.shared, limited)
        self._limit = TimeLimit(timeout, self.end)

    def __exit__(self, kind: object, *error: object) -> None:
        self._limit.cancel()
        if kind is not None:
            self.end()

    def receive(self) -> Any:
        """What its actor has read of it; of a trial that is done, the files, too."""
        while not self._lines:
            self._lines.extend(self._slot.call("read"))
        message = decode_message(self._lines.popleft())
        if not isinstance(message, WorkerEnded):
            return message
        if message.error is not None:
            self._limit.check()
            kind = getattr(errors, message.error, None)
            known = isinstance(kind, type) and issubclass(kind, BenchError)
            raise (kind if kind and known else WorkerDied)(message.reason)
        if self._trains and not self._slot.shared:
            for path, content in self._slot.call("files", self._job, self._scratch).items():
                Path(path).write_bytes(content)
        return None

    def answer(self) -> None:
        """Through its actor."""
        self._slot.call("write", "answer")

    def ask(self, request: ProbeRequest) -> Any:
        """Through its actor."""
        self._slot.call("write", "ask", encode_message(request))
        return self.reply()

    def stop(self) -> None:
        """Through its actor, without waiting."""
        self._slot.tell("write", "stop")

    def end(self) -> None:
        """Through its actor, without waiting."""
        self._slot.tell("write", "end")


class NodesWorker(WorkerHandle):
    """Workers on several nodes that do one job together, with what a single one has. That of the
    first node speaks for all; the others say only why they failed.

    A node that is lost ends the job: the ranks of others would wait for it.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        scratch: Path,
        job: SearchJob | TrainJob,
        log: Path,
        *,
        limited: bool | None = False,
        timeout: float | None = None,
    ) -> None:
        self._slots = slots
        self._errors: list[BenchError] = []
        self._trains = isinstance(job, TrainJob)
        jobs = [job] * len(slots)
        if isinstance(job, TrainJob):
            jobs = [replace(job, meeting=meeting) for meeting in self._meetings()]
        how: dict[str, Any] = {"limited": limited, "timeout": timeout}

        def start(number: int) -> RemoteWorker:
            return RemoteWorker(slots[number], scratch, jobs[number], log, **how)

        self._start = start
        self._workers = [start(number) for number in range(len(slots))]
        followers = self._workers[1:] if self._trains else []
        self._threads = [threading.Thread(target=self._follow, args=(w,)) for w in followers]
        for thread in self._threads:
            thread.start()

    def __exit__(self, kind: object, *error: object) -> None:
        for worker in self._workers:
            worker.__exit__(kind, *error)
        for thread in self._threads:
            thread.join()

    def receive(self) -> Any:
        """The first node's; of several errors, the one that the others follow from."""
        if not self._trains:
            first, *_ = [worker.receive() for worker in self._workers]
            return first
        try:
            message = self._workers[0].receive()
        except BenchError as error:
            raise self._cause_of(error) from error
        if message is None:
            for thread in self._threads:
                thread.join()
            if self._errors:
                raise self._errors[0]
        return message

    def answer(self) -> None:
        """The first node waits for it."""
        self._workers[0].answer()

    def ask(self, request: ProbeRequest) -> Any:
        """All of them: a batch fits if it fits on all nodes."""

        def one(worker: RemoteWorker, meeting: Meeting) -> Probe | BenchError:
            try:
                probe: Probe = worker.ask(replace(request, meeting=meeting))
                return probe
            except BenchError as error:
                return error

        with ThreadPoolExecutor(len(self._workers)) as pool:
            replies = list(pool.map(one, self._workers, self._meetings()))
        probes = [reply for reply in replies if isinstance(reply, Probe)]
        failed = [reply for reply in replies if isinstance(reply, BenchError)]
        grave = [e for e in failed if isinstance(e, NodeLost | OutOfMemoryKilled)]
        if grave or (failed and all(probe.fits for probe in probes)):
            raise next(iter(grave or failed))
        for number, reply in enumerate(replies):
            if isinstance(reply, BenchError):  # its ranks failed because those of another node did
                self._workers[number] = worker = self._start(number)
                worker.reply()
                worker.reply()
        return together(probes)

    def stop(self) -> None:
        """The ranks of other nodes stop with the first."""
        self._workers[0].stop()

    def end(self) -> None:
        """All of them."""
        for worker in self._workers:
            worker.end()

    def _meetings(self) -> list[Meeting]:
        first, port = self._slots[0].address, self._slots[0].call("free_port")
        return [Meeting(first, port, k, slot.address) for k, slot in enumerate(self._slots)]

    def _follow(self, worker: RemoteWorker) -> None:
        try:
            for _ in worker.messages():
                worker.answer()
        except BenchError as error:
            self._errors.append(error)
            if isinstance(error, NodeLost):
                self._workers[0].end()

    def _cause_of(self, error: BenchError) -> BenchError:
        """Of the errors of all nodes the one that the others follow from."""
        if isinstance(error, TimedOut):
            return error
        for thread in self._threads:
            thread.join(FOLLOW_SECONDS)
        found = [*self._errors, error]
        self.end()
        causes = (NodeLost, WorkerDied, BenchError)
        return next(e for kind in causes for e in found if isinstance(e, kind))

"""A worker process: reads one job, does it, and sends the results.

Its real standard input and output are the pipes to the parent. What code prints goes to standard
error, it can read nothing, and a child that it forks has no pipe to the parent.
"""

import gc
import os
import queue
import signal
import sys
import threading
import traceback
from io import RawIOBase
from time import perf_counter
from typing import Any, BinaryIO

from bench.errors import BenchError, Refused, Unsaved, first_line
from bench.own_code import line_of
from bench.records import messages

PROGRESS_SECONDS = 1.0


class Parent:
    """The parent process, as its worker sees it."""

    def __init__(self, requests: RawIOBase, replies: BinaryIO) -> None:
        self._requests = requests
        self._replies = replies
        self._inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._last_progress = perf_counter()
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, message: messages.Message) -> None:
        """Send without waiting."""
        self._replies.write(messages.encode_message(message))
        self._replies.flush()

    def report(self, message: messages.Message) -> None:
        """Send, and wait until the parent has processed it."""
        self.send(message)
        self._inbox.get()

    def progress(self, phase: str, done: int, total: int, rate: float | None = None) -> None:
        """Send the progress of a phase, at most once a second."""
        if perf_counter() - self._last_progress >= PROGRESS_SECONDS or done == total:
            self.send(messages.Progress(phase, done, total, rate))
            self._last_progress = perf_counter()

    def stopping(self) -> bool:
        """Whether the parent has asked for an early end."""
        return self._stop.is_set()

    def receive(self) -> Any:
        """The next job or request."""
        return messages.decode_message(self._inbox.get())

    def _read(self) -> None:
        # Unbuffered: a thread blocked in a buffered read aborts the interpreter when it ends.
        for line in iter(self._requests.readline, b""):
            if line == messages.STOP:
                self._stop.set()
            else:
                self._inbox.put(line)
        os._exit(0)


def main() -> int:
    """Do one job; the exit code is 0 even if it failed, because the reason was sent."""
    # The parent decides what a signal means, and sends STOP; without a parent, the input ends.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    requests, replies, nothing = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    # Line by line: of one that is killed, what it had printed is not lost.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: os.dup2(nothing, replies, inheritable=False))
    parent = Parent(open(requests, "rb", buffering=0), os.fdopen(replies, "wb"))  # noqa: SIM115
    try:
        work(parent.receive(), parent)
    except BenchError as error:
        refused, unsaved = isinstance(error, Refused), isinstance(error, Unsaved)
        parent.send(messages.Failure(str(error), refused, unsaved))
    except Exception as error:
        traceback.print_exc()
        line = line_of(error)
        where = f"{line}: " if line else ""
        parent.send(messages.Failure(f"{where}{type(error).__name__}: {first_line(error)}"[:500]))
    return 0


def work(job: messages.Job, parent: Parent) -> None:
    """Do one job of `bench.runner.worker.jobs`."""
    from bench.runner.worker import jobs

    gc.freeze()  # a fresh process, too, collects without looking through its imports
    match job:
        case messages.ExamineJob():
            parent.send(jobs.examine_own(job))
        case messages.PrepareJob():
            parent.send(jobs.prepare(job, parent.send))
        case messages.SearchJob():
            parent.send(jobs.describe(job))
            ready, probe = jobs.open_search(job)
            parent.send(ready)
            while True:
                parent.send(probe(parent.receive()))
        case messages.ResolveJob():
            parent.send(jobs.resolve_all(job))
        case messages.AbilitiesJob():
            parent.send(jobs.abilities(job))
        case messages.SelfCheckJob():
            from bench.runner.worker import selfcheck_jobs

            parent.send(selfcheck_jobs.measure(job))
        case messages.SimulateJob():
            for simulated in jobs.simulate_all(job):
                parent.send(simulated)
        case messages.TrainJob():
            for message in jobs.train(job, parent.progress, parent.stopping):
                parent.report(message)


if __name__ == "__main__":
    sys.exit(main())

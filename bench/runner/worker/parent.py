"""The other end of a worker's pipes."""

import os
import queue
import threading
import traceback
from io import RawIOBase
from time import perf_counter
from typing import Any, BinaryIO

from bench.errors import BenchError, Diverged, RankDied, Refused, Unsaved, first_line
from bench.own_code import line_of
from bench.records import messages

PROGRESS_SECONDS = 1.0


class Parent:
    """The parent process, as its worker sees it; the worker ends, with an exit code, when the
    requests do."""

    def __init__(self, requests: RawIOBase, replies: BinaryIO, orphaned: int = 0) -> None:
        self._orphaned = orphaned
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
        os._exit(self._orphaned)


def failure_of(error: Exception) -> messages.Failure:
    """Why a job failed; of an error that nobody foresaw, the traceback goes to the log."""
    if isinstance(error, BenchError):
        return messages.Failure(
            str(error),
            refused=isinstance(error, Refused),
            unsaved=isinstance(error, Unsaved),
            died=isinstance(error, RankDied),
            diverged=isinstance(error, Diverged),
        )
    traceback.print_exception(error)
    line = line_of(error)
    where = f"{line}: " if line else ""
    return messages.Failure(f"{where}{type(error).__name__}: {first_line(error)}"[:500])

"""A worker as whoever started it sees it, wherever it runs."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Self

from bench.errors import TimedOut, WorkerDied
from bench.records.messages import ProbeRequest


class WorkerHandle(ABC):
    """One job in a worker: use as a context manager, which ends it."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, kind: object, *error: object) -> None: ...

    def messages(self) -> Iterator[Any]:
        """What the worker sends, until it ends. Raises like `receive`."""
        while (message := self.receive()) is not None:
            yield message

    def reply(self) -> Any:
        """The next message, where the job cannot be done yet. Raises like `receive`."""
        message = self.receive()
        if message is None:
            raise WorkerDied("its worker ended before the answer.")
        return message

    @abstractmethod
    def receive(self) -> Any:
        """The next message, or None when the job is done.

        Raises:
            Refused, TrialFailed: the worker reported why it failed.
            WorkerDied: it ended without a report.
            NodeLost: its node no longer answers.
        """

    @abstractmethod
    def answer(self) -> None:
        """Let a worker continue that waits after a record."""

    @abstractmethod
    def ask(self, request: ProbeRequest) -> Any:
        """Send a request and return the reply. Raises like `receive`."""

    @abstractmethod
    def stop(self) -> None:
        """Ask a training worker to finish its step, save a checkpoint, and end.

        A signal handler may call this while the main program is writing.
        """

    @abstractmethod
    def end(self) -> None:
        """End it now, although it may have more to say."""


class TimeLimit:
    """Ends a worker after so many seconds, from now on; None for no limit."""

    def __init__(self, seconds: float | None, end: Callable[[], None]) -> None:
        self._seconds = seconds
        self._end = end
        self._passed = False
        self._timer = None if seconds is None else threading.Timer(seconds, self._time_out)
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def cancel(self) -> None:
        """Lift it."""
        if self._timer is not None:
            self._timer.cancel()

    def check(self) -> None:
        """Raises TimedOut if that was why the worker ended."""
        if self._passed:
            raise TimedOut(f"it took longer than --trial-timeout {self._seconds:g} s.")

    def _time_out(self) -> None:
        self._passed = True
        self._end()


Start = Callable[..., WorkerHandle]
"""What starts a worker, taking what `bench.runner.worker_process.Worker` takes."""

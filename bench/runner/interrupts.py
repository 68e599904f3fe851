"""Signals during a run: the first asks for an orderly end, the second ends it immediately.

Ctrl-C, SIGTERM and SIGHUP are treated alike: schedulers and closed terminals send the latter two.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

GRACE_SECONDS, MOST_GRACE_SECONDS = 4.0, 60.0
"""How long a trial may take at least, and at most, to finish its step and save before it is ended
without saving."""

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupts:
    """Handlers of this process's signals while `installed`; `number` is of the first, 0 if none."""

    def __init__(self) -> None:
        self.number = 0
        self._ask: Callable[[], None] | None = None
        self._step_seconds: Callable[[], float] = float

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals in the block; does nothing outside the main thread, as Python requires."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            numbers.remove(signal.SIGHUP)  # as nohup wants it
        before = {number: signal.signal(number, self._handle) for number in numbers}
        alarm = signal.signal(signal.SIGALRM, self._end) if hasattr(signal, "SIGALRM") else None
        try:
            yield
        finally:
            if hasattr(signal, "SIGALRM"):
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, alarm)
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def ask_first(
        self, ask: Callable[[], None], step_seconds: Callable[[], float] = float
    ) -> Iterator[None]:
        """In the block, the first signal calls `ask` instead of ending the run, and what was asked
        has the time of two steps, which take about `step_seconds`."""
        self._ask, self._step_seconds = ask, step_seconds
        try:
            yield
        finally:
            self._ask = None
            if self.number and hasattr(signal, "SIGALRM"):
                signal.setitimer(signal.ITIMER_REAL, 0)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first, self.number = self.number == 0, self.number or number
        if not first or self._ask is None:
            raise KeyboardInterrupt
        self._ask()
        if hasattr(signal, "SIGALRM"):
            grace = max(GRACE_SECONDS, min(2 * self._step_seconds(), MOST_GRACE_SECONDS))
            signal.setitimer(signal.ITIMER_REAL, grace)

    def _end(self, number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

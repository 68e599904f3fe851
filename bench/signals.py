"""Ctrl-C that cannot get lost: libraries' callbacks may swallow a KeyboardInterrupt."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """Raises KeyboardInterrupt at Ctrl-C, and again at the next `check`."""

    def __init__(self) -> None:
        self._pressed = False

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle SIGINT; not where it is ignored, nor outside the main thread, where Python allows
        no handlers."""
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
            yield
            return
        before = signal.signal(signal.SIGINT, self._handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self._pressed:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._pressed = True
        raise KeyboardInterrupt

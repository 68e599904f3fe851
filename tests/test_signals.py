"""A Ctrl-C that something swallowed is raised again at the next check."""

import contextlib
import signal

import pytest

from bench.signals import Interrupts


def test_it_is_raised_at_once_and_at_every_check() -> None:
    interrupts = Interrupts()
    before = signal.getsignal(signal.SIGINT)
    with interrupts.installed():
        interrupts.check()
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert signal.getsignal(signal.SIGINT) is before


def test_it_stays_ignored_where_it_was() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupts = Interrupts()
        with interrupts.installed():
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        interrupts.check()
        assert not interrupts._pressed
    finally:
        signal.signal(signal.SIGINT, before)

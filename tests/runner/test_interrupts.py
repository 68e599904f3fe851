"""The first signal asks, the second ends; and no process is left behind by any."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bench.runner.interrupts import Interrupts
from tests.killing import command, make_images
from tests.runner.test_resume import wait_for

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def in_a_terminal() -> Iterator[None]:
    """As if nobody had started the tests under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


class TestInterrupts:
    @pytest.mark.parametrize("number", SIGNALS)
    def test_the_first_asks_the_second_ends(self, number: signal.Signals) -> None:
        interrupts, asked = Interrupts(), []
        with interrupts.installed(), interrupts.ask_first(lambda: asked.append(1)):
            send(number)
            assert asked == [1]
            with pytest.raises(KeyboardInterrupt):
                send(number)
        assert (asked, interrupts.number) == ([1], number)

    def test_where_nobody_can_be_asked_the_first_ends(self) -> None:
        interrupts = Interrupts()
        with interrupts.installed(), pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)
        assert interrupts.number == signal.SIGTERM

    def test_who_was_asked_in_vain_is_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bench.runner.interrupts.GRACE_SECONDS", 0.05)
        interrupts = Interrupts()
        with interrupts.installed(), interrupts.ask_first(lambda: None):
            send(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                time.sleep(5)

    def test_a_run_under_nohup_outlives_its_terminal(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            interrupts = Interrupts()
            with interrupts.installed():
                send(signal.SIGHUP)
            assert interrupts.number == 0
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_two_slow_steps_are_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bench.runner.interrupts.GRACE_SECONDS", 0.05)
        interrupts = Interrupts()
        with interrupts.installed(), interrupts.ask_first(lambda: None, lambda: 15.0):
            send(signal.SIGINT)
            assert 25 < signal.getitimer(signal.ITIMER_REAL)[0] <= 30
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0

    def test_handlers_are_as_before(self) -> None:
        before = [signal.getsignal(number) for number in SIGNALS]
        with Interrupts().installed():
            assert [signal.getsignal(number) for number in SIGNALS] != before
        assert [signal.getsignal(number) for number in SIGNALS] == before


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all processes end soon."""
    deadline = time.monotonic() + 20
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def begun(tmp_path: Path) -> Callable[[], tuple["subprocess.Popen[str]", list[psutil.Process]]]:
    """A real run in its first trial, and its workers."""

    def start() -> tuple["subprocess.Popen[str]", list[psutil.Process]]:
        words = command(make_images(tmp_path / "images"), tmp_path / "run", ["lenet"])
        process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        wait_for(tmp_path / "run", '"event":"Epoch"')
        return process, psutil.Process(process.pid).children(recursive=True)

    return start


@pytest.mark.thorough
def test_a_scheduler_that_sends_sigterm(begun: Callable[[], tuple[subprocess.Popen, list]]) -> None:
    process, workers = begun()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "--resume" in said
    assert gone(workers)

import os
import signal
import sys

import pytest

from bench.batch_size.forked import in_child, message_from_child
from bench.errors import OutOfMemoryKilled, Refused, TrialFailed, WorkerDied
from bench.records.messages import Progress

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")


def test_the_answer_comes_back() -> None:
    parent = os.getpid()
    pid, payload = in_child(lambda: f"{os.getpid()} {'x' * 200_000}".encode()).split()
    assert int(pid) != parent
    assert len(payload) == 200_000


def test_nothing_is_left_behind() -> None:
    memory: list[int] = []

    def call() -> bytes:
        memory.append(1)
        return f"{os.getpid()} {len(memory)}".encode()

    pid, length = in_child(call).split()
    assert (int(length), memory) == (1, [])
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def killed_by(number: int) -> bytes:
    os.kill(os.getpid(), number)
    return b""


def test_a_kill_means_out_of_memory() -> None:
    with pytest.raises(OutOfMemoryKilled, match=r"process ended with SIGKILL\."):
        in_child(lambda: killed_by(signal.SIGKILL))


def test_another_signal_does_not() -> None:
    with pytest.raises(WorkerDied, match=r"process ended with SIGTERM\.") as died:
        in_child(lambda: killed_by(signal.SIGTERM))
    assert not isinstance(died.value, OutOfMemoryKilled)


def test_an_exit_without_an_answer() -> None:
    with pytest.raises(WorkerDied, match=r"process ended with exit code 7\."):
        in_child(lambda: os._exit(7))


def test_a_message_comes_back() -> None:
    assert message_from_child(lambda: Progress("probe", 1, 2)) == Progress("probe", 1, 2)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Refused("no such model."), "no such model."),
        (ValueError("first\nsecond"), "ValueError: first"),
    ],
)
def test_an_error_in_the_child_fails_the_trial(error: Exception, reason: str) -> None:
    def fail() -> Progress:
        raise error

    with pytest.raises(TrialFailed) as failed:
        message_from_child(fail)
    assert str(failed.value) == reason

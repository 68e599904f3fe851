"""The parent's side of the pipes, with scripts of a few lines in the worker's place."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from bench.errors import (
    Diverged,
    OutOfMemoryKilled,
    Refused,
    TimedOut,
    TrialFailed,
    Unsaved,
    WorkerDied,
)
from bench.records.messages import (
    Failure,
    Message,
    PrepareJob,
    ProbeRequest,
    Progress,
    encode_message,
)
from bench.runner import warm_worker
from bench.runner.worker_process import Worker
from tests.builders import a_probe, a_trial, an_epoch

PYTHON = sys.executable
ROOT = Path(__file__).parents[2]
JOB = PrepareJob(("resnet18",), "cpu", ("fp32",), "shapes10", None, 8, None, (32, "native"), "/x")

FAKE = """
import json, os, signal, sys, time
job = sys.stdin.readline()
def send(line):
    sys.stdout.buffer.write(line.rstrip(b"\\n") + b"\\n")
    sys.stdout.flush()
def say(text):
    words = {"message": "Progress", "phase": text, "done": os.getpid(), "total": 0}
    send(json.dumps(words).encode())
"""

REAL = """
import sys, time
from bench.runner.worker import __main__ as worker
from bench.errors import BenchError, Refused, TrialFailed
from bench.records.messages import Progress
def work(job, parent):
{work}
worker.work = work
sys.exit(worker.main())
"""

Start = Callable[..., Worker]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


@pytest.fixture
def start(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts a script in place of the interpreter that would run `bench.runner.worker`."""

    def started(script: str, head: str = FAKE, timeout: float | None = None) -> Worker:
        fake = tmp_path / "fake"
        fake.write_text(f"#!{PYTHON}\n{head}{dedent(script)}")
        fake.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(fake))
        monkeypatch.setattr(warm_worker, "AVAILABLE", False)
        monkeypatch.setattr(warm_worker, "_templates", {})
        return Worker(JOB, log, timeout=timeout)

    return started


@pytest.fixture
def start_real(start: Start) -> Start:
    """Starts the real worker, with another body for its `work(job, parent)`."""
    return lambda work: start("", head=REAL.format(work="    " + work))


def sends(*messages: Message) -> str:
    return "".join(f"send({encode_message(message)!r})\n" for message in messages)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_messages_arrive_in_order_until_the_worker_ends(start: Start) -> None:
    sent = [Progress("epoch 1/2", 3, 10, 64.5), an_epoch(a_trial()), a_probe()]
    with start(sends(*sent)) as worker:
        assert list(worker.messages()) == sent


def test_the_worker_gets_the_job(start: Start) -> None:
    with start("send(job.encode())") as worker:
        assert worker.receive() == JOB


def test_a_worker_waits_for_an_answer(start: Start) -> None:
    with start("say('first'); sys.stdin.readline(); say('second')") as worker:
        assert worker.receive().phase == "first"
        worker.answer()
        assert worker.receive().phase == "second"
        assert worker.receive() is None


def test_a_question_is_answered(start: Start) -> None:
    script = "request = json.loads(sys.stdin.readline())\n"
    script += 'say(f\'{request["message"]} {request["batch_size"]} {request["limited"]}\')'
    with start(script) as worker:
        assert worker.ask(ProbeRequest(48, limited=False)).phase == "ProbeRequest 48 False"


def test_a_worker_that_ends_before_its_answer_died(start: Start) -> None:
    with (
        start("sys.stdin.readline()") as worker,
        pytest.raises(WorkerDied, match="before the answer"),
    ):
        worker.ask(ProbeRequest(2))


def test_a_worker_that_is_gone_cannot_be_asked(start: Start) -> None:
    with start("sys.exit(7)") as worker:
        with pytest.raises(WorkerDied, match="exit code 7"):
            worker.receive()
        with pytest.raises(WorkerDied, match="exit code 7"):
            worker.ask(ProbeRequest(2))


def test_a_kill_means_that_memory_ran_out(start: Start) -> None:
    script = "say('alive'); os.kill(os.getpid(), signal.SIGKILL)"
    with start(script) as worker:
        assert worker.receive().phase == "alive"
        with pytest.raises(OutOfMemoryKilled, match=r"killed \(SIGKILL\): memory ran out"):
            worker.receive()


def test_a_worker_ends_where_there_is_no_such_signal(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""
    monkeypatch.delattr(signal, "SIGKILL")
    with start("say('done')") as worker:
        assert [message.phase for message in worker.messages()] == ["done"]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure("why"), TrialFailed),
        (Failure("why", refused=True), Refused),
        (Failure("why", unsaved=True), Unsaved),
        (Failure("why", died=True), WorkerDied),
        (Failure("why", diverged=True), Diverged),
    ],
)
def test_a_failure_is_raised_as_what_it_is(
    start: Start, failure: Failure, kind: type[Exception]
) -> None:
    with start(sends(failure)) as worker, pytest.raises(kind, match=r"^why$") as raised:
        worker.receive()
    assert raised.type is kind


def test_a_worker_that_hangs_is_ended(start: Start) -> None:
    with start("say('alive'); time.sleep(60)", timeout=0.5) as worker:
        assert worker.receive().phase == "alive"
        with pytest.raises(TimedOut, match=r"^it took longer than --trial-timeout 0\.5 s\.$"):
            worker.receive()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_another_signal_is_named(start: Start, name: str) -> None:
    with start(f"os.kill(os.getpid(), signal.{name})") as worker:
        with pytest.raises(WorkerDied, match=f"killed by {name}") as died:
            list(worker.messages())
        assert not isinstance(died.value, OutOfMemoryKilled)


def test_a_workers_last_words_are_passed_on(start: Start, log: Path) -> None:
    log.write_text("from an earlier worker\n")
    script = "sys.stderr.write('chatter\\nlibfoo: cannot go on\\n'); sys.exit(3)"
    with start(script) as worker, pytest.raises(WorkerDied) as died:
        worker.receive()
    assert str(died.value) == "its worker ended with exit code 3: libfoo: cannot go on"
    assert log.read_text().startswith("from an earlier worker\nchatter\n")


def test_a_worker_that_gave_no_reason(start: Start) -> None:
    with start("sys.exit(3)") as worker, pytest.raises(WorkerDied, match="it gave no reason"):
        worker.receive()


@pytest.mark.parametrize(
    "line",
    [
        b"Downloading weights...",
        b"",
        b"[]",
        b"{}",
        b'{"message": "Surprise"}',
        b'{"message": "Progress"}',
        b'{"message": "Progress", "phase": "torn',
        b"\xff\xfe",
    ],
)
def test_a_damaged_line_is_the_workers_death(start: Start, line: bytes) -> None:
    with start(f"send({line!r})") as worker, pytest.raises(WorkerDied, match="sent a damaged line"):
        worker.receive()


def test_a_failure_fails_the_trial(start: Start) -> None:
    script = sends(Failure("out of memory at batch 64."))
    with (
        start(script) as worker,
        pytest.raises(TrialFailed, match=r"^out of memory at batch 64\.$"),
    ):
        worker.receive()


def test_a_failure_of_the_input_is_refused(start: Start) -> None:
    script = sends(Failure("no such card.", refused=True))
    with start(script) as worker, pytest.raises(Refused, match=r"^no such card\.$"):
        worker.receive()


def test_what_came_before_a_failure_is_not_lost(start: Start) -> None:
    with start(sends(Progress("x", 1, 2), Failure("broke."))) as worker:
        messages = worker.messages()
        assert next(messages) == Progress("x", 1, 2)
        with pytest.raises(TrialFailed, match="broke"):
            next(messages)


def test_an_error_in_the_parent_kills_the_worker(start: Start) -> None:
    worker = start("say('busy'); time.sleep(600)")
    pid = worker.receive().done
    with pytest.raises(KeyboardInterrupt), worker:
        raise KeyboardInterrupt
    assert not alive(pid)


def test_a_worker_finds_our_code_first_and_loads_no_pickles(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    script = "say(os.environ['PYTHONPATH']); say(os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'])"
    with start(script) as worker:
        assert [m.phase for m in worker.messages()] == [f"{ROOT}{os.pathsep}/theirs", "1"]


def test_the_real_worker_ends_when_its_standard_input_closes(start_real: Start) -> None:
    work = "import os; parent.send(Progress('busy', os.getpid(), 0)); time.sleep(600)"
    with start_real(work) as worker:
        pid = worker.receive().done
        # leaving the block closes the pipes and waits, which would take ten minutes
    assert not alive(pid)


def test_the_real_worker_ends_even_before_it_has_a_job() -> None:
    command = [PYTHON, "-m", "bench.runner.worker"]
    ended = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (0, b"")


def test_what_libraries_print_does_not_reach_the_parent(start_real: Start, log: Path) -> None:
    with start_real(
        "print('a banner', flush=True); parent.send(Progress('clean', 1, 1))"
    ) as worker:
        assert [message.phase for message in worker.messages()] == ["clean"]
    assert log.read_text() == "a banner\n"


def test_no_code_fails_because_an_encoding_lacks_what_it_prints(
    start_real: Start, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii:strict")
    with start_real(r"print('3 \u2192 4'); parent.send(Progress('clean', 1, 1))") as worker:
        assert [message.phase for message in worker.messages()] == ["clean"]
    assert log.read_text() == "3 \\u2192 4\n"


def test_the_real_worker_waits_after_a_report(start_real: Start, tmp_path: Path) -> None:
    written = tmp_path / "written"
    work = "import os; parent.report(Progress('epoch', 0, 0)); "
    work += f"parent.send(Progress('next', int(os.path.exists({str(written)!r})), 1))"
    with start_real(work) as worker:
        assert worker.receive().phase == "epoch"
        time.sleep(0.3)  # a worker that did not wait would look for the file now
        written.touch()
        worker.answer()
        assert worker.receive().done == 1


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        ("TrialFailed('it broke.')", TrialFailed, "it broke."),
        ("Refused('no such card.')", Refused, "no such card."),
        ("ValueError('first\\nsecond')", TrialFailed, "ValueError: first"),
        ("AssertionError", TrialFailed, "AssertionError: "),
    ],
)
def test_an_error_of_the_real_worker_comes_in_words(
    start_real: Start, error: str, kind: type[Exception], reason: str
) -> None:
    with start_real(f"raise {error}") as worker, pytest.raises(kind) as raised:
        worker.receive()
    assert str(raised.value) == reason


def test_a_bug_in_the_worker_leaves_its_traceback_in_the_log(start_real: Start, log: Path) -> None:
    with start_real("raise ValueError('odd')") as worker, pytest.raises(TrialFailed):
        worker.receive()
    assert "Traceback (most recent call last)" in log.read_text()

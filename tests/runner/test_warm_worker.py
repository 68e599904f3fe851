"""Forked workers: as good as fresh ones, and nothing of one is left for the next."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.runner import warm_worker
from bench.runner.warm_worker import ForkedProcess, Template, fork_worker, warm_up

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not warm_worker.AVAILABLE, reason="only Linux forks workers"),
]

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def template():
    made = Template(ENVIRONMENT)
    yield made
    made.close()


@pytest.fixture
def errors(tmp_path: Path):
    with (tmp_path / "log").open("ab") as file:
        yield file


def _threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def _ended(child: ForkedProcess) -> int:
    child.stdin.close()
    code = child.wait()
    child.stdout.close()
    return code


def test_a_child_ends_when_its_input_does(template: Template, errors) -> None:
    child = template.fork(errors)
    assert child.pid != os.getpid()
    assert _ended(child) == 0
    assert child.wait() == 0


def test_the_template_has_one_thread_and_has_not_touched_cuda(template: Template, errors) -> None:
    _ended(template.fork(errors))
    assert _threads(template._process.pid) == 1
    maps = Path(f"/proc/{template._process.pid}/maps").read_text()
    assert "libtorch" in maps
    assert "/dev/nvidia" not in maps


def test_a_killed_child_is_reported_and_leaves_the_template_alive(
    template: Template, errors
) -> None:
    first, second = template.fork(errors), template.fork(errors)
    first.kill()
    assert _ended(first) == -signal.SIGKILL
    first.kill()
    os.kill(second.pid, signal.SIGSEGV)
    second.wait()  # before its input ends, of which it would end, too
    assert _ended(second) == -signal.SIGSEGV
    assert _ended(template.fork(errors)) == 0


def test_children_do_not_hold_each_others_pipes(template: Template, errors) -> None:
    """Else the first would not notice that its parent has gone."""
    first, second = template.fork(errors), template.fork(errors)
    assert _ended(first) == 0
    assert _ended(second) == 0


def test_what_a_child_prints_goes_to_its_log(template: Template, tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as file:
        child = template.fork(file)
        child.stdin.write(b"this is no job\n")
        child.stdin.flush()
        assert child.stdout.readline().startswith(b'{"message":"Failure"')
        _ended(child)
    assert "Traceback" in (tmp_path / "log").read_text()


def test_children_have_the_environment_and_the_folder_of_their_parent(
    template: Template, errors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    child = template.fork(errors)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{child.pid}/cwd").resolve() != tmp_path.resolve():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert _ended(child) == 0
    environment = Path(f"/proc/{template._process.pid}/environ").read_bytes()
    assert f"PYTHONPATH={ROOT}".encode() in environment


def test_an_expected_template_is_the_one_that_forks_and_one_that_dies_is_replaced(
    errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_worker, "_templates", {})
    environment = ENVIRONMENT | {"ARCHBENCH_TEST": "1"}
    warm_up(environment)
    (expected,) = warm_worker._templates.values()
    child, first = fork_worker(environment, errors), fork_worker(environment, errors)
    assert child is not None
    assert first is not None
    assert _ended(child) == 0
    assert list(warm_worker._templates.values()) == [expected]
    expected._process.kill()
    expected._process.wait()
    second = fork_worker(environment, errors)
    assert second is not None
    assert (_ended(first), _ended(second)) == (-signal.SIGKILL, 0)
    (replaced,) = warm_worker._templates.values()
    assert replaced is not expected
    replaced.close()


def test_no_more_than_two_templates_are_kept(errors, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        def __init__(self, environment) -> None:
            self.closed = False

        def fork(self, errors) -> None:
            return None

        def close(self) -> None:
            self.closed = True

    kept: dict[object, Fake] = {}
    monkeypatch.setattr(warm_worker, "_templates", kept)
    monkeypatch.setattr(warm_worker, "Template", Fake)
    made = []
    for number in range(4):
        fork_worker({"NUMBER": str(number)}, errors)
        made.append(list(kept.values())[-1])
    assert len(kept) == warm_worker.MOST_TEMPLATES == 2
    assert [fake.closed for fake in made] == [True, True, False, False]


@pytest.mark.parametrize("how", ["unavailable", "broken"])
def test_without_a_template_there_is_no_fork(
    how: str, errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_worker, "_templates", {})
    if how == "unavailable":
        monkeypatch.setattr(warm_worker, "AVAILABLE", False)
    else:
        monkeypatch.setattr(sys, "executable", "/bin/false")
    assert fork_worker(ENVIRONMENT, errors) is None


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from bench.runner.warm_worker import Template\n"
        "t = Template(os.environ); c = t.fork(open(sys.argv[1], 'ab'))\n"
        "print(t._process.pid, c.pid, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}/cmdline").exists() and _alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_nothing_is_forked_where_the_end_of_a_process_cannot_be_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before Linux 5.3 and in some containers: a template would die of its first child."""

    def missing(pid: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", missing, raising=False)
    assert not warm_worker._is_available()
    monkeypatch.delattr(os, "pidfd_open")
    assert not warm_worker._is_available()

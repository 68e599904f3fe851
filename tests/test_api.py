from pathlib import Path
from typing import Any

import pytest

import bench.api
import bench.runner.resume
import bench.runner.run
from bench.config import Config
from bench.errors import BenchError
from bench.records.run import Run, load_run
from bench.report.results import Results
from tests.builders import some_records, write_log


class Watched:
    """A reporter that notes what it is shown."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.closed = False

    def show(self, message: Any) -> None:
        self.messages.append(message)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Someone who watches; runs are read, not made."""
    reporter = Watched()
    monkeypatch.setattr(bench.api, "reporter_here", lambda run: reporter)
    return reporter


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder that `run` and `resume` come to after a message."""
    write_log(tmp_path, some_records())

    def pretend(where: Any, listener: Any, given: Any = None) -> Run:
        listener("a message")
        return load_run(tmp_path)

    monkeypatch.setattr(bench.runner.run, "run", pretend)
    monkeypatch.setattr(bench.runner.resume, "resume", pretend)
    return tmp_path


def test_a_run_is_shown_where_someone_is_watching(folder: Path, watched: Watched) -> None:
    results = bench.api.run(Config(preset="smoke"))
    assert isinstance(results, Results)
    assert [t.status for t in results.trials] == ["done", "done"]
    assert (watched.messages, watched.closed) == (["a message"], True)


def test_a_listener_is_called_instead(folder: Path, watched: Watched) -> None:
    heard: list[Any] = []
    bench.api.run(Config(preset="smoke"), heard.append)
    assert (heard, watched.messages) == (["a message"], [])


def test_a_script_is_silent(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bench.api.run(Config(preset="smoke"))
    assert capfd.readouterr() == ("", "")


def test_a_resumed_run_is_shown_with_what_it_had(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[Run] = []
    monkeypatch.setattr(bench.api, "reporter_here", known.append)
    assert len(bench.api.resume(str(folder)).epochs) == 6
    assert [len(run.trials) for run in known] == [2]


def test_the_display_is_closed_when_a_run_fails(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise BenchError("the disk is full.")

    monkeypatch.setattr(bench.runner.run, "run", fail)
    with pytest.raises(BenchError, match="full"):
        bench.api.run(Config(preset="smoke"))
    assert watched.closed

"""Which runs a history is made of, and in which order."""

import shutil
from pathlib import Path

import pytest

from bench.analysis.history.runs import read_runs
from bench.analysis.metrics import BY_NAME
from bench.errors import Refused
from bench.records.records import RunEnded
from tests.analysis.history.logs import a_day, day_records
from tests.builders import a_failed_trial, a_trial, run_start, write_log

METRICS = [BY_NAME["epoch_seconds"], BY_NAME["final_test_accuracy"]]


def names(*paths: Path) -> list[str]:
    return [run.name for run in read_runs(paths, METRICS)[0]]


def test_folders_and_folders_of_folders_once_each(tmp_path: Path) -> None:
    a, b = a_day(tmp_path, 1), a_day(tmp_path, 2)
    (tmp_path / "plots").mkdir()
    assert names(tmp_path) == names(a, b) == names(tmp_path, a, b) == ["day-01", "day-02"]


def test_a_folder_beside_runs_that_nobody_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as `lost+found` of a disk."""
    a_day(tmp_path, 1)
    (tmp_path / "lost+found").mkdir()
    is_file = Path.is_file

    def is_readable_file(path: Path) -> bool:
        if path.parent.name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", is_readable_file)
    assert names(tmp_path) == ["day-01"]


def test_commits_give_the_order_where_all_are_dated(tmp_path: Path) -> None:
    # Day 3 ran an old commit again.
    a_day(tmp_path, 1, committed_at="2025-01-02T00:00:00+00:00")
    a_day(tmp_path, 2, committed_at="2025-01-03T00:00:00Z")
    a_day(tmp_path, 3, committed_at="2025-01-01T00:00:00")
    assert names(tmp_path) == ["day-03", "day-01", "day-02"]
    a_day(tmp_path, 4, committed_at=None)
    assert names(tmp_path) == ["day-01", "day-02", "day-03", "day-04"]


def test_the_users_own_commit_is_the_one_that_counts(tmp_path: Path) -> None:
    a_day(tmp_path, 1, project_commit="mine", project_committed_at="2026-01-01T00:00:00Z")
    (run,), _ = read_runs([tmp_path], METRICS)
    assert (run.commit, run.committed_at and run.committed_at.year) == ("mine", 2026)


def test_what_is_read_of_a_run(tmp_path: Path) -> None:
    a_day(tmp_path, 1, machine=2.0, driver="570.1")
    (run,), _ = read_runs([tmp_path], METRICS)
    assert run.conditions["device"] == "Test CPU (cpu)"
    assert run.conditions["torch"] == "2.9.0"
    assert run.conditions["driver"] == "570.1"
    (group,) = run.groups
    assert set(group.values) == {"epoch_seconds", "final_test_accuracy"}
    assert group.values["final_test_accuracy"] == pytest.approx({0: 0.6, 1: 0.62, 2: 0.64})
    assert set(group.machine) == {0, 1, 2}
    assert group.conditions["batch size"] == "64"


def test_what_cannot_be_used_is_a_row_with_its_reason(tmp_path: Path) -> None:
    good = a_day(tmp_path, 1)
    shutil.copytree(good, tmp_path / "day-01-again")
    write_log(tmp_path / "unfinished", day_records(2)[:-1])
    failed = [*run_start(), *a_failed_trial(a_trial(), 1), RunEnded(1, 3.0)]
    write_log(tmp_path / "failed", failed)
    write_log(tmp_path / "begun", run_start()[:1])
    damaged = a_day(tmp_path, 3) / "events.jsonl"
    damaged.write_bytes(damaged.read_bytes().replace(b'"seed":1', b'"seed":7', 1))
    newer = tmp_path / "newer"
    newer.mkdir()
    line = '{"event":"RunStarted","schema":99,"started_at":"","command":"","config":{}'
    (newer / "events.jsonl").write_text(line + ',"environment":{}}\n')
    undated = day_records(5)
    undated[0] = type(undated[0])(3, "<b>yesterday</b>", "", {}, {})  # type: ignore[call-arg]
    write_log(tmp_path / "undated", undated)
    empty = tmp_path.parent / f"{tmp_path.name}-empty"
    empty.mkdir()
    runs, unusable = read_runs([tmp_path, empty], METRICS)
    assert [run.name for run in runs] == ["day-01"]
    reasons = {one.name: one.reason for one in unusable}
    for name, reason in {
        "day-01-again": "it is a copy of day-01.",
        "unfinished": "it did not come to its end",
        "failed": "none of its trials is done.",
        "begun": "ends before its run began",
        "day-03": "its checksum is wrong",
        "newer": "has schema 99",
        "undated": "does not say when it started",
        empty.name: "it is no run folder",
    }.items():
        assert reason in reasons.pop(name)
    assert not reasons
    assert not any(str(tmp_path) in one.reason for one in unusable)


def test_without_any_run_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"none of these runs can be used: .* no run folder"):
        read_runs([tmp_path], METRICS)
    with pytest.raises(Refused, match="nowhere is no folder"):
        read_runs([tmp_path / "nowhere"], METRICS)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(Refused, match="is no folder"):
        read_runs([file], METRICS)

"""`python -m bench history` as people type it: exit codes, once each, and what goes where."""

import json
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from bench.cli import main as commands
from bench.cli.history import HistoryOptions
from bench.records.run_folder import LOG
from tests.analysis.history.logs import a_day

Ended = tuple[int, str, str]
HISTORY = "runs --metric epoch_seconds images_per_second"


@pytest.fixture
def said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Ended]:
    """Runs the verb beside a folder `runs`; exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()

    def run(line: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["bench", "history", *line.split()])
        code = commands.main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def slower_from(day: int, days: int, start: int = 1) -> None:
    for number in range(start, days + 1):
        a_day(Path("runs"), number, 1.2 if number >= day else 1.0)


def test_the_flags_and_their_defaults_are_an_interface() -> None:
    flags = {field.name: field.default for field in fields(HistoryOptions)}
    assert flags.pop("runs") is MISSING
    assert flags == {
        "metric": (),
        "same_within": (),
        "pool": False,
        "format": "table",
        "output": None,
    }


def test_a_run_that_cannot_be_used_commands_no_terminal(said) -> None:
    slower_from(9, 2)
    odd = Path("runs", "x\x1b[2J")
    odd.mkdir()
    (odd / LOG).write_bytes(b"")
    code, out, _ = said(HISTORY)
    assert code == 0
    assert "! x\\x1b[2J: " in out


@pytest.mark.parametrize("output", ["", " --output out"])
def test_a_regression_ends_with_3_once(said, output: str) -> None:
    codes = []
    slower_from(5, 5)
    for day in range(6, 10):
        slower_from(5, day, start=day)
        code, out, err = said(HISTORY + output)
        codes.append(code)
        assert ("archbench: new regression: Epoch time of resnet18 rose by" in err) == (code == 3)
    assert codes == [0, 3, 0, 0]
    assert "Epoch time of resnet18 rose by 20 %" in out
    assert "Throughput of resnet18 fell by 17 %" in out
    assert "Regression, known before." in out


def test_with_a_folder_to_remember_in_it_does_not_matter_when_it_is_asked(said) -> None:
    slower_from(5, 10)
    assert said(HISTORY)[0] == 0
    assert [said(f"{HISTORY} --output out")[0] for _ in range(3)] == [3, 0, 0]
    assert Path("out/history.html").is_file()
    for day in range(11, 16):
        a_day(Path("runs"), day, 1.0)
    code, out, err = said(f"{HISTORY} --output out")
    assert (code, err) == (0, "")
    assert "New improvement." in out


def test_json_is_that_and_nothing_else(said) -> None:
    slower_from(5, 10)
    (Path("runs") / "broken").mkdir()
    (Path("runs") / "broken" / "events.jsonl").write_text("x\n")
    code, out, _ = said(f"{HISTORY} --format json --output out")
    values = json.loads(out)
    assert code == 3
    assert out == Path("out/history.json").read_text("utf-8")
    assert [one["name"] for one in values["left_out"]] == ["broken"]


def test_runs_of_a_commit_can_be_one_point(said) -> None:
    for day in range(1, 7):
        a_day(Path("runs"), day, commit=f"c{(day + 1) // 2}")
    assert len(json.loads(said("runs --format json")[1])["series"][0]["points"]) == 6
    values = json.loads(said("runs --format json --pool")[1])
    assert [point["point"] for point in values["series"][0]["points"]] == ["c1", "c2", "c3"]


def test_one_run_is_shown_and_said_to_be_too_few(said) -> None:
    a_day(Path("runs"), 1)
    code, out, err = said("runs")
    assert (code, err) == (0, "")
    assert "throughput" in out
    assert "1 point: a change is told from chance by at least 3 before" in " ".join(out.split())


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "history needs RUNS"),
        ("nowhere", "nowhere is no folder"),
        ("empty", "none of these runs can be used: empty: it is no run folder"),
        ("runs --metric epoch_second", "unknown metric 'epoch_second': did you mean epoch_seconds"),
        ("runs --metric power_watts", "--metric power_watts is not known of any run."),
        ("runs --same-within 5", "--same-within '5' is no margin"),
        ("runs --format xml", "--format xml must be one of table, json"),
        ("runs --output full", "--output full is not empty"),
        ("runs --output other", "history.json is no history"),
        ("runs --metrics x", "unknown option --metrics: did you mean --metric?"),
    ],
)
def test_bad_input_is_one_sentence(said, line: str, sentence: str) -> None:
    a_day(Path("runs"), 1)
    for folder, name in (("full", "file"), ("other", "history.json")):
        Path(folder).mkdir()
        (Path(folder) / name).write_text('{"schema": 1}')
    Path("empty").mkdir()
    code, out, err = said(line)
    assert (code, out) == (2, "")
    (only,) = err.splitlines()
    assert sentence in only

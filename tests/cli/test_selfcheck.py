"""The verb `selfcheck`: what it shows, writes and returns; what it measures is tested elsewhere."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.selfcheck import CHECKS, Checked
from bench.cli import selfcheck as verb
from bench.cli.main import guarded
from bench.records.measurement import Measurement
from bench.records.messages import Progress
from bench.runner.selfcheck import SelfCheck
from tests.builders import a_device

FOUND = SelfCheck(
    device=a_device(),
    environment={"python": "3.13", "packages": {"torch": "2"}},
    measurements=(Measurement("runs", "told_apart", 0, model="resnet18"),),
    checked=tuple(Checked(check, "it [is] so", "pass") for check in CHECKS.values()),
    seconds=61.23,
)


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(Path("sent", name).read_text(encoding="utf-8"))))


def call(monkeypatch: pytest.MonkeyPatch, found: SelfCheck, *words: str) -> int:
    def measured(options: Any, listener: Any) -> SelfCheck:
        listener(a_device())
        listener(Progress("a step in fp32", 0, 7))
        return found

    monkeypatch.setattr("bench.runner.selfcheck.selfcheck", measured)
    return guarded(lambda: verb.main(words, "archbench selfcheck"))


def test_it_shows_every_promise_and_writes_a_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, FOUND, "--output", "sent") == 0
    shown = capsys.readouterr().out
    assert "on Test CPU (cpu, 2 threads)" in shown
    assert "1 of 7: a step in fp32" in shown
    assert shown.count("it [is] so") == len(CHECKS)
    assert "1 figures in 61 s" in shown
    assert sorted(path.name for path in Path("sent").iterdir()) == [
        *("checks.csv", "environment.json", "measurements.csv", "speeds.csv")
    ]
    rows = table("checks.csv")
    assert [(row["check"], row["verdict"]) for row in rows] == [(name, "pass") for name in CHECKS]
    (figure,) = table("measurements.csv")
    assert (figure["quantity"], figure["value"]) == ("told_apart", "0")
    assert table("speeds.csv") == []
    assert json.loads(Path("sent/environment.json").read_text(encoding="utf-8")) == {
        **{"format": 1, "device_kind": "cpu", "seconds": 61.2},
        **FOUND.environment,
    }


def test_a_folder_has_the_time_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, FOUND) == 0
    assert len(list(Path("results").glob("*-selfcheck/checks.csv"))) == 1


def test_a_broken_promise_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(FOUND.checked[3], verdict="broken promise")
    assert call(monkeypatch, replace(FOUND, checked=(*FOUND.checked, broken))) == 1


def test_what_is_out_of_time_or_not_run_is_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [replace(FOUND.checked[0], verdict=v) for v in ("not run here", "out of time")]
    assert call(monkeypatch, replace(FOUND, checked=tuple(others))) == 0


def test_an_interrupted_one_is_written_and_ends_as_shells_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert call(monkeypatch, replace(FOUND, interrupted=True), "--output", "sent") == 130
    assert Path("sent/checks.csv").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--minutes 0", "--minutes 0.0 must be a number above 0."),
        ("--minutes nan", "--minutes nan must be a number above 0."),
        ("--device tpu", "--device tpu must be one of auto, cpu, cuda, cuda:N."),
        ("--output mine", "--output mine is not empty; name a new folder."),
        ("--output mine/notes.txt", "--output mine/notes.txt is a file; name a new folder."),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    sentence: str,
) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep me")
    assert call(monkeypatch, FOUND, *words.split()) == 2
    assert capsys.readouterr().err == f"archbench: {sentence}\n"
    assert [path.name for path in Path().rglob("*")] == ["mine", "notes.txt"]


def test_a_card_that_is_not_here_is_refused_before_anything_is_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--device", "cuda:99"]
    assert guarded(lambda: verb.main(words, "archbench selfcheck")) == 2
    assert capsys.readouterr().err.startswith("archbench: --device cuda:99: ")
    assert list(Path().iterdir()) == []

"""`python -m bench compare`, as people and as CI call it."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bench.__main__ import main
from bench.compare.verdicts import Margins
from bench.comparing import parse_margins
from bench.errors import Refused
from bench.frames import write_tables
from bench.records import Epoch, Record
from bench.results import load_run
from tests.builders import a_run, some_records, write_log


def changed(factor: float, models: tuple[str, ...] = ("resnet18", "googlenet")) -> list[Record]:
    """Five seeds whose throughput is `factor` of the usual, a percent more or less."""

    def one(record: Record) -> Record:
        if not isinstance(record, Epoch):
            return record
        # The seeds of the models vary in their own ways.
        noise = 0.005 * (record.seed - 2) * (1 if record.model == "resnet18" else -1)
        rate = record.images_per_second * factor * (1 + noise)
        return replace(record, images_per_second=rate)

    return [one(record) for record in some_records(models, seeds=5)]


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    """The second is a tenth slower."""
    return (
        str(write_log(tmp_path / "before", changed(1.0))),
        str(write_log(tmp_path / "after", changed(0.9))),
    )


def bench(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", "compare", *words])
    monkeypatch.setenv("COLUMNS", "200")
    return main()


def test_the_table_answers_without_a_manual(
    runs: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(monkeypatch, *runs) == 0
    said = capsys.readouterr().out
    assert "slower" in said
    assert "A is before (10 trials), B is after (10 trials)." in said
    assert "Use A: B is slower for resnet18 (throughput 0.900 times" in said


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        (["images_per_second:-5%"], 3),
        (["images_per_second:-15%"], 0),
        (["test_accuracy:-1pt"], 0),
        (["test_accuracy:-1pt", "throughput:-5%"], 3),
    ],
)
def test_ci_gets_an_exit_code(
    bounds: list[str],
    code: int,
    runs: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = [word for bound in bounds for word in ("--fail-on", bound)]
    assert bench(monkeypatch, *runs, *flags) == code
    assert ("FAILED" in capsys.readouterr().out) == (code == 3)


def test_json_and_nothing_else(
    runs: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = bench(monkeypatch, *runs, "--format", "json", "--fail-on", "throughput:-5%")
    records = json.loads(capsys.readouterr().out)
    assert code == 3
    assert {r["metric"] for r in records} == {
        "images_per_second",
        "final_test_accuracy",
        "peak_memory_bytes",
        "max_batch",
    }
    failing = [r["model"] for r in records if r["fails"]]
    assert failing == ["resnet18", "googlenet"]


def test_csv_and_markdown(
    runs: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    bench(monkeypatch, *runs, "--format", "csv")
    (tmp_path / "out.csv").write_text(capsys.readouterr().out)
    assert len(pd.read_csv(tmp_path / "out.csv")) == 8
    bench(monkeypatch, *runs, "--format", "markdown")
    assert capsys.readouterr().out.startswith("| Model | Metric | A | B |")


def test_a_picture(runs: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert bench(monkeypatch, *runs, "--plot", str(tmp_path / "differences.png")) == 0
    assert (tmp_path / "differences.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "differences.svg").is_file()


def test_one_run_is_ranked(
    runs: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(monkeypatch, runs[0]) == 0
    assert "resnet18 is first in throughput" in capsys.readouterr().out


def test_tables_alone_are_enough(
    runs: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_tables(load_run(runs[0]))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "models.csv").write_bytes((Path(runs[0]) / "models.csv").read_bytes())
    assert bench(monkeypatch, str(tmp_path / "kept"), runs[1]) == 0
    assert "Use A" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fail-on", "speed:-5%"], "--fail-on 'speed' is not a metric"),
        (["--metrics", "model"], "--metrics 'model': neither way is better"),
        (["--across", "weather"], "--across 'weather' is not one of"),
        (["--same-within", "5%", "5%"], "--same-within needs a share and points"),
        (["--same-within", "5", "1pt"], "--same-within '5' is not a size"),
        (["--plot", "picture.pdf"], "--plot picture.pdf must end in .png or .svg"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str],
    said: str,
    runs: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench(monkeypatch, *runs, *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_a_folder_that_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(tmp_path / "run")
    assert bench(monkeypatch, str(tmp_path / "run"), str(tmp_path / "nowhere")) == 2
    assert "is no run folder and no CSV file" in capsys.readouterr().err
    assert bench(monkeypatch, str(tmp_path / "nowhere")) == 2
    assert "is not a run folder" in capsys.readouterr().err
    assert bench(monkeypatch, str(tmp_path / "run"), "--fail-on", "throughput:-5%") == 2
    assert "name RUN_B" in capsys.readouterr().err


def test_margins() -> None:
    assert parse_margins(("1pt", "10%")) == Margins(0.10, 0.01)
    with pytest.raises(Refused):
        parse_margins(("0%", "1pt"))

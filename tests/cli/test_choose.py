"""The verb `choose` as a command: what it prints and writes, and its exit code."""

import csv
import json
from pathlib import Path

import pytest

from bench.cli import choose as verb
from bench.cli.main import guarded


def test_a_small_plan_from_the_command_line_to_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = "--models lenet --cards t4 k80 RTX3090 --price t4=0.35 rtx3090=0.5 --deadline 10m"
    more = "--batch-size 128 --epochs 3 --output out"
    assert guarded(lambda: verb.main([*words.split(), *more.split()], "archbench choose")) == 0
    shown = capsys.readouterr().out
    assert "Money (predicted; price per hour as given)" in shown
    assert "The plan: 3 epochs of lenet (32 px, adam, fp32); 50,000 images" in shown
    assert "Predicted best: " in shown
    files = sorted(path.name for path in Path("out").iterdir())
    assert files == ["choose.csv", "choose.json", "choose.png", "choose.svg"]
    with Path("out/choose.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["card"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {"t4", "k80", "rtx3090"}
    assert rows["k80"]["reason"] == "its memory bandwidth is not known"
    assert float(rows["rtx3090"]["seconds"]) < float(rows["t4"]["seconds"])
    assert rows["t4"]["deadline"] == "yes"
    kept = json.loads(Path("out/choose.json").read_text(encoding="utf-8"))
    assert kept["sentence"] in shown
    assert [row["card"] for row in kept["cards"]] == list(rows)


def test_no_card_that_does_it_is_exit_code_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = "--models lenet --card t4 --deadline 1s --epochs 1000"
    assert guarded(lambda: verb.main(words.split(), "archbench choose")) == 1
    assert "No card does it: t4, the fastest" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--price t4=-1", "--price t4=-1 must be a card and its price per hour, above 0, such"),
        ("--price l40x=1", "unknown card 'l40x': did you mean"),
        ("--cards t4 --price l4=1", "--price l4=1 is of no card of --card; add l4 there."),
        ("--deadline 0s", "--deadline '0s' is not a time"),
        ("--budget -1 --price t4=1", "--budget -1.0 must be a number above 0."),
        ("--budget much", "--budget much must be a number above 0."),
        ("--budget 5", "--budget needs --price"),
        ("--accuracy 0.9", "--run and --accuracy go together: give both, or neither."),
        ("--epochs 0", "--epochs 0 must be a whole number above 0."),
        ("--images 0", "--images 0 must be a whole number above 0."),
        ("--cards a30", "a30 has no predicted time: its memory bandwidth is not known; name"),
        ("--cards", "--card needs at least one value."),
        ("--deadlin 2h", "did you mean --deadline? See archbench choose --help."),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    line: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert guarded(lambda: verb.main(line.split(), "archbench choose")) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert said in sentence
    assert list(tmp_path.iterdir()) == []

"""`python -m bench compare` as people type it: exit codes, and what goes where."""

import json
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from bench.cli import main as commands
from bench.cli.compare import CompareOptions
from tests.analysis.compare.tables import trials, write_table
from tests.builders import a_run
from tests.cli.test_main import imported, python

Ended = tuple[int, str, str]
BASE = {"images_per_second": [100.0, 101.0, 99.5], "final_test_accuracy": [0.70, 0.71, 0.69]}
SLOWER = BASE | {"images_per_second": [80.0, 81.0, 79.5]}


@pytest.fixture
def said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Ended]:
    """Runs the verb beside the tables a, slower and other; exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write_table(Path("a.csv"), trials(BASE))
    write_table(Path("slower.csv"), trials(SLOWER))
    write_table(Path("other.csv"), trials(BASE, device_name="Other CPU"))
    write_table(Path("two.csv"), [*trials(BASE), *trials(SLOWER, model="googlenet")])

    def run(line: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["bench", "compare", *line.split()])
        code = commands.main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_flags_and_their_defaults_are_an_interface() -> None:
    flags = {field.name: field.default for field in fields(CompareOptions)}
    assert flags.pop("run_a") is MISSING
    assert flags == {
        "run_b": None,
        "metrics": (),
        "models": (),
        "across": (),
        "same_within": (),
        "fail_on": (),
        "format": "table",
        "plot": None,
        "output": None,
    }


def test_two_tables_are_compared(said) -> None:
    code, out, err = said("a.csv slower.csv")
    assert (code, err) == (0, "")
    assert "A: a.csv" in out
    assert "slower" in out
    assert "Use A (a.csv)" in out


def test_without_a_second_run_the_models_of_one_are_ranked(said) -> None:
    code, out, _ = said("two.csv")
    assert code == 0
    assert "In throughput, resnet18 wins" in out


def test_models_can_be_chosen(said) -> None:
    code, _, err = said("two.csv --models resnet18")
    assert code == 2
    assert "no two models to rank" in err


@pytest.mark.parametrize(
    ("bound", "code"),
    [
        ("images_per_second:-5%", 3),
        ("images_per_second:-25%", 0),
        ("test_accuracy:-1pt", 0),
        ("test_accuracy:-1pt --fail-on images_per_second:-5%", 3),
    ],
)
def test_a_regression_ends_with_code_3(said, bound: str, code: int) -> None:
    ended, _, err = said(f"a.csv slower.csv --fail-on {bound}")
    assert ended == code
    assert ("--fail-on images_per_second:-5%: resnet18's throughput is" in err) is (code == 3)


def test_a_model_that_no_longer_trains_does_not_pass(said) -> None:
    code, _, err = said("two.csv a.csv --fail-on images_per_second:-25%")
    assert code == 3
    assert "--fail-on: googlenet is in A alone; --models names what is to be compared." in err
    assert said("two.csv a.csv --models resnet18 --fail-on images_per_second:-25%")[0] == 0
    assert said("two.csv a.csv")[0] == 0


def test_a_metric_that_is_no_longer_known_of_a_model_does_not_pass(said) -> None:
    unknown = SLOWER | {"final_test_accuracy": ["", "", ""]}
    write_table(Path("lost.csv"), [*trials(BASE), *trials(unknown, model="googlenet")])
    code, _, err = said("two.csv lost.csv --fail-on test_accuracy:-1pt")
    assert code == 3
    assert "--fail-on test_accuracy:-1pt: googlenet's test accuracy is known of A alone." in err
    code, out, _ = said("two.csv lost.csv")
    assert code == 0
    assert "! final_test_accuracy of googlenet is known of two.csv alone." in out
    assert said("two.csv lost.csv --fail-on images_per_second:-5%")[0] == 0


def test_a_run_behind_models_is_not_taken_for_one(said) -> None:
    code, _, err = said("--models resnet18 googlenet a.csv two.csv")
    assert (code, err) == (
        2,
        "archbench: --models a.csv is a run: put RUN_A and RUN_B before --models.\n",
    )


def test_noise_is_no_regression(said) -> None:
    wild = BASE | {"images_per_second": [40.0, 130.0, 79.5]}
    write_table(Path("wild.csv"), trials(wild))
    assert said("a.csv wild.csv --fail-on images_per_second:-5%")[0] == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a.csv none.csv", "none.csv is not there; name a run folder or a CSV file."),
        ("a.csv other.csv", "these are not comparable: device is Test CPU"),
        ("a.csv slower.csv --fail-on speed:-5%", "unknown metric 'speed'"),
        ("a.csv slower.csv --fail-on power_watts:+5%", "power_watts is not known of both"),
        ("a.csv slower.csv --metrics device", "device 'cpu' is not a number"),
        ("a.csv slower.csv --same-within lots", "'lots' is no margin"),
        ("a.csv --fail-on images_per_second:-5%", "--fail-on needs two runs"),
        ("a.csv slower.csv --plot x.pdf", "--plot x.pdf must end in .png or .svg"),
        ("a.csv slower.csv --plot no/x.png", "--plot no/x.png cannot be written to"),
        ("a.csv slower.csv --output a.csv", "--output a.csv is a file"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(said, line: str, words: str) -> None:
    code, out, err = said(line)
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith("archbench: ")
    assert len(err.splitlines()) == 1


def test_going_across_is_said(said) -> None:
    code, out, _ = said("a.csv other.csv --across device --format csv")
    header, *lines = out.splitlines()
    assert code == 0
    assert len(lines) == 4
    assert header.endswith(",across")
    assert all("device Test CPU (cpu, 2 threads) → Other CPU" in line for line in lines)


@pytest.mark.parametrize("line", ["a.csv slower.csv", "two.csv"])
def test_formats_for_programs_are_alone_on_standard_output(said, line: str) -> None:
    _, out, err = said(f"{line} --format json")
    assert json.loads(out)["lines"]
    assert err == ""
    _, out, err = said(f"{line} --format csv")
    rows = out.splitlines()
    assert len({row.count(",") for row in rows}) == 1
    assert err
    _, out, _ = said(f"{line} --format markdown")
    assert out.startswith("# ")


def test_a_broken_bound_is_in_the_document(said) -> None:
    code, out, _ = said("a.csv slower.csv --fail-on images_per_second:-5% --format json")
    assert code == 3
    assert len(json.loads(out)["broken"]) == 1


def test_a_ranking_is_drawn(said) -> None:
    assert said("two.csv --plot ranking.svg")[0] == 0
    assert "two.csv" in Path("ranking.svg").read_text(encoding="utf-8")


def test_everything_can_be_written(said) -> None:
    assert said("a.csv slower.csv --output new --plot one.svg")[0] == 0
    names = {path.name for path in Path("new").iterdir()}
    assert names == {"compare.csv", "compare.json", "compare.md", "compare.png", "compare.svg"}
    assert Path("one.svg").read_text().startswith("<?xml")
    code, out, err = said("a.csv slower.csv --output new")
    assert (code, out) == (2, "")
    assert "--output new is not empty" in err


def test_metrics_and_margins_are_those_that_are_given(said) -> None:
    _, out, _ = said("a.csv slower.csv --metrics images_per_second --same-within 30% --format json")
    (line,) = json.loads(out)["lines"]
    assert line["verdict"] == "same within 30 %"


def test_run_folders_are_compared_as_their_tables_are(said) -> None:
    a_run(Path("run"), seeds=3)
    code, out, _ = said("run run --format json")
    assert code == 0
    assert {line["verdict"] for line in json.loads(out)["lines"]} == {"equal"}


def test_comparing_needs_no_torch(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", trials(BASE))
    ended = python("-X", "importtime", "-m", "bench", "compare", str(path), str(path))
    assert ended.returncode == 0
    assert {"torch", "torchvision", "matplotlib", "pandas"} & imported(ended) == set()

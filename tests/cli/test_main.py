"""The command as people type it. Nothing here may train, or import torch."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import main as commands
from bench.cli import run as run_verb
from bench.cli.main import guarded
from bench.errors import Refused
from bench.records.messages import Resolved, ResolveJob
from bench.runner import run as runner
from bench.runner import worker_process
from tests.builders import a_run, some_facts

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "torchvision", "pandas", "matplotlib"}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter in the repository's root, on a wide screen."""
    environment = os.environ | {"COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def imported(ended: subprocess.CompletedProcess[str]) -> set[str]:
    """The modules that `-X importtime` reported."""
    return set(re.findall(r"^import time:.*\| +(\S+)$", ended.stderr, re.MULTILINE))


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> "Refusal":
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr(runner, "Worker", never)
    monkeypatch.chdir(tmp_path)
    return Refusal(capsys)


class Refusal:
    """Runs the command in this process, where no worker can be started."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, line: str) -> str:
        """The one line on standard error; asserts exit code 2 and that nothing was left behind."""
        arguments = ["--device", "cpu", *line.split()]
        before = sorted(Path().rglob("*"))
        assert guarded(lambda: run_verb.main(arguments, "run_bench.py")) == 2
        (said,) = self.capsys.readouterr().err.splitlines()
        assert sorted(Path().rglob("*")) == before
        return said


@pytest.mark.parametrize(
    "command", ["run_bench.py --help", "-m bench list", "-m bench --help", "-m bench run --help"]
)
def test_help_and_list_are_instant(command: str) -> None:
    ended = python("-X", "importtime", *command.split())
    assert ended.returncode == 0
    assert "bench.options" in imported(ended)
    assert imported(ended) & HEAVY == set()
    assert "list" in command or "numpy" not in imported(ended)


def test_an_unknown_model_is_refused_with_the_nearest_names() -> None:
    ended = python("-X", "importtime", "run_bench.py", "--models", "resnet19", "--device", "cpu")
    said = [line for line in ended.stderr.splitlines() if not line.startswith("import time:")]
    assert ended.returncode == 2
    assert len(said) == 1
    assert said[0].startswith("archbench: unknown model 'resnet19': did you mean resnet1")
    assert "torch" not in imported(ended)
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--models nothing*", "unknown model 'nothing*'"),
        ("--models resnet18 densnet121", "did you mean densenet121"),
        ("--models googlenet --image-size 8", "--image-size 8 is too small for googlenet"),
        ("--models resnet* inception_v3 --image-size 32", "too small for inception_v3"),
        ("--batch-size 0", "--batch-size 0 must be a whole number above 0"),
        ("--epochs 0", "--epochs 0 must be a whole number above 0"),
        ("--dataset folder", "--dataset folder needs --data-dir"),
        ("--memory-budget lots", "--memory-budget 'lots' is not a size"),
        ("--output /dev/null/run", "--output /dev/null/run cannot be written to"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(refused: Refusal, line: str, said: str) -> None:
    assert said in refused(line)


def test_a_folder_with_something_in_it_is_refused(refused: Refusal) -> None:
    Path("mine").mkdir()
    Path("mine", "notes.txt").write_text("keep me")
    assert refused("--output mine") == ("archbench: --output mine is not empty; name a new folder.")


def test_list_has_every_model_and_what_was_published() -> None:
    ended = python("-m", "bench", "list")
    rows = {line.split()[1]: line for line in ended.stdout.splitlines() if "http" in line}
    assert {"resnet18", "googlenet", "inception_v3", "densenet121"} <= set(rows)
    assert "googlenet:noaux" not in rows
    assert "11.69" in rows["resnet18"]
    assert "1.814" in rows["resnet18"]


def test_list_takes_a_pattern(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["bench", "list", "*:noaux"])
    assert commands.main() == 0
    shown = capsys.readouterr().out
    assert "googlenet:noaux" in shown
    assert "resnet18" not in shown


def test_list_refuses_an_unknown_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "list", "resnet17"])
    assert commands.main() == 2
    assert "did you mean resnet1" in capsys.readouterr().err


class LookedUp:
    """In place of a worker that knows timm's models."""

    def __init__(self, job: ResolveJob, log: Path) -> None:
        (self.pattern,) = job.models

    def __enter__(self) -> "LookedUp":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def reply(self) -> Resolved:
        if "vgg" not in self.pattern:
            raise Refused("timm has no classifier 'nonsense': see its documentation.")
        return Resolved((some_facts("timm:vgg11"), some_facts("timm:vgg13")))


def test_list_looks_up_the_models_of_another_collection(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(worker_process, "Worker", LookedUp)
    monkeypatch.setattr(sys, "argv", ["bench", "list", "timm:vgg*"])
    assert commands.main() == 0
    shown = capsys.readouterr().out
    assert "timm:vgg11" in shown
    assert "timm:vgg13" in shown
    monkeypatch.setattr(sys, "argv", ["bench", "list", "timm:nonsense"])
    assert commands.main() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("archbench: timm has no classifier 'nonsense'")


def test_a_folder_that_is_no_run_cannot_be_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "report", str(tmp_path)])
    assert commands.main() == 2
    assert capsys.readouterr().err == (
        f"archbench: {tmp_path} is not a run folder: it has no events.jsonl.\n"
    )


def test_run_is_a_verb_too(refused: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "run", "--models", "resnet19", "--device", "cpu"])
    assert commands.main() == 2
    assert "unknown model 'resnet19'" in refused.capsys.readouterr().err


@pytest.mark.slow
def test_a_report_is_made_again_without_torch(tmp_path: Path) -> None:
    a_run(tmp_path)
    ended = python("-X", "importtime", "-m", "bench", "report", str(tmp_path))
    assert ended.returncode == 0
    assert {"torch", "torchvision"} & imported(ended) == set()
    made = {path.name for path in tmp_path.iterdir()}
    assert {"models.csv", "epochs.csv", "report.md", "report.html"} <= made


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--claims", "none.csv"], "--claims none.csv is not a file; name a CSV file."),
        (["--lecture-bundle", "x.tar"], "--lecture-bundle x.tar must end in .zip."),
        (["--lecture-bundle", "d.zip"], "--lecture-bundle d.zip is a folder; name a file."),
    ],
)
def test_a_report_that_cannot_be_made_is_refused_before_it_is_begun(
    option: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.zip").mkdir()
    a_run(Path("run"))
    monkeypatch.setattr(sys, "argv", ["bench", "report", "run", *option])
    assert commands.main() == 2
    assert capsys.readouterr().err == f"archbench: {said}\n"
    assert not Path("run", "report.md").exists()


def test_a_report_can_be_given_claims_and_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    a_run(Path("run"))
    row = "a,Mine,falls,train_loss,resnet18"
    Path("mine.csv").write_text(f"id,claim,rule,metric,models\n{row}\n")
    words = "bench report run --claims mine.csv --lecture-bundle out.zip"
    monkeypatch.setattr(sys, "argv", words.split())
    assert commands.main() == 0
    assert "Mine" in Path("run", "report.html").read_text("utf-8")
    assert row in Path("run", "claims.csv").read_text()
    assert Path("out.zip").is_file()

"""The verb `run`: from a command line to a run, or to one that goes on."""

from pathlib import Path
from typing import Any

import pytest

from bench.cli import max_batch as max_batch_verb
from bench.cli import run as run_verb
from bench.cli.main import main
from bench.config import Config
from bench.runner import resume as resuming
from bench.runner import run as running
from bench.runner.max_batch import MaxBatchOptions


class Reached(Exception):
    """The runner was called."""


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the runner was called with, in place of a run."""
    calls: list[Any] = []

    def called(*arguments: Any) -> None:
        calls.extend(a for a in arguments if not callable(a))
        raise Reached

    monkeypatch.setattr(running, "run", called)
    monkeypatch.setattr(resuming, "resume", called)
    return calls


def test_options_become_a_config(called: list[Any]) -> None:
    with pytest.raises(Reached):
        run_verb.main(["--preset", "smoke", "--device", "cpu", "--epochs", "3"], "run_bench.py")
    assert called == [Config(preset="smoke", device="cpu", epochs=3)]


@pytest.mark.parametrize(
    ("flag", "searches"),
    [("--fit", True), ("--no-fit", False), ("--max-batch", True), ("--no-max-batch", False)],
)
def test_the_older_name_of_a_flag_still_works(flag: str, searches: bool, called: list[Any]) -> None:
    with pytest.raises(Reached):
        run_verb.main(["--preset", "smoke", "--device", "cpu", flag], "run_bench.py")
    assert called == [Config(preset="smoke", device="cpu", max_batch=searches)]


def test_a_run_goes_on_with_the_options_that_are_given(called: list[Any]) -> None:
    words = "--resume there --no-fit --train_limit=5 --device cpu"
    with pytest.raises(Reached):
        run_verb.main(words.split(), "run_bench.py")
    given = {"resume": "there", "max_batch": False, "train_limit": 5, "device": "cpu"}
    assert called == [Path("there"), given]


@pytest.mark.parametrize("verb", ["max-batch", "fit"])
def test_the_older_name_of_a_verb_still_works(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[MaxBatchOptions] = []

    def show(options: MaxBatchOptions) -> int:
        calls.append(options)
        return 0

    monkeypatch.setattr(max_batch_verb, "show_batches", show)
    monkeypatch.setattr("sys.argv", ["archbench", verb, "--card", "t4", "--json"])
    assert main() == 0
    assert calls == [MaxBatchOptions(card=("t4",), json=True)]

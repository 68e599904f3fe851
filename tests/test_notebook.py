import json
import subprocess
import sys
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import notebook
from bench.cli.console import Reporter
from bench.errors import BenchError, Refused
from bench.notebook import NotebookReporter, reporter_here
from bench.records.messages import Planned, Progress, Warned
from bench.records.records import RunEnded, TrialEnded, TrialRepeated, TrialResumed, TrialStarted
from bench.records.run import Run, collect
from tests.builders import (
    NOTE,
    a_description,
    a_done_trial,
    a_prediction,
    a_probe,
    a_setting,
    a_trial,
    an_epoch,
    run_start,
    some_records,
)

ROOT = Path(__file__).parents[1]


class Screen:
    """What a notebook has on display, by place, and everything that each place ever had."""

    def __init__(self) -> None:
        self.places: list[list[dict[str, Any]]] = []

    def display(self, content: dict[str, Any], **options: Any) -> types.SimpleNamespace:
        assert options["raw"]
        assert options["display_id"]
        place = [content]
        self.places.append(place)
        return types.SimpleNamespace(update=lambda content, **options: place.append(content))

    @property
    def texts(self) -> list[str]:
        return [content["text/plain"] for content in self.places[0]]

    @property
    def pictures(self) -> int:
        return len(self.places[1]) if len(self.places) > 1 else 0


@pytest.fixture
def screen() -> Screen:
    return Screen()


def show(screen: Screen, messages: Sequence[Any], run: Run | None = None) -> NotebookReporter:
    reporter = NotebookReporter(run or Run(Path("run")), screen.display)
    for message in messages:
        reporter.show(message)
    return reporter


def started(trial: Any) -> list[Any]:
    begun = TrialStarted(trial, "2026-01-02T03:05:00+00:00")
    return [*run_start(), Planned({trial.id: "resnet18 · adam"}), begun]


def test_the_line_has_phase_step_rate_and_time_left(screen: Screen) -> None:
    trial = a_trial(batch_size=50)
    show(screen, [*started(trial), Progress("epoch 2/3", 40, 100, 500.0)])
    line = "resnet18 · adam · epoch 2/3 · step 40/100 · 500 images/s · 6 s left"
    assert screen.texts[-1] == line
    assert screen.places[0][-1]["text/html"].count('<progress value="40" max="100">') == 1


def test_the_rate_is_that_of_all_processes_of_a_trial(screen: Screen) -> None:
    trial = a_trial(batch_size=50, setting=a_setting(nproc_per_node=2))
    show(screen, [*started(trial), Progress("epoch 2/3", 40, 100, 500.0)])
    assert screen.texts[-1].endswith(" · 500 images/s · 12 s left")


def test_of_trials_side_by_side_it_is_not_known_whose_progress_it_is(screen: Screen) -> None:
    first, other = a_trial(batch_size=50), a_trial(seed=1)
    progress = Progress("epoch 2/3", 40, 100, 500.0)
    beside = TrialStarted(other, "2026-01-02T03:05:00+00:00", slot=1)
    reporter = show(screen, [*started(first), beside, progress])
    assert screen.texts[-1] == "one of 2 trials · epoch 2/3 · step 40/100 · 500 images/s"
    reporter.show(TrialEnded(other, "done", None, 40.0))
    reporter.show(progress)
    assert screen.texts[-1].startswith("resnet18 · adam · epoch 2/3 · ")


def test_a_download_has_its_time_left_too(screen: Screen) -> None:
    show(screen, [Progress("cifar10", 10_000_000, 170_000_000, 2e6, "bytes")])
    assert screen.texts[-1] == "cifar10 · 10 MB of 170 MB · 2.0 MB/s · 80 s left"


def test_a_phase_of_unknown_length_has_no_bar(screen: Screen) -> None:
    show(screen, [Progress("preparing data", 0, 1)])
    assert screen.texts == ["preparing data"]
    assert "<progress" not in screen.places[0][0]["text/html"]


def test_a_name_from_outside_is_escaped(screen: Screen) -> None:
    show(screen, [Progress("<img src=x>", 0, 1)])
    assert "<img" not in screen.places[0][0]["text/html"]


def test_the_search_says_what_it_tried(screen: Screen) -> None:
    tried = [a_probe(), a_probe(batch_size=1280, fits=False)]
    show(screen, [*run_start(), a_description(), *tried])
    searching = "resnet18: searching for the largest batch"
    fits, fails = f"{searching} · 64 fits", f"{searching} · 1,280 does not fit"
    assert screen.texts == [searching, fits, fails]


def test_a_whole_run(
    screen: Screen, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "DRAWING_SHARE", float("inf"))
    show(screen, [*some_records(epochs=2), a_prediction()]).close()
    assert screen.texts[-1] == "2 of 2 trials done in 100 s"
    assert screen.pictures == 4
    assert all(content["image/png"].startswith(b"\x89PNG") for content in screen.places[1])
    out = capsys.readouterr().out
    assert NOTE in out
    assert "largest batch 100" in out
    assert "epoch 1" not in out
    assert "predicted" not in out


def test_nothing_is_drawn_while_an_epoch_runs(screen: Screen) -> None:
    trial = a_trial()
    show(screen, [*started(trial), *(Progress("epoch 1/1", n, 9, 5.0) for n in range(1, 10))])
    assert screen.pictures == 0


def test_short_epochs_are_not_all_drawn_but_the_last_is(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "DRAWING_SHARE", 1e-9)
    trial = a_trial()
    reporter = show(screen, [*started(trial), *(an_epoch(trial, n) for n in range(1, 9))])
    assert screen.pictures == 1
    reporter.show(TrialEnded(trial, "done", None, 40.0))
    assert screen.pictures == 2


def test_a_run_that_breaks_off_says_so(screen: Screen) -> None:
    show(screen, started(a_trial())).close()
    assert screen.texts[-1] == "stopped"


def test_a_run_refused_at_once_shows_nothing(screen: Screen) -> None:
    show(screen, []).close()
    assert screen.places == []


def test_warnings_are_lines(screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    show(screen, [Warned("timings were noisy [1].")])
    assert "! timings were noisy [1]." in capsys.readouterr().out


def test_a_resumed_run_has_each_epoch_once(screen: Screen) -> None:
    trial = a_trial()
    before = collect(Path("run"), [*run_start(), *a_done_trial(trial, 2)[:-1]])
    earlier = [an_epoch(trial, 1), an_epoch(trial, 2)]
    more = [TrialResumed(trial, "now", 1), an_epoch(trial, 2), an_epoch(trial, 3)]
    show(screen, [Planned({trial.id: "resnet18"}), *earlier, *more], before)
    (result,) = before.trials
    assert [epoch.epoch for epoch in result.epochs] == [1, 2, 3]


def test_a_repeated_trial_starts_its_curve_again(screen: Screen) -> None:
    trial = a_trial()
    run = Run(Path("run"))
    again = [TrialRepeated(trial, "now", "noisy"), replace(an_epoch(trial), test_loss=9.0)]
    again += [TrialEnded(trial, "done", None, 40.0), RunEnded(0, 1.0)]
    show(screen, [*run_start(), *a_done_trial(trial), *again], run)
    (result,) = run.trials
    assert [epoch.test_loss for epoch in result.epochs] == [9.0]


def ipython(shell: Any) -> types.ModuleType:
    module = types.ModuleType("IPython")
    module.get_ipython = lambda: shell  # type: ignore[attr-defined]
    return module


def test_who_is_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert reporter_here(Run(Path())) is None
    monkeypatch.setitem(sys.modules, "IPython", ipython(None))
    assert reporter_here(Run(Path())) is None
    monkeypatch.setitem(sys.modules, "IPython", ipython(types.SimpleNamespace()))
    assert isinstance(reporter_here(Run(Path())), Reporter)
    display = types.ModuleType("IPython.display")
    display.display = lambda *args, **options: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    kernel = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", ipython(kernel))
    assert isinstance(reporter_here(Run(Path())), NotebookReporter)


def test_a_mistake_has_no_traceback_in_ipython() -> None:
    assert Refused("--lr 0 must be positive.")._render_traceback_() == [
        "Refused: --lr 0 must be positive."
    ]
    assert BenchError("x")._render_traceback_() == ["BenchError: x"]


def test_nothing_heavy_is_imported_with_the_package() -> None:
    heavy = "torch", "pandas", "matplotlib", "rich", "IPython"
    code = f"import bench, json, sys; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert json.loads(done.stdout) == []

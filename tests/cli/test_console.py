import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.analysis.run_time import predict_time
from bench.cli.console import Reporter, open_console, print_path, rich_table
from bench.cli.main import guarded
from bench.errors import BenchError, Diverged, OutOfMemoryKilled, Refused, TrialFailed, WorkerDied
from bench.records.messages import Planned, Progress
from bench.records.records import RunEnded, TrialEnded, TrialNoted, TrialStarted, TrialTime
from bench.records.run import collect
from bench.report.tables import Cell, Table
from tests.builders import (
    NOTE,
    a_dataset,
    a_description,
    a_device,
    a_largest_batch,
    a_trial,
    an_epoch,
    run_start,
    some_records,
)


def raiser(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.fixture
def screen() -> Console:
    """A console that is not a terminal."""
    return Console(file=io.StringIO(), width=300)


def shown(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def show(screen: Console, *messages: object) -> list[str]:
    reporter = Reporter(screen)
    for message in messages:
        reporter.show(message)
    return shown(screen).splitlines()


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_command_that_works_gives_its_own_code(
    capsys: pytest.CaptureFixture[str], code: int
) -> None:
    assert guarded(lambda: code) == code
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (BenchError, 1),
        (Refused, 2),
        (TrialFailed, 1),
        (Diverged, 1),
        (WorkerDied, 1),
        (OutOfMemoryKilled, 1),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], kind: type[BenchError], code: int
) -> None:
    assert guarded(raiser(kind("--lr 0 must be positive."))) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", "archbench: --lr 0 must be positive.\n")


def test_an_error_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raiser(Refused("a\x1b]0;b\x07\u202e.png is no image."))) == 2
    assert capsys.readouterr().err == "archbench: a\\x1b]0;b\\x07\\u202e.png is no image.\n"


def test_a_reason_commands_no_terminal(screen: Console) -> None:
    ended = TrialEnded(a_trial(), "failed", "x\x1b[2J.png is no image.", 1.0)
    *_, line = show(screen, ended)
    assert line.endswith(": x\\x1b[2J.png is no image.")


def test_an_interrupt_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raiser(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err.startswith("archbench: interrupted.")


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        guarded(raiser(ZeroDivisionError()))


def test_a_whole_run_without_a_terminal_has_no_control_characters(screen: Console) -> None:
    reporter = Reporter(screen)
    records = some_records(seeds=2)
    for record in records:
        reporter.show(record)
        reporter.show(Progress("epoch 1/3", 5, 10, 1234.5))
    reporter.finish(collect(Path("somewhere"), records))
    assert {c for c in shown(screen) if not c.isprintable()} == {"\n"}


def test_progress_and_a_start_draw_nothing_without_a_terminal(screen: Console) -> None:
    started = TrialStarted(a_trial(), "2026-01-02T03:04:05+00:00")
    assert show(screen, Progress("probing", 1, 2), started, RunEnded(0, 1.0)) == []


def test_a_live_line_is_drawn_on_a_terminal() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    reporter = Reporter(screen)
    reporter.show(Progress("epoch 1/3", 5, 10, 1234.5))
    reporter.close()
    assert "epoch 1/3" in shown(screen)
    assert "1,234 images/s" in shown(screen)


def test_forced_colours_make_no_terminal_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    screen = open_console()
    assert (screen.is_terminal, screen.color_system) == (False, "standard")


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        (a_dataset(train_images=50_000), ["shapes10", "50,000 train", "320 test", "10 classes"]),
        (a_device(), ["Test CPU", "cpu", "2 threads"]),
        (
            a_description(),
            ["resnet18", "1,000,000 parameters", "1,500,000", "0.250 GMACs", "32 px"],
        ),
        (a_description(params_aux=20_000), ["20,000 of them in auxiliary heads"]),
        (
            a_largest_batch(),
            ["resnet18", "largest batch 100 at 32 px", "measured", "memory of 1,024 MiB"],
        ),
        (a_largest_batch(budget_bytes=None, limited_by="data set"), ["limited by the data set"]),
        (
            an_epoch(a_trial(), aux_losses={"aux1": 1.5}),
            [
                "resnet18 32px adam fp32 bauto seed0",
                "epoch 1",
                "train loss 2.000",
                "aux1 1.500",
                "accuracy 45.0%",
                "test accuracy 40.0%",
                "15.0 s",
                "43 images/s",
            ],
        ),
    ],
)
def test_a_record_is_a_line(screen: Console, message: object, parts: list[str]) -> None:
    line, *_ = show(screen, message)
    assert [part for part in parts if part not in line] == []


def test_what_must_be_known_of_the_data_has_a_line_of_its_own(screen: Console) -> None:
    _, note = show(screen, a_dataset())
    assert note == f"! {NOTE}"


def test_a_card_has_no_threads(screen: Console) -> None:
    (line,) = show(screen, a_device(device="cuda:0", kind="cuda", threads=None))
    assert "threads" not in line


def test_only_a_trial_that_is_not_done_is_told(screen: Console) -> None:
    done = TrialEnded(a_trial(), "done", None, 1.0)
    failed = TrialEnded(a_trial(), "failed", "killed [SIGKILL]: [/bold] gone.", 1.0)
    assert show(screen, done, failed) == [
        "failed resnet18 32px adam fp32 bauto seed0: killed [SIGKILL]: [/bold] gone."
    ]


def test_long_lines_are_not_wrapped() -> None:
    screen = Console(file=io.StringIO(), width=20)
    assert len(show(screen, an_epoch(a_trial()))) == 1


def test_the_end_is_a_table_and_where_things_are(screen: Console, tmp_path: Path) -> None:
    reporter = Reporter(screen)
    reporter.finish(collect(tmp_path, some_records()))
    text = shown(screen)
    assert "googlenet" in text
    assert "Test accuracy, last epoch (%)" in text
    assert f"! {NOTE}\n" in text
    assert f"report: {tmp_path / 'report.md'}\n" in text
    assert f"tables: {tmp_path / 'models.csv'}\n" in text


def test_a_run_of_which_nothing_was_trained_has_an_end_too(screen: Console) -> None:
    Reporter(screen).finish(collect(Path("somewhere"), run_start()))
    assert "tables: somewhere/models.csv\n" in shown(screen)


def test_a_path_can_be_copied_whole() -> None:
    screen = Console(file=io.StringIO(), width=20)
    path = "/a/very/long/folder/name/that/is/wide [v2]/report.md"
    print_path(screen, "report", path)
    assert shown(screen) == f"report: {path}\n"


def test_cells_are_text_not_markup(screen: Console) -> None:
    table = Table(("Model",), ((Cell("[red]x[/red]", best=True),), (Cell("y [z]"),)))
    screen.print(rich_table(table))
    assert "[red]x[/red]" in shown(screen)
    assert "y [z]" in shown(screen)


def test_heads_and_names_are_text_not_markup(screen: Console) -> None:
    screen.print(rich_table(Table(("Model", "net [/x]"), ((Cell("Epoch"), Cell("1.0")),))))
    assert "net [/x]" in shown(screen)
    show(screen, a_dataset(name="photos [/x]"))
    assert "data photos [/x]: 640 train and 320 test images, 10 classes, " in shown(screen)


def test_the_best_value_is_bold_on_a_terminal() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    screen.print(rich_table(Table(("Epoch (s)",), ((Cell("1.0", best=True),), (Cell("2.0"),)))))
    assert "\x1b[1m1.0" in shown(screen)
    assert "\x1b[1m2.0" not in shown(screen)


def test_notes_are_shown_as_they_are_written(screen: Console) -> None:
    *_, line = show(screen, replace(a_dataset(), notes=("3 [unreadable] files",)))
    assert line == "! 3 [unreadable] files"


def test_a_trial_is_called_by_what_varies_as_soon_as_that_is_known(screen: Console) -> None:
    trial = a_trial()
    noted = TrialNoted(trial.id, "put_ has no deterministic algorithm.")
    before, started, epoch, note, failed = show(
        screen,
        an_epoch(trial),
        Planned({trial.id: "resnet18 · seed 0"}),
        TrialStarted(trial, "now", ("Batch 64 was chosen.",)),
        an_epoch(trial),
        noted,
        TrialEnded(trial, "failed", "it broke.", 1.0),
    )
    assert before.startswith(trial.id)
    assert started == "! resnet18 · seed 0: Batch 64 was chosen."
    assert epoch.startswith("resnet18 · seed 0  epoch 1  train loss")
    assert note.startswith("! resnet18 · seed 0: put_ has")
    assert failed == "failed resnet18 · seed 0: it broke."


def test_a_note_is_said_once_for_each_model(screen: Console) -> None:
    first, again, other = (a_trial(model, seed=s) for model, s in (("a", 0), ("a", 1), ("b", 0)))
    said = show(
        screen,
        Planned({t.id: f"{t.model} · seed {t.seed}" for t in (first, again, other)}),
        TrialStarted(first, "now", ("Batch 64 was chosen.",)),
        TrialStarted(again, "now", ("Batch 64 was chosen.", "Made for 70 epochs.")),
        TrialStarted(other, "now", ("Batch 64 was chosen.",)),
    )
    assert said == [
        "! a · seed 0: Batch 64 was chosen.",
        "! a · seed 1: Made for 70 epochs.",
        "! b · seed 0: Batch 64 was chosen.",
    ]


class TestDownload:
    PROGRESS = Progress("downloading x from y", 12_000_000, 170_500_000, 73_400.0, "bytes")

    def test_on_a_terminal_bytes_a_rate_and_the_time_left(self) -> None:
        screen = Console(file=io.StringIO(), force_terminal=True, width=120)
        reporter = Reporter(screen)
        reporter.show(self.PROGRESS)
        reporter.close()
        text = shown(screen)
        assert "downloading x from y" in text
        assert "12 MB of 170 MB" in text
        assert "73 kB/s" in text

    def test_without_a_terminal_a_line_now_and_again(self, screen: Console) -> None:
        starting = Progress("downloading x from y", 0, 170_500_000, None, "bytes")
        assert show(screen, starting, *[self.PROGRESS] * 5) == [
            "downloading x from y: 12 MB of 170 MB at 73 kB/s, 36 minutes left"
        ]


def test_a_predicted_time_says_whether_steps_were_timed(screen: Console) -> None:
    times = [TrialTime(a_trial(), {"train": 590.0})]
    timed, simulated = (predict_time(times, 0.0, 500.0, factor=factor) for factor in (1.0, 1.5))
    assert show(screen, simulated, timed) == [
        "time: about 10 minutes; at most 1 of 1 seeds fits in 8 minutes (predicted before any step "
        "was timed)",
        "time: about 10 minutes; 0 of 1 seeds fit in 8 minutes (predicted)",
    ]

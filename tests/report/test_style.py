"""Looks: one colour per model everywhere, and no two groups alike."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from bench.analysis.trial_group import TrialGroup, trial_groups
from bench.errors import BenchError
from bench.records.records import Record
from bench.records.run import collect
from bench.report.style import PALETTE, canvas, looks_of, save, saved_in_parallel, whole_numbers
from tests.builders import a_done_trial, a_setting, a_trial, run_start


def groups_of(*records: Record) -> list[TrialGroup]:
    return trial_groups(collect(Path("somewhere"), [*run_start(), *records]))


def trials(model: str, **settings: Any) -> list[Record]:
    return a_done_trial(a_trial(model, setting=a_setting(**settings)))


def test_a_model_keeps_its_colour_and_changes_its_line() -> None:
    found = groups_of(*trials("a"), *trials("b"), *trials("a", optimizer="sgd"))
    looks = {label: (look.colour, look.line_style) for label, look in looks_of(found).items()}
    assert looks == {
        "a · adam": ("#0072B2", "-"),
        "b · adam": ("#D55E00", "-"),
        "a · sgd": ("#0072B2", "--"),
    }


def batches(model: str, sizes: Sequence[int]) -> list[Record]:
    """A done trial of the model at each batch size."""
    made = [a_trial(model, batch_choice=str(size), batch_size=size) for size in sizes]
    return [record for trial in made for record in a_done_trial(trial)]


def test_the_settings_of_one_model_all_look_different() -> None:
    sizes = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
    found = groups_of(*batches("a", sizes))
    looks = list(looks_of(found).values())
    assert [look.colour for look in looks[:8]] == list(PALETTE)
    assert len(set(looks)) == len(sizes)


def test_so_do_those_of_several_models() -> None:
    sizes = (16, 32, 64, 128, 256, 512, 1024, 2048)
    found = groups_of(*batches("a", sizes), *batches("b", sizes))
    looks = looks_of(found).values()
    assert len(set(looks)) == 2 * len(sizes)
    assert len({look.colour for look in looks}) == 2


def test_what_a_user_has_set_for_other_figures_does_not_change_names() -> None:
    theirs = {"text.usetex": True, "axes.formatter.use_locale": True}
    with mpl.rc_context(theirs), canvas("measured", "a title") as (_, axes):
        name = axes[0].set_title("resnet_18")
        formatter = axes[0].yaxis.get_major_formatter()
    assert not name.get_usetex()
    assert not formatter.get_useLocale()


def test_no_two_colours_are_the_same() -> None:
    assert len(set(PALETTE)) == 8


def test_more_models_than_colours_start_again() -> None:
    found = groups_of(*(record for i in range(9) for record in trials(f"m{i}")))
    looks = list(looks_of(found).values())
    assert looks[8].colour == looks[0].colour
    assert looks[8].colour != looks[7].colour


@pytest.mark.parametrize("points", [(1,), (0.8, 1.2), (1, 3), (0, 5000)])
def test_what_is_counted_has_whole_numbers_on_its_axis(points: Sequence[float]) -> None:
    with canvas("a caption", "A title") as (figure, (ax,)):
        ax.plot(points, points, "o")
        whole_numbers(ax.xaxis)
    figure.draw_without_rendering()
    low, high = ax.get_xlim()
    shown = [label for label in ax.xaxis.get_ticklabels() if low <= label.get_position()[0] <= high]
    assert shown
    assert all(f"{label.get_position()[0]:,g}" == label.get_text() for label in shown)


def a_figure() -> Figure:
    with canvas("made up", "A line") as (figure, (axes,)):
        axes.plot([1, 2], [3, 4])
    return figure


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_pictures_are_the_same_however_many_processes_draw(
    cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(a_figure(), tmp_path / "alone")
    monkeypatch.setattr("bench.report.style.CORES", cores if sys.platform == "linux" else 1)
    with saved_in_parallel() as later:
        for name in "abc":
            later(a_figure(), tmp_path / name)
    for suffix in ("png", "svg"):
        pictures = {(tmp_path / f"{name}.{suffix}").read_bytes() for name in ("alone", *"abc")}
        assert len(pictures) == 1


def write_two(first: Path, second: Path) -> None:
    with saved_in_parallel() as later:
        later(a_figure(), first)
        later(a_figure(), second)


def test_what_fails_in_another_process_is_raised_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.report.style.CORES", 2 if sys.platform == "linux" else 1)
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match=r"cannot write .*file"):
        write_two(tmp_path / "good", tmp_path / "file" / "bad")
    assert "Traceback" not in capfd.readouterr().err

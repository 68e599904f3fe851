"""Pictures of kernels, weights, gradients and evaluation modes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench.records.records import EvaluationMode, Inspected, LayerChange
from bench.records.run import Run, collect
from bench.report.context import Context
from bench.report.sections.base import answers
from bench.report.sections.diagnostics import (
    SECTIONS,
    gradients_finding,
    inspected,
    kernel_figure,
    read_kernels,
    tile,
)
from bench.report.style import save
from tests.builders import some_records


def a_look(trial: str, kernels: str = "a.npz") -> Inspected:
    layers = tuple(LayerChange(f"l{n}", n, 0.1 * n, 0.5, 2.0 / n, 1.0 / n) for n in (1, 2, 3))
    modes = (
        EvaluationMode("inference", "shuffled", 64, 256, 0.5),
        EvaluationMode("training", "sorted by class", 64, 256, 0.2),
    )
    return Inspected(trial, layers, modes, kernels)


def a_run(folder: Path, kernels: str = "a.npz") -> Run:
    records: list[Any] = list(some_records())
    trial = records[13].trial.id
    return collect(folder, [*records, a_look(trial, kernels)])


def a_file(path: Path, **arrays: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def drawn(run: Run) -> dict[str, Figure]:
    """The pictures of these sections by file name."""
    figures: dict[str, Figure] = {}
    list(answers(SECTIONS, Context(run), figures.__setitem__))
    return figures


def test_pictures_are_of_the_groups_that_were_looked_at(tmp_path: Path) -> None:
    figures = drawn(a_run(tmp_path))
    assert sorted(figures) == ["evaluation_modes", "gradient_flow", "layer_changes"]
    (line,) = figures["gradient_flow"].axes[0].get_lines()
    assert list(line.get_ydata()) == pytest.approx([2.0, 1.0, 2 / 3])
    assert list(line.get_xdata()) == [0.0, 0.5, 1.0]
    bars = figures["evaluation_modes"].axes[0].patches
    assert [round(bar.get_width(), 2) for bar in bars] == [0.5, 0.2]


def test_nothing_was_looked_at(tmp_path: Path) -> None:
    run = collect(tmp_path, some_records())
    assert list(answers(SECTIONS, Context(run), lambda name, figure: None)) == []


def test_kernels_are_drawn_on_one_scale(tmp_path: Path) -> None:
    before = np.zeros((9, 3, 2, 2), dtype=np.float32)
    after = before.copy()
    after[0, 0, 0, 0] = -2.0
    figure = kernel_figure("x", before, after, "here")
    pixels = [ax.get_images()[0].get_array() for ax in figure.axes]
    assert float(pixels[0][0, 0, 0]) == 0.5
    assert float(pixels[1][0, 0, 0]) == float(pixels[2][0, 0, 0]) == 0.0
    assert "±2" in figure.get_supxlabel()


def test_a_second_convolution_is_also_drawn_as_the_notebooks_have_it() -> None:
    before = np.zeros((4, 9, 1, 1), dtype=np.float32)
    after = before.copy()
    after[0, 8] = 1.0
    figure = kernel_figure("x", before, after, "here")
    pixels = [ax.get_images()[0].get_array() for ax in figure.axes[:6]]
    assert [image.shape for image in pixels[3:]] == [(5, 5)] * 3  # nine channels of one kernel
    assert float(pixels[4][4, 4]) == 1.0  # its last channel after training
    assert float(pixels[5][4, 4]) == 0.0  # before minus after: the lowest
    assert float(pixels[5][0, 0]) == 1.0
    assert "9 input channels of the first kernel" in figure.get_supxlabel()


def test_a_grid_is_nearly_square() -> None:
    kernels = np.arange(5 * 1 * 2 * 2, dtype=np.float32).reshape(5, 1, 2, 2)
    sheet = tile(kernels)
    assert sheet.shape == (5, 8, 1)
    np.testing.assert_array_equal(sheet[:2, :2, 0], kernels[0, 0])
    np.testing.assert_array_equal(sheet[3:, 3:5, 0], kernels[4, 0])
    assert np.isnan(sheet[2]).all()


def test_pictures_of_kernels_are_files(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(70, 3, 7, 7)).astype(np.float32)
    second = weights[:8, :1, :3, :3]
    a_file(
        tmp_path / "kernels" / "a.npz",
        first_before=weights, first_after=weights * 2, second_before=second, second_after=second,
    )  # fmt: skip
    figures = drawn(a_run(tmp_path))
    kernels = [name for name in figures if name.startswith("kernels/")]
    assert kernels == ["kernels/00-first", "kernels/00-second"]
    for name in kernels:
        save(figures[name], tmp_path / "plots" / name)
        assert (tmp_path / "plots" / f"{name}.png").stat().st_size > 1000


@pytest.mark.parametrize("name", ["../a.npz", "/etc/passwd", "a.pt", "", "b.npz"])
def test_names_from_outside_do_not_become_paths(tmp_path: Path, name: str) -> None:
    a_file(tmp_path / "a.npz", first_before=np.ones((1, 3, 1, 1)))
    (tmp_path / "kernels").mkdir()
    run = a_run(tmp_path, name)
    assert read_kernels(tmp_path, run.trials[0]) == {}


@pytest.mark.parametrize("damage", ["cut short", "changed", "another kind"])
def test_a_damaged_file_of_kernels_is_none(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "kernels" / "a.npz"
    a_file(path, first_before=np.ones((4, 3, 3, 3)))
    data = path.read_bytes()
    changed = {"cut short": data[:-20], "changed": data[:60] + b"x" * 40 + data[100:]}
    if damage in changed:
        path.write_bytes(changed[damage])
    else:
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    assert read_kernels(tmp_path, a_run(tmp_path).trials[0]) == {}


def test_kernels_that_would_fill_the_memory_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_file(tmp_path / "kernels" / "a.npz", first_before=np.ones((4, 3, 3, 3)))
    assert read_kernels(tmp_path, a_run(tmp_path).trials[0])
    monkeypatch.setattr("bench.report.sections.diagnostics.MOST_KERNEL_BYTES", 100)
    assert read_kernels(tmp_path, a_run(tmp_path).trials[0]) == {}


def test_pickles_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    hostile = np.array([{"a": 1}], dtype=object)
    with (tmp_path / "kernels" / "a.npz").open("wb") as file:
        np.savez(file, first_before=hostile)
    assert read_kernels(tmp_path, a_run(tmp_path).trials[0]) == {}


KERNELS, GRADIENTS, MODES = SECTIONS


class TestWhatIsSaid:
    def test_findings(self, tmp_path: Path) -> None:
        context = Context(a_run(tmp_path))
        assert KERNELS.finding(context) == (
            "Training moved the weights of the first and second layer: resnet18's by 10.0 % (50.0 "
            "% of its weights changed) and 20.0 % (50.0 % of its weights changed)."
        )
        assert GRADIENTS.finding(context) == (
            "The median gradient norm of the first tenth of the layers, over that of the last "
            "tenth, is 3 before training and 3 after it in resnet18."
        )
        assert MODES.finding(context) == (
            "Test accuracy with batch norm in inference mode, and where training mode is farthest "
            "from it: resnet18's is 50.0 %, and 20.0 % in training mode, batches of 64, sorted by "
            "class."
        )

    def test_nothing_is_said_of_what_nobody_looked_at(self, tmp_path: Path) -> None:
        context = Context(collect(tmp_path, some_records()))
        assert inspected(context) == []
        assert KERNELS.finding(context) is None
        assert gradients_finding([]) is None
        assert GRADIENTS.finding(context) is None
        assert MODES.finding(context) is None

    def test_tables(self, tmp_path: Path) -> None:
        context = Context(a_run(tmp_path))
        (layers,) = KERNELS.tables(context)
        assert [cell.text for cell in layers.rows[0]] == [
            "resnet18",
            "0.100",
            "50.0",
            "0.200",
            "50.0",
        ]
        (gradients,) = GRADIENTS.tables(context)
        assert [cell.text for cell in gradients.rows[0]][:4] == ["resnet18", "3", "2", "0.667"]
        (modes,) = MODES.tables(context)
        assert [row[2].text for row in modes.rows] == ["50.0", "20.0"]


def test_sections_of_the_report(tmp_path: Path) -> None:
    made = {a.name: a for a in answers(SECTIONS, Context(a_run(tmp_path)), lambda *_: None)}
    assert [p.file for p in made["kernels"].pictures] == ["layer_changes"]
    assert [p.file for p in made["gradients"].pictures] == ["gradient_flow"]
    assert [p.file for p in made["evaluation"].pictures] == ["evaluation_modes"]

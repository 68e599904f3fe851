"""Forest plots: each difference where it is, with what counts as the same and what is tied."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bench.analysis.compare.effects import Effect
from bench.analysis.compare.pairwise import USUAL, compare
from bench.analysis.compare.ranking import rank
from bench.analysis.metrics import BY_NAME
from bench.records.run import Run
from bench.report.forest import _limits, comparison_figure, ranking_figure
from bench.report.style import save_as
from tests.analysis.compare.tables import a_side, some_trials, trials
from tests.builders import a_run
from tests.report.undrawn import answers_of

SPEED, ACCURACY = BY_NAME["images_per_second"], BY_NAME["final_test_accuracy"]
BASE = {"images_per_second": [100.0, 101.0, 99.5], "final_test_accuracy": [0.70, 0.71, 0.69]}


@pytest.fixture
def figure(tmp_path: Path) -> Figure:
    a = a_side(tmp_path, "a", trials(BASE))
    b = a_side(tmp_path, "b", trials(BASE | {"images_per_second": [150.0, 152.0, 151.0]}))
    return comparison_figure(compare(a, b, [BY_NAME[name] for name in USUAL]))


def points(figure: Figure, panel: int = 0) -> list[tuple[float, float]]:
    """The markers of a panel."""
    containers = figure.axes[panel].containers
    return [(float(c[0].get_xdata()[0]), float(c[0].get_ydata()[0])) for c in containers]


def test_ratios_and_differences_have_a_panel_each(figure: Figure) -> None:
    assert [ax.get_xlabel() for ax in figure.axes] == ["B / A", "B − A (points)"]
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["resnet18\nthroughput", "resnet18\npeak memory", "resnet18\nlargest batch"]


def test_a_point_is_where_its_difference_is(figure: Figure) -> None:
    from math import log

    (speed, row), *rest = points(figure)
    assert (speed, row) == (pytest.approx(log(1.507), abs=0.01), 0)
    assert [x for x, _ in rest] == [0, 0]


def test_what_counts_as_the_same_is_shaded_and_all_is_within_the_picture(figure: Figure) -> None:
    for panel, ax in enumerate(figure.axes):
        assert ax.patches
        low, high = ax.get_xlim()
        assert all(low < x < high for x, _ in points(figure, panel))


def test_the_legend_names_the_verdicts_that_are_there(figure: Figure) -> None:
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["better", "same"]


def test_the_caption_says_which_is_which(figure: Figure) -> None:
    assert "A: " in figure.get_supxlabel()
    assert "b.csv" in figure.get_supxlabel()


def test_ties_are_joined_by_a_bar() -> None:
    speeds = {"a": [100, 110, 90], "b": [101, 108, 92], "slow": [10, 10.5, 9.5]}
    field = [some_trials(name, {"images_per_second": v}) for name, v in speeds.items()]
    ranking = rank(SPEED, field)
    assert ranking is not None
    drawn = ranking_figure([ranking], name="a run")
    (ax,) = drawn.axes
    (bar,) = (line for line in ax.get_lines() if line.get_label() == "_tie")
    assert list(bar.get_ydata()) == [-0.25, 1.25]
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == ["1–2  b", "1–2  a", "3  slow"]


def test_endless_intervals_leave_the_picture() -> None:
    wild = Effect("ratio", "independent", 1.0, 1.1, 0.095, 2, 2, 50.0, 0.9)
    low, high = _limits([wild], 0.05)
    assert -1 < low < 0.095 < high < 1


def test_a_run_with_two_models_gets_its_picture(tmp_path: Path) -> None:
    run = a_run(tmp_path / "two", seeds=3)
    assert "ranking" in pictures_of(run)
    alone = a_run(tmp_path / "one", models=["resnet18"])
    assert "ranking" not in pictures_of(alone)


def pictures_of(run: Run) -> set[str]:
    return {picture.file for answer in answers_of(run) for picture in answer.pictures}


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_can_be_written_to_one_file(figure: Figure, tmp_path: Path, suffix: str) -> None:
    save_as(figure, tmp_path / f"x.{suffix}")
    assert [path.name for path in tmp_path.glob("x.*")] == [f"x.{suffix}"]

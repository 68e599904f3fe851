"""Plots: labels with units, one colour per model everywhere, bands over seeds."""

import pytest

from bench.report.plots import figures
from bench.report.series import series
from tests.builders import a_run


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    run = a_run(tmp_path_factory.mktemp("run"), seeds=3)
    return run, figures(run)


def test_the_lectures_two_pictures_and_the_others_are_drawn(drawn):
    _, found = drawn
    assert set(found) == {
        "accuracy",
        "loss",
        "accuracy_over_time",
        "accuracy_over_updates",
        "epoch_time",
        "parameters_accuracy",
        "time_budget",
        "memory",
    }


def test_every_axis_has_a_label_and_every_figure_says_what_it_was_measured_on(drawn):
    run, found = drawn
    for name, figure in found.items():
        for axes in figure.axes:
            assert axes.get_xlabel(), name
        caption = figure.get_supxlabel()
        assert run.dataset.name in caption
        assert run.device.name in caption
        assert figure.get_suptitle()


def test_a_model_has_the_same_colour_in_every_curve(drawn):
    run, found = drawn
    colours = {one.label: one.colour for one in series(run)}
    for name in ("accuracy", "loss", "accuracy_over_time", "accuracy_over_updates"):
        lines = [line for line in found[name].axes[0].get_lines() if line.get_label() in colours]
        assert lines, name
        assert all(line.get_color() == colours[line.get_label()] for line in lines)


def test_several_seeds_draw_a_band_and_one_seed_none(drawn, tmp_path):
    _, found = drawn
    one_seed = figures(a_run(tmp_path, seeds=1))
    assert found["accuracy"].axes[1].collections
    assert not one_seed["accuracy"].axes[1].collections


def test_a_curve_has_a_point_for_every_epoch(drawn):
    run, found = drawn
    for line, one in zip(found["accuracy"].axes[1].get_lines(), series(run), strict=False):
        assert list(line.get_xdata()) == [e.epoch for e in one.trained[0].epochs]

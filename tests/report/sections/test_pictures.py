"""Plots: labels with units, one colour per model everywhere, bands over seeds."""

from typing import get_args

import pytest

from bench.records.kernel_trace import Kind
from bench.report.context import Context
from bench.report.sections import all_sections, parameters
from bench.report.sections.base import answers
from bench.report.sections.memory import KIND_COLOURS, memory_breakdown, time_breakdown
from bench.report.sections.timing_noise import extremes
from tests.builders import (
    MIB,
    a_breakdown,
    a_context,
    a_description,
    a_failed_trial,
    a_prediction,
    a_run,
    a_setting,
    a_speed,
    a_sweep_point,
    a_trial,
    some_records,
    validated,
)


def figures(run):
    """Every picture of a run by its file name."""
    made = {}
    list(answers(all_sections(), Context(run), made.__setitem__))
    return made


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
        "steps",
        "memory",
        "ranking",
        "seeds",
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
    colours = {label: look.colour for label, look in Context(run).looks.items()}
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
    for line, one in zip(found["accuracy"].axes[1].get_lines(), Context(run).groups, strict=False):
        assert list(line.get_xdata()) == [e.epoch for e in one.trained[0].epochs]


def test_a_model_without_a_test_accuracy_is_no_point():
    lost = [a_description("vgg11", 2), *a_failed_trial(a_trial("vgg11"), 1)]
    context = a_context(validated([*some_records()[:-1], *lost]))
    assert [group.label for group in context.trained] == ["resnet18", "googlenet", "vgg11"]
    [section] = parameters.SECTIONS
    [picture] = section.pictures
    for axes in picture.draw(context).axes:
        assert [text.get_text() for text in axes.texts] == ["resnet18", "googlenet"]
        assert len(axes.containers) == 2


def test_a_sweep_is_drawn_with_a_ring_around_the_fastest(tmp_path):
    run = a_run(tmp_path)
    for model in ("resnet18", "googlenet"):
        for size in (16, 32, 64, 100):
            run.add(a_sweep_point(model, size))
    speed, memory = figures(run)["batch_sweep"].axes
    curves = [line for line in speed.get_lines() if len(line.get_xdata()) > 1]
    rings = [line for line in speed.get_lines() if len(line.get_xdata()) == 1]
    assert [list(curve.get_xdata()) for curve in curves] == [[16, 32, 64, 100]] * 2
    assert [list(ring.get_xdata()) for ring in rings] == [[64]] * 2
    assert list(memory.get_lines()[0].get_ydata()) == [216, 232, 264, 300]
    assert "Images/s" in speed.get_ylabel()
    assert "MiB" in memory.get_ylabel()


def test_the_memory_is_taken_apart_and_marked_predicted(tmp_path):
    run = a_run(tmp_path)
    run.add(a_breakdown("resnet18"))
    run.add(a_breakdown("googlenet"))
    run.add(a_breakdown("googlenet", setting=a_setting(precision="bf16")))
    figure = figures(run)["memory_breakdown"]
    [axes] = figure.axes
    assert "predicted" in axes.get_xlabel()
    assert "nothing was measured" in figure.get_supxlabel()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["resnet18", "googlenet"]
    assert len(axes.containers) == 8
    totals = [sum(c[row].get_width() for c in axes.containers) for row in range(2)]
    assert totals == pytest.approx([sum(a_breakdown().parts.values()) / MIB] * 2)


def test_memory_that_is_a_range_says_so():
    sure, spare = a_breakdown("resnet18"), a_breakdown("googlenet", spare_bytes=6 * MIB)
    total = sum(sure.parts.values()) // MIB
    figure = memory_breakdown([sure, spare])
    texts = [text.get_text().strip() for text in figure.axes[0].texts]
    assert f"{total - 6:,} to {total:,}" in texts
    assert f"{total:,}" in texts
    assert "only the upper end is enough for sure" in figure.get_supxlabel()
    assert "range" not in memory_breakdown([sure]).get_supxlabel()


def test_the_time_is_taken_apart_by_kernels_on_one_card(tmp_path):
    run = a_run(tmp_path)
    assert "time_breakdown" not in figures(run)
    for card in ("t4", "rtx3090"):
        for model in ("resnet18", "googlenet"):
            run.add(a_prediction(model, card, speeds=(a_speed(), a_speed(32))))
    figure = figures(run)["time_breakdown"]
    [axes] = figure.axes
    assert "predicted" in axes.get_xlabel()
    assert "nothing was measured" in figure.get_supxlabel()
    assert "t4" in figure.get_suptitle()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["resnet18", "googlenet"]
    assert [c.get_label() for c in axes.containers] == ["convolution", "batch norm"]
    totals = [sum(c[row].get_width() for c in axes.containers) for row in range(2)]
    assert totals == pytest.approx([1.0, 1.0])
    assert any("arithmetic" in text.get_text() for text in axes.texts)


def test_operators_without_a_rule_are_named_below_the_picture():
    strange = a_speed(unknown=("own::strange",))
    figure = time_breakdown([a_prediction(speeds=(strange,))])
    assert "counted as memory traffic: own::strange" in " ".join(figure.get_supxlabel().split())


def test_every_kind_of_kernel_has_a_colour():
    assert set(KIND_COLOURS) == set(get_args(Kind))


def test_bars_of_several_settings_say_which(tmp_path):
    bars = [a_breakdown(), a_breakdown(setting=a_setting(image_size=64))]
    labels = [text.get_text() for text in memory_breakdown(bars).axes[0].get_yticklabels()]
    assert labels == ["resnet18\n32 px, adam, fp32", "resnet18\n64 px, adam, fp32"]


def test_of_many_steps_the_outliers_are_drawn():
    values = [1.0] * 50_000
    values[12_345], values[40_000] = 9.0, 0.1
    kept = extremes(values)
    assert len(kept) <= 1000
    assert kept == sorted(kept)
    assert {12_345, 40_000} <= set(kept)
    assert extremes([3.0, 1.0]) == [0, 1]

"""Seconds of a step on the processor here, from made-up kernels and peaks."""

from dataclasses import replace

import pytest

from bench.prediction.cards import Peaks
from bench.prediction.cpu import _CALL_FLOPS, FACTOR, cpu_step_seconds
from bench.prediction.speed import fit_for
from bench.records.kernel_trace import Kernel, KernelTrace, Kind
from tests.builders import a_setting

PEAKS = Peaks(1e11, 1e10)
CONSTANTS = fit_for("cpu", channels_last=True).constants
FIXED = CONSTANTS.kernel_microseconds * 1e-6


def a_kernel(kind: Kind = "convolution", **changes: int) -> Kernel:
    return replace(Kernel(kind, False, 0, 10**9, 0, 10**3, 64, 64), **changes)


def seconds(*kernels: Kernel, peaks: Peaks = PEAKS, **changes: object) -> float | None:
    trace, setting = KernelTrace(kernels or (a_kernel(),)), a_setting(**changes)
    return cpu_step_seconds(trace, setting=setting, batch_size=8, peaks=peaks)


def test_the_constants_are_those_of_processors() -> None:
    fit = fit_for("cpu", channels_last=True)
    assert (fit.card, fit.layout) == ("cpu", "nhwc")
    assert "cpu_training_speed.csv" in fit.source
    assert 1 < FACTOR <= 2


def test_arithmetic_and_traffic_take_their_shares_of_what_was_measured() -> None:
    share = CONSTANTS.convolution_arithmetic
    assert seconds() == pytest.approx(8e9 / (share * 1e11) + FIXED)
    moved = a_kernel("batch norm", image_flops=0, image_bytes=10**9)
    assert seconds(moved) == pytest.approx(8e9 / (CONSTANTS.norm_traffic * 1e10) + FIXED)


def test_a_faster_processor_takes_less() -> None:
    slow, fast = seconds(), seconds(peaks=Peaks(2e11, 2e10))
    assert slow is not None
    assert fast is not None
    assert fast - FIXED == pytest.approx((slow - FIXED) / 2)


def test_narrow_layers_fill_a_register_of_eight() -> None:
    share, padded = CONSTANTS.convolution_arithmetic, 64 * 16
    expected = 8e9 * padded / (64 * 9) / (share * 1e11) + FIXED
    assert seconds(a_kernel(inputs=64, outputs=9)) == pytest.approx(expected)


def test_with_groups_each_image_and_group_is_a_call() -> None:
    """And no rule of cuDNN is taken for those that are fast on a card."""
    grouped = a_kernel("grouped convolution", inputs=4, outputs=4, groups=32)
    flops = 8 * (10**9 + 32 * _CALL_FLOPS * 2 // 3)
    assert seconds(grouped) == pytest.approx(flops / (CONSTANTS.grouped_arithmetic * 1e11) + FIXED)


def test_gradients_of_weights_are_summed_image_by_image() -> None:
    """One kernel in three: it reads and writes all weights for each image."""
    layer = a_kernel(image_flops=1, image_bytes=10**6, fixed_bytes=10**8, count=3)
    moved = 3 * (8 * 10**6 + 10**8) + 8 * 2 * 10**8
    expected = moved / (CONSTANTS.convolution_traffic * 1e10) + 3 * FIXED
    assert seconds(layer) == pytest.approx(expected)


def test_parts_of_a_batch_run_one_after_the_other() -> None:
    whole, parts = seconds(), seconds(a_kernel(count=4), accumulate=4)
    assert whole is not None
    assert parts == pytest.approx(whole + 3 * FIXED)


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"channels_last": False}])
def test_there_is_no_figure_for_what_was_not_fitted(changes: dict[str, object]) -> None:
    assert seconds(**changes) is None

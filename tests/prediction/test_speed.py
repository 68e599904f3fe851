"""Times from made-up kernels, which can be worked out by hand, and what must hold of any."""

import math
from dataclasses import astuple, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.prediction.cards import Card, Peaks, cards, find_card
from bench.prediction.speed import (
    LAUNCH_SECONDS,
    OTHER_CARD,
    OWN_CARD,
    UNCERTAIN,
    Constants,
    Workload,
    fit_for,
    fits,
    predict_speed,
)
from bench.records.kernel_trace import Kernel, KernelTrace, Kind
from bench.records.records import PredictedSpeed, Setting

SETTING = Setting(224, "adam", 1e-3, "fp16")
PEAKS = Peaks(10e12, 500e9, tf32=20e12, fp16=40e12, bf16=40e12)
HALF = Constants(0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 10.0)
RATES = (10e12, 20e12, 40e12)
GAP = 10e-6


def a_kernel(kind: Kind = "convolution", **changes: Any) -> Kernel:
    return replace(Kernel(kind, True, 0, 4 * 10**9, 0, 10**6, 64, 64), **changes)


def seconds(kernel: Kernel, images: int = 100) -> float:
    return Workload([kernel], images, channels_last=True).seconds(HALF, RATES, 500e9)


def speed(*kernels: Kernel, **changes: Any) -> PredictedSpeed | None:
    options: dict[str, Any] = {
        "setting": SETTING,
        "card": Card("some", "Some", 2**34, "", peaks=PEAKS),
        "batch_size": 100,
    }
    return predict_speed(KernelTrace(kernels or (a_kernel(),)), **options | changes)


def test_arithmetic_takes_its_share_of_the_peak() -> None:
    assert seconds(a_kernel()) == pytest.approx(4e11 / (0.5 * 40e12) + GAP)
    assert seconds(a_kernel(half=False)) == pytest.approx(4e11 / (0.5 * 20e12) + GAP)


def test_traffic_takes_its_share_of_the_bandwidth() -> None:
    moved = a_kernel("pointwise", image_flops=0, image_bytes=10**9, fixed_bytes=5 * 10**9)
    assert seconds(moved) == pytest.approx(105e9 / (0.5 * 500e9) + GAP)


def test_depthwise_convolutions_have_no_tensor_cores() -> None:
    assert seconds(a_kernel("depthwise convolution")) == pytest.approx(4e11 / 5e12 + GAP)


def test_products_are_padded_to_whole_tiles() -> None:
    whole, padded = seconds(a_kernel()) - GAP, seconds(a_kernel(inputs=40)) - GAP
    assert padded / whole == pytest.approx(64 / 40)


def test_odd_widths_move_twice_the_bytes() -> None:
    even, odd = (
        seconds(a_kernel("matrix product", image_flops=1, image_bytes=10**9, inputs=n)) - GAP
        for n in (64, 63)
    )
    assert odd / even == pytest.approx(2)


def test_the_host_cannot_launch_faster() -> None:
    small = a_kernel("pointwise", image_flops=0, image_bytes=1, count=1000)
    fast = replace(HALF, kernel_microseconds=0.2)
    work = Workload([small], 1, channels_last=True)
    assert work.seconds(fast, RATES, 500e9) == pytest.approx(1000 * LAUNCH_SECONDS)


@pytest.mark.parametrize(
    ("kernel", "limit"),
    [
        (a_kernel(), "arithmetic"),
        (a_kernel("batch norm", image_flops=0), "memory traffic"),
        (a_kernel("pointwise", image_flops=0, image_bytes=1, count=500), "kernel launches"),
    ],
)
def test_the_limit_is_named(kernel: Kernel, limit: str) -> None:
    found = speed(kernel)
    assert found is not None
    assert found.limit == limit
    assert (found.factor == UNCERTAIN) == (limit == "kernel launches")


def test_a_host_that_may_be_too_slow_widens_the_range() -> None:
    """10 µs a kernel is long enough for some hosts only: the slowest needs 60."""
    short = a_kernel("pointwise", image_flops=0, image_bytes=25_000, count=500)
    found = speed(short)
    assert found is not None
    assert found.limit == "memory traffic"
    assert found.step_seconds == pytest.approx(500 * 10e-6, rel=0.01)
    assert found.factor == UNCERTAIN
    assert found.slowest_seconds == pytest.approx(500 * 60e-6)
    low, high = found.images_per_second_range
    assert low == pytest.approx(100 / (500 * 60e-6))
    assert high == pytest.approx(2 * found.images_per_second)


def test_the_last_step_of_an_epoch_takes_its_share() -> None:
    found = speed(images=1050)
    assert found is not None
    assert found.epoch_seconds == pytest.approx(10.5 * found.step_seconds)
    assert found.images_per_second == pytest.approx(100 / found.step_seconds)


def test_parts_of_a_batch_run_one_after_the_other() -> None:
    """The trace of a batch in four parts has each kernel four times."""
    whole, parts = speed(), speed(a_kernel(count=4), setting=replace(SETTING, accumulate=4))
    assert whole is not None
    assert parts is not None
    assert parts.step_seconds == pytest.approx(whole.step_seconds, rel=0.01)


def test_a_known_speed_scales_every_time() -> None:
    found, scaled = speed(), speed(scale=1.25)
    assert found is not None
    assert scaled is not None
    assert scaled.step_seconds == pytest.approx(1.25 * found.step_seconds)
    assert (found.factor, scaled.factor) == (OTHER_CARD, OWN_CARD)


class TestNoFigure:
    def test_for_a_card_without_peaks(self) -> None:
        assert speed(card=find_card("21.6GiB")) is None

    def test_for_arithmetic_that_the_card_has_not(self) -> None:
        assert speed(card=find_card("t4"), setting=replace(SETTING, precision="bf16")) is None
        assert speed(card=find_card("p100-16gb")) is None  # fp16, but no tensor cores

    def test_if_nothing_fits(self) -> None:
        assert speed(batch_size=0) is None


class TestRange:
    def test_is_narrow_on_the_card_that_gave_the_constants(self) -> None:
        found = speed(card=find_card("rtx3090"))
        assert found is not None
        assert found.factor == OWN_CARD
        assert found.slowest_seconds == pytest.approx(OWN_CARD * found.step_seconds)

    @pytest.mark.parametrize(
        ("kernel", "precision", "channels_last", "factor"),
        [
            ("convolution", "fp16", True, OTHER_CARD),
            ("convolution", "fp32", True, UNCERTAIN),
            ("convolution", "tf32", True, OTHER_CARD),
            ("depthwise convolution", "fp16", True, OTHER_CARD),
            ("depthwise convolution", "tf32", True, UNCERTAIN),
            ("grouped convolution", "fp16", True, UNCERTAIN),
            ("grouped convolution", "fp16", False, OTHER_CARD),
        ],
    )
    def test_is_wide_where_predictions_were_bad(
        self, kernel: Kind, precision: str, channels_last: bool, factor: float
    ) -> None:
        setting = replace(SETTING, precision=precision, channels_last=channels_last)
        found = speed(a_kernel(kernel, inputs=24, outputs=24, groups=4), setting=setting)
        assert found is not None
        assert found.factor == factor

    def test_operators_without_a_rule_widen_it(self) -> None:
        known = a_kernel("pointwise", image_flops=0, image_bytes=10**8)
        found = speed(known, replace(known, kind="unknown"))
        assert found is not None
        assert found.factor == pytest.approx(1.5 * OTHER_CARD)


kernels = st.builds(
    Kernel,
    st.sampled_from(["convolution", "1x1 convolution", "batch norm", "attention", "copy"]),
    st.booleans(),
    *[st.integers(0, 10**10)] * 4,
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.just(1),
    st.integers(1, 50),
)


@given(st.lists(kernels, min_size=1, max_size=6), st.integers(1, 512))
def test_more_work_never_takes_less_time(given: list[Kernel], images: int) -> None:
    few, many = (Workload(given, n, channels_last=True) for n in (images, images + 1))
    assert few.seconds(HALF, RATES, 500e9) <= many.seconds(HALF, RATES, 500e9)


@given(st.lists(kernels, min_size=1, max_size=6), st.floats(1, 10), st.floats(1, 10))
def test_a_better_card_is_never_slower(given: list[Kernel], faster: float, wider: float) -> None:
    work = Workload(given, 64, channels_last=False)
    better = work.seconds(HALF, [faster * rate for rate in RATES], wider * 500e9)
    assert better <= work.seconds(HALF, RATES, 500e9) * (1 + 1e-12)


@given(st.lists(kernels, min_size=1, max_size=6))
def test_kinds_add_up_to_the_cards_time(given: list[Kernel]) -> None:
    found = speed(*given)
    assert found is not None
    launches = sum(kernel.count for kernel in given)
    total = max(sum(found.kind_seconds.values()), launches * LAUNCH_SECONDS)
    assert found.step_seconds == pytest.approx(total)
    assert set(found.kind_seconds) == {kernel.kind for kernel in given}


def test_constants_are_of_both_layouts_and_say_where_they_are_from() -> None:
    assert {fit.layout for fit in fits()} == {"nhwc", "nchw"}
    for fit in fits():
        assert fit.source
        assert fit.card == "cpu" or fit.card in cards()
        assert all(0 < value < 200 for value in astuple(fit.constants))
    assert fit_for("t4", channels_last=False).layout == "nchw"


def test_cards_differ_as_their_peaks_do() -> None:
    """ResNet-like work: nothing on an H100 takes longer than on a T4."""
    slow, fast = (speed(card=find_card(name)) for name in ("t4", "h100-80gb"))
    assert slow is not None
    assert fast is not None
    assert 5 < slow.step_seconds / fast.step_seconds < 20
    assert math.isfinite(fast.images_per_second)

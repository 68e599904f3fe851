"""Predictions from a made-up trace, whose answers can be worked out by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.prediction.caching_allocator import completes
from bench.prediction.cards import Card
from bench.prediction.memory import ERROR, breakdown, largest_predicted, predict
from bench.records.memory_trace import Allocation, Trace
from bench.records.records import Setting

MIB = 2**20
SETTING = Setting(224, "adam", 1e-3, "fp16")
STEP = Trace(
    (
        Allocation(100 * MIB, 0, "parameters"),
        Allocation(0, 10 * MIB, "activations"),
        Allocation(100 * MIB, 0, "gradients"),
    ),
    (0, 1, 2, ~1, ~2),
)


def card(size: int, *, exact: bool = False) -> Card:
    return Card("some", "Some", size, "", exact)


@pytest.mark.parametrize(
    ("capacity", "largest"), [(1200, 100), (1209, 100), (1210, 101), (220, 2), (219, 0), (0, 0)]
)
def test_the_largest_batch(capacity: int, largest: int) -> None:
    assert largest_predicted(STEP, capacity * MIB) == largest


def test_the_cap_holds() -> None:
    assert largest_predicted(STEP, 1200 * MIB, cap=64) == 64


@given(
    fixed=st.integers(1, 300),
    image=st.integers(1, 40),
    scratch=st.integers(0, 40),
    capacity=st.integers(1, 4000),
)
@settings(max_examples=60, deadline=None)
def test_it_fits_and_one_more_does_not(fixed: int, image: int, scratch: int, capacity: int) -> None:
    trace = Trace(
        (
            Allocation(fixed * MIB, 0, "parameters"),
            Allocation(0, image * MIB, "activations"),
            Allocation(0, scratch * 512, "temporaries"),
        ),
        (0, 2, 1, ~2, 2, ~2, ~1),
    )
    found = largest_predicted(trace, capacity * MIB, cap=5000)
    assert not found or completes(trace, found, capacity * MIB)
    if found < 5000:
        assert not completes(trace, max(2, found + 1), capacity * MIB)


def test_a_prediction_says_what_it_is_made_of() -> None:
    named = predict(
        STEP,
        model="m",
        setting=SETTING,
        num_classes=10,
        card=card(1712 * MIB),
        reserve_bytes=512 * MIB,
    )
    assert (named.max_batch, named.usable_bytes) == (100, 1200 * MIB)
    assert (named.base_bytes, named.bytes_per_image) == (200 * MIB, 10 * MIB)
    assert named.source == "predicted"
    reach = ERROR * 1200 / 10
    assert (named.max_batch_low, named.max_batch_high) == (100 - reach, 100 + reach)


def test_a_size_is_what_tensors_may_take() -> None:
    given_size = card(1200 * MIB, exact=True)
    found = predict(STEP, model="m", setting=SETTING, num_classes=10, card=given_size)
    assert found.usable_bytes == 1200 * MIB


def test_the_breakdown_adds_up_to_what_is_needed_and_the_reserve() -> None:
    found = breakdown(STEP, model="m", setting=SETTING, batch_size=10, reserve_bytes=7 * MIB)
    assert found.parts["activations"] == 100 * MIB
    assert found.parts["workspace and context"] == 7 * MIB
    assert sum(found.parts.values()) == pytest.approx(307 * MIB, abs=2 * MIB)
    assert found.spare_bytes == 0


def test_the_breakdown_says_where_less_may_do() -> None:
    sizes = (10, 22, 30, 16, 14)
    activations = tuple(Allocation(n * MIB, 0, "activations") for n in sizes)
    trace = Trace(activations, (0, 1, ~0, ~1, 2, 3, 4))
    found = breakdown(trace, model="m", setting=SETTING, batch_size=1, reserve_bytes=MIB)
    assert (sum(found.parts.values()), found.spare_bytes) == (67 * MIB, 6 * MIB)


def test_a_cap_far_below_what_memory_holds_is_certain() -> None:
    found = predict(
        STEP, model="m", setting=SETTING, num_classes=10, card=card(10**10, exact=True), cap=64
    )
    assert (found.max_batch_low, found.max_batch, found.max_batch_high) == (64, 64, 64)


def test_a_range_is_of_the_whole_step_not_of_its_peak_alone() -> None:
    """In 5 % less memory, another moment of the step has no room at any batch size."""
    moments = (
        Allocation(2000 * MIB, 12 * 2**10, "temporaries"),
        Allocation(1000 * MIB, 10 * MIB, "activations"),
    )
    trace = Trace(moments, (0, ~0, 1, ~1))
    small = card(2010 * MIB, exact=True)
    found = predict(trace, model="m", setting=SETTING, num_classes=10, card=small)
    assert (found.max_batch_low, found.max_batch, found.max_batch_high) == (0, 101, 111)


def test_what_is_far_too_large_fits_with_no_error() -> None:
    small = card(100 * MIB, exact=True)
    found = predict(STEP, model="m", setting=SETTING, num_classes=10, card=small)
    assert (found.max_batch_low, found.max_batch, found.max_batch_high) == (0, 0, 1)

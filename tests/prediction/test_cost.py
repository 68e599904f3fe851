"""Prices as people type them, and what they make of a predicted time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import Refused
from bench.prediction.cards import find_card
from bench.prediction.cost import Range, epoch_range, money, most_joules, parse_prices
from tests.builders import a_speed

CARDS = ("t4", "RTX3090", "21.6GiB")


def test_prices_are_by_the_cards_own_name() -> None:
    prices = parse_prices(("T4=0.35", "rtx3090=1e-2", "21.6GiB=2"), CARDS)
    assert prices == {"t4": 0.35, "rtx3090": 0.01, "21.6GiB": 2.0}
    assert parse_prices((), CARDS) == {}


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (("t4=-1",), "--price t4=-1 must be a card and its price per hour, above 0, such as t4="),
        (("t4=0",), "--price t4=0 must be"),
        (("t4=nan",), "--price t4=nan must be"),
        (("t4=inf",), "--price t4=inf must be"),
        (("t4=1e99",), "--price t4=1e99 must be"),
        (("t4=cheap",), "--price t4=cheap must be"),
        (("t4=",), "--price t4= must be"),
        (("t4",), "--price t4 must be"),
        (("=1",), "--price =1 must be"),
        (("t4=1", "T4=2"), "--price names t4 twice."),
        (("rtx309=1",), "unknown card 'rtx309': did you mean rtx3090"),
        (("l4=1",), "--price l4=1 is of no card of --card; add l4 there."),
    ],
)
def test_what_is_no_price_is_refused(texts: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_prices(texts, CARDS)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.floats(1e-6, 1e9))
def test_every_price_is_read_as_it_is_written(price: float) -> None:
    assert parse_prices((f"t4={price!r}",), CARDS) == {"t4": price}


@given(st.one_of(st.text(max_size=20), st.text(max_size=12).map(lambda text: f"t4={text}")))
def test_any_text_is_a_price_above_zero_or_refused(text: str) -> None:
    try:
        prices = parse_prices((text,), CARDS)
    except Refused:
        return
    (price,) = prices.values()
    assert math.isfinite(price)
    assert price > 0


def test_an_epoch_has_the_range_of_its_step() -> None:
    speed = a_speed(100, factor=1.5, slowest_seconds=0.4, epoch_seconds=60.0)  # a step of 0.1 s
    assert epoch_range(speed) == Range(60.0, 40.0, pytest.approx(240.0))
    assert epoch_range(a_speed(100, epoch_seconds=None)) is None


def test_ranges_are_added_end_by_end() -> None:
    assert Range(2, 1, 4) + Range(20, 10, 40) == Range(22, 11, 44)
    assert Range(2, 1, 4) * 3 == Range(6, 3, 12)


def test_money_is_in_proportion_and_energy_is_of_the_longest_time() -> None:
    hour = Range(3600, 1800, 7200)
    assert money(hour, 0.5) == Range(0.5, 0.25, 1.0)
    assert money(hour, None) is None
    assert most_joules(hour, find_card("t4")) == 70 * 7200
    assert most_joules(hour, find_card("2GiB")) is None

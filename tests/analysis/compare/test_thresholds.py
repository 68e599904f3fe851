"""Bounds are parsed strictly: what could silently never fail, or fail on what is better, is
refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.compare.effects import Effect
from bench.analysis.compare.thresholds import parse_bound, parse_margins
from bench.analysis.compare.verdicts import Margins, Verdict
from bench.errors import Refused

CHANCE, REAL = Verdict("cannot tell"), Verdict("slower", apart=True, better=False, significant=True)


def changed(scale: str, shift: float) -> Effect:
    return Effect(scale, "paired", 1.0, 1.0, shift, 5, 5, 0.01, 0.01)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "metric", "limit"),
    [
        ("images_per_second:-5%", "images_per_second", -0.05),
        ("test_accuracy:-1pt", "final_test_accuracy", -0.01),
        ("final_test_accuracy:-0.5pt", "final_test_accuracy", -0.005),
        ("peak_memory_bytes:+10%", "peak_memory_bytes", 0.1),
        ("epoch_seconds:+150%", "epoch_seconds", 1.5),
        ("max_batch:-0%", "max_batch", 0.0),
    ],
)
def test_bounds(text: str, metric: str, limit: float) -> None:
    bound = parse_bound(text)
    assert bound.metric.name == metric
    assert bound.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("images_per_second", "has no bound; write it like METRIC:-5%"),
        ("image_per_second:-5%", "did you mean images_per_second"),
        ("zzzz:-5%", "models.csv"),
        ("images_per_second:5%", "write images_per_second:-5%"),
        ("images_per_second:+5%", "would fail on what is better"),
        ("epoch_seconds:-5%", "would fail on what is better, for a lower epoch_seconds is"),
        ("images_per_second:-5", "is not a bound"),
        ("images_per_second:-5 %", "is not a bound"),
        ("images_per_second:--5%", "is not a bound"),
        ("images_per_second:-nan%", "is not a bound"),
        ("images_per_second:-1e3%", "is not a bound"),
        ("images_per_second:-٥%", "is not a bound"),
        ("images_per_second:-5pt", "compared as a ratio; write images_per_second:-5%"),
        ("test_accuracy:-1%", "compared in points; write test_accuracy:-1pt"),
        ("images_per_second:-100%", "can never fail"),
        ("test_accuracy:-100pt", "can never fail"),
        ("temperature_celsius:+5%", "neither way is worse"),
        ("device:-5%", "neither way is worse"),
    ],
)
def test_what_is_no_bound_is_refused(text: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_bound(text)
    assert said in str(refused.value)


@given(st.text(max_size=40) | st.from_regex(r"\A\w{1,20}:[+-]?[0-9.]{1,6}(%|pt)?\Z"))
def test_any_text_is_a_bound_or_refused(text: str) -> None:
    for parse in (parse_bound, lambda words: parse_margins([words])):
        with contextlib.suppress(Refused):
            assert parse(text) is not None


@given(st.decimals(0, 99, places=2))
def test_any_amount_is_read_as_it_is_written(amount: object) -> None:
    size = float(str(amount)) / 100
    assert parse_bound(f"images_per_second:-{amount}%").limit == pytest.approx(-size)
    assert parse_bound(f"test_accuracy:-{amount}pt").limit == pytest.approx(-size)


@pytest.mark.parametrize(
    ("text", "shift", "broken"),
    [
        ("images_per_second:-5%", -0.06, True),
        ("images_per_second:-5%", -0.04, False),
        ("images_per_second:-5%", 0.5, False),
        ("peak_memory_bytes:+5%", 0.06, True),
        ("peak_memory_bytes:+5%", 0.04, False),
        ("peak_memory_bytes:+5%", -0.5, False),
    ],
)
def test_a_bound_is_broken_by_a_change_for_the_worse(text: str, shift: float, broken: bool) -> None:
    assert parse_bound(text).broken_by(changed("ratio", shift), REAL) is broken


def test_points_are_points() -> None:
    bound = parse_bound("test_accuracy:-1pt")
    assert bound.broken_by(changed("difference", -0.011), REAL)
    assert not bound.broken_by(changed("difference", -0.009), REAL)


def test_noise_breaks_no_bound() -> None:
    assert not parse_bound("images_per_second:-5%").broken_by(changed("ratio", -0.5), CHANCE)


def test_margins() -> None:
    assert parse_margins([]) == Margins(0.05, 0.01)
    assert parse_margins(["2%"]) == Margins(0.02, 0.01)
    assert parse_margins(["0.5pt", "3%"]) == Margins(0.03, 0.005)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["5"], "is no margin"),
        (["-5%"], "is no margin"),
        (["0%"], "is no margin"),
        (["100%"], "is no margin"),
        (["1%", "2%"], "two margins in %"),
    ],
)
def test_what_is_no_margin_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(Refused, match=said):
        parse_margins(texts)

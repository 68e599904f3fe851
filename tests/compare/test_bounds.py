import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.compare.bounds import parse_bound
from bench.errors import Refused
from bench.metrics import METRICS


@pytest.mark.parametrize(
    ("text", "metric", "change"),
    [
        ("images_per_second:-5%", "images_per_second", math.log(0.95)),
        ("throughput:-5%", "images_per_second", math.log(0.95)),
        ("epoch_seconds:+10%", "epoch_seconds", math.log(1.10)),
        ("test_accuracy:-1pt", "final_test_accuracy", -0.01),
        ("final_test_accuracy:-0.5pt", "final_test_accuracy", -0.005),
    ],
)
def test_what_a_bound_means(text: str, metric: str, change: float) -> None:
    bound = parse_bound(text)
    assert bound.metric.name == metric
    assert bound.change == pytest.approx(change)
    assert bound.broken_by(bound.change * 1.01)
    assert not bound.broken_by(bound.change * 0.99)
    assert not bound.broken_by(-bound.change)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("images_per_second", "is not METRIC:BOUND"),
        ("images_per_second:5%", "is not METRIC:BOUND"),
        ("images_per_second:-5", "is not METRIC:BOUND"),
        ("images_per_second:-%", "is not METRIC:BOUND"),
        ("images_per_second:-5% ", "is not METRIC:BOUND"),
        ("speed:-5%", "'speed' is not a metric"),
        ("model:-5%", "neither way is better"),
        ("images_per_second:+5%", "would fail on a change for the better"),
        ("epoch_seconds:-5%", "would fail on a change for the better"),
        ("images_per_second:-1pt", "is compared in percent (%)"),
        ("test_accuracy:-1%", "is compared in points (pt)"),
        ("images_per_second:-100%", "nothing can fall by 100 %"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_bound(text)
    assert said in str(refused.value)


@given(st.text(max_size=40))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        bound = parse_bound(text)
    except Refused:
        return
    assert bound.text == text


@given(
    st.sampled_from([m for m in METRICS if m.better]),
    st.integers(1, 99),
)
def test_every_metric_that_has_a_better_way_can_be_bounded(metric, number: int) -> None:
    sign = "-" if metric.better == "higher" else "+"
    unit = "pt" if metric.unit == "fraction" else "%"
    bound = parse_bound(f"{metric.name}:{sign}{number}{unit}")
    assert bound.metric is metric
    assert (bound.change < 0) == (sign == "-")

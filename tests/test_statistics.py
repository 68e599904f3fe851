import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics import Estimate, estimate, median, percentile


@pytest.mark.parametrize(
    ("values", "mean", "half_width"),
    [
        # Student's t for 95 %: 12.7062 with 1 degree of freedom, 4.30265 with 2, 2.77645 with 4
        ([1.0, 3.0], 2.0, 12.7062),
        ([1.0, 2.0, 3.0], 2.0, 2.48414),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 3.0, 1.96324),
    ],
)
def test_the_interval_is_students(values: list[float], mean: float, half_width: float) -> None:
    found = estimate(values)
    assert found.mean == pytest.approx(mean)
    assert found.half_width == pytest.approx(half_width, rel=1e-5)
    assert found.n == len(values)


def test_one_value_has_no_interval() -> None:
    assert estimate([0.7]) == Estimate(0.7, None, 1)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert estimate([0.5, 0.5, 0.5]) == Estimate(0.5, 0.0, 3)


def test_no_values_cannot_be_averaged() -> None:
    with pytest.raises(ValueError, match="no values"):
        estimate([])


def test_the_median_is_not_the_mean() -> None:
    assert median([1.0, 2.0, 300.0]) == 2.0


@pytest.mark.parametrize(("percent", "value"), [(50, 3.0), (25, 2.0), (95, 4.8), (1, 1.04)])
def test_percentiles_are_interpolated(percent: int, value: float) -> None:
    assert percentile([5.0, 1.0, 4.0, 2.0, 3.0], percent) == pytest.approx(value)


def test_any_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 95) == 7.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.integers(1, 99))
def test_a_percentile_lies_among_the_values(values: list[float], percent: int) -> None:
    tiny = 1e-6
    assert min(values) - tiny <= percentile(values, percent) <= max(values) + tiny

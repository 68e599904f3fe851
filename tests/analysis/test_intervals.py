import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.intervals import Estimate, estimate, median, percentile, share_interval, spread


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


def test_a_spread_of_known_values() -> None:
    found = spread([5.0, 1.0, 4.0, 2.0, 3.0, 6.0, 7.0])
    assert (found.n, found.median, found.mean) == (7, 4.0, 4.0)
    assert (found.mad, found.iqr, found.p95) == (2.0, 3.0, pytest.approx(6.7))
    assert found.relative == 0.75
    # Of seven values the least and the largest make an interval of 98.4 %, the next ones of 87.5 %.
    assert (found.low, found.high) == (1.0, 7.0)
    assert found.outliers == ()


def test_few_values_have_no_interval_of_their_median() -> None:
    found = spread([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.low, found.high) == (None, None)


def test_outliers_are_those_beyond_hyperfines_bound() -> None:
    values = [10.0, 10.1, 9.9, 10.0, 10.2, 9.8, 10.1, 9.9]
    # The median is 10 and the MAD 0.1: the bound is 10 ± 14.826 * 0.1.
    assert spread([*values, 11.4]).outliers == ()
    assert spread([*values, 11.6, 8.4]).outliers == (8, 9)


@given(of=st.integers(1, 3_000), data=st.data())
def test_a_share_lies_in_its_interval(of: int, data: st.DataObject) -> None:
    right = data.draw(st.sampled_from([0, of]) | st.integers(0, of))
    low, high = share_interval(right, of)
    assert 0 <= low <= right / of <= high <= 1


def test_values_without_any_spread_have_no_outliers() -> None:
    assert spread([1.0] * 9 + [2.0]).outliers == ()


def test_nothing_cannot_be_described() -> None:
    with pytest.raises(ValueError, match="no values"):
        spread([])


@pytest.mark.parametrize("n", [6, 20, 101])
def test_the_medians_interval_covers_it(n: int) -> None:
    """In at least 95 % of samples of a skewed distribution, within Monte Carlo error."""
    rng = np.random.default_rng(n)
    samples = rng.lognormal(0.0, 0.5, (1000, n))  # its median is 1
    found = [spread(list(sample)) for sample in samples]
    covered = sum(s.low <= 1.0 <= s.high for s in found if s.low is not None and s.high is not None)
    assert covered >= 1000 * 0.95 - 2.6 * (1000 * 0.95 * 0.05) ** 0.5


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_students_interval_covers_the_mean_of_a_few_seeds(n: int) -> None:
    """In 95 % of samples, within Monte Carlo error on both sides."""
    rng = np.random.default_rng(n)
    found = [estimate(list(sample)) for sample in rng.normal(70.0, 2.0, (2000, n))]
    covered = sum(abs(e.mean - 70.0) <= (e.half_width or 0.0) for e in found)
    assert abs(covered - 1900) <= 2.6 * (2000 * 0.95 * 0.05) ** 0.5

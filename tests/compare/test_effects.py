"""The statistics of a comparison: known values, and what simulations say of intervals and power."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.compare.effects import BOOTSTRAP, Effect, effect, exactly, holm, seeds_needed

NOISE = 0.02
"""Of a trial's time, relative: what a quiet machine has from trial to trial."""


def times(rng: np.random.Generator, n: int, ratio: float = 1.0) -> list[float]:
    return [float(t) for t in 10 * ratio * np.exp(NOISE * rng.standard_normal(n))]


def test_pairs_are_students() -> None:
    found = effect([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], paired=True, logs=False)
    # Differences of 1, 2 and 3: mean 2, standard error 1/sqrt(3), t of 2 degrees 4.30265.
    assert found.change == pytest.approx(2.0)
    assert (found.low, found.high) == pytest.approx((2 - 2.48414, 2 + 2.48414), rel=1e-5)
    assert found.p == pytest.approx(float(2 * stats.t.sf(2 * math.sqrt(3), 2)))
    assert (found.n, found.paired, found.exact) == (3, True, False)


def test_ratios_are_of_logarithms() -> None:
    found = effect([10.0, 12.0], [20.0, 23.0], paired=True, logs=True)
    assert found.change == pytest.approx((math.log(2) + math.log(23 / 12)) / 2)


def test_what_was_not_paired_is_welchs() -> None:
    a, b = [1.0, 2.0, 3.0], [2.0, 5.0, 11.0, 8.0]
    found = effect(a, b, paired=False, logs=False)
    expected = stats.ttest_ind(b, a, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.n == 3


def test_one_value_a_side_has_no_interval() -> None:
    for paired in (True, False):
        found = effect([1.0], [2.0], paired=paired, logs=True)
        assert (found.low, found.high, found.p, found.spread) == (None,) * 4
        assert found.change == pytest.approx(math.log(2))


def test_equal_numbers_are_exactly_equal() -> None:
    found = effect([0.5, 0.7], [0.5, 0.7], paired=True, logs=False)
    assert found.exact
    assert (found.change, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_the_same_small_difference_twice_is_no_proof() -> None:
    """Accuracies of few images come in steps: two seeds that both gain one image say little."""
    found = effect([0.50, 0.60], [0.51, 0.61], paired=True, logs=False)
    assert not found.exact
    assert found.low is None


def test_counts_are_exact() -> None:
    found = exactly(100, 50, logs=True)
    assert found.exact
    assert found.change == pytest.approx(math.log(0.5))
    assert exactly(0, 3, logs=True).change == 3


@pytest.mark.parametrize(("a", "b"), [([], [1.0]), ([1.0], []), ([1.0], [1.0, 2.0])])
def test_what_cannot_be_compared(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="no values"):
        effect(a, b, paired=True, logs=False)
    with pytest.raises(ValueError, match="above 0"):
        effect([0.0, 1.0], [1.0, 1.0], paired=True, logs=True)


def within(covered: int, repeats: int, nominal: float) -> bool:
    """Whether a count is what the nominal share gives, but for 2.6 standard errors."""
    return abs(covered - repeats * nominal) <= 2.6 * math.sqrt(repeats * nominal * (1 - nominal))


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_interval_of_a_ratio_covers_it(n: int, paired: bool) -> None:
    """In 95 % of repeats within Monte Carlo error; Welch's may cover more for a few values."""
    rng, repeats, true = np.random.default_rng(n), 800, math.log(1.07)
    covered = 0
    for _ in range(repeats):
        found = effect(times(rng, n), times(rng, n, 1.07), paired=paired, logs=True)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= true <= found.high
    assert within(covered, repeats, 0.95) or (not paired and covered > 0.95 * repeats)


def test_the_bootstrap_covers_from_ten_values_on() -> None:
    """Within two points of 95 % and Monte Carlo error: it is known to cover a little less."""
    rng, repeats, n, true = np.random.default_rng(0), 150, 2 * BOOTSTRAP, math.log(1.07)
    covered = 0
    for _ in range(repeats):
        found = effect(times(rng, n), times(rng, n, 1.07), paired=False, logs=True)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= true <= found.high
    assert covered >= repeats * 0.93 - 2.6 * math.sqrt(repeats * 0.93 * 0.07)


def power(n: int, paired: bool, change: float) -> float:
    """How often Student's test finds a change, by the noncentral t distribution."""
    degrees, scale = (n - 1, math.sqrt(2 / n)) if paired else (2 * n - 2, math.sqrt(2 / n))
    bound, shift = stats.t.ppf(0.975, degrees), change / (NOISE * scale)
    return float(stats.nct.sf(bound, degrees, shift) + stats.nct.cdf(-bound, degrees, shift))


@pytest.mark.parametrize(
    ("n", "paired", "stated"), [(5, False, 0.92), (5, True, 0.82), (3, False, 0.62)]
)
def test_five_percent_are_found_with_the_stated_power(n: int, paired: bool, stated: float) -> None:
    """With 2 % of noise a trial: what the README says."""
    rng, repeats = np.random.default_rng(n), 800
    assert power(n, paired, math.log(1.05)) == pytest.approx(stated, abs=0.01)
    found = sum(
        (effect(times(rng, n), times(rng, n, 1.05), paired=paired, logs=True).p or 0) < 0.05
        for _ in range(repeats)
    )
    # Welch's test, which does not suppose equal noise, finds a little less with three values.
    slack = 0.10 if n == 3 else 0.02
    assert found / repeats >= stated - slack - 2.6 * math.sqrt(stated * (1 - stated) / repeats)
    assert found / repeats <= stated + 2.6 * math.sqrt(stated * (1 - stated) / repeats) + 0.01


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([None, 0.02, None]) == [None, 0.02, None]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1) | st.none(), max_size=8))
def test_a_correction_never_makes_anything_surer(ps: list[float | None]) -> None:
    adjusted = holm(ps)
    for p, q in zip(ps, adjusted, strict=True):
        assert (p is None) == (q is None)
        if p is not None and q is not None:
            assert p <= q <= 1
    known = sorted(
        (p, q) for p, q in zip(ps, adjusted, strict=True) if p is not None and q is not None
    )
    assert [q for _, q in known] == sorted(q for _, q in known)


def test_how_many_seeds_would_tell() -> None:
    found = Effect(0.03, -0.02, 0.08, 0.2, 0.03, 3, paired=True)
    # The interval must be narrower than 0.03: t(n - 1) * 0.03 / sqrt(n) < 0.03 from n = 7 on.
    assert seeds_needed(found, 0.05) == 7
    assert stats.t.ppf(0.975, 6) / math.sqrt(7) < 1 < stats.t.ppf(0.975, 5) / math.sqrt(6)


def test_sometimes_nobody_trains_that_often() -> None:
    assert seeds_needed(Effect(0.001, -1.0, 1.0, 0.9, 0.5, 3, paired=True), 0.002) is None
    assert seeds_needed(Effect(0.1, None, None, None, None, 1, paired=True), 0.05) is None

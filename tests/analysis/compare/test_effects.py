"""Effects: the same figures as by hand, and what must hold whatever the figures are."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.compare.effects import (
    MOST_SEEDS,
    Effect,
    effect,
    expectation,
    holm,
    more_seeds,
)
from bench.analysis.intervals import estimate
from bench.analysis.metrics import BY_NAME

SPEED = BY_NAME["images_per_second"]
ACCURACY = BY_NAME["final_test_accuracy"]
MEMORY = BY_NAME["peak_memory_bytes"]
LOSS = BY_NAME["final_test_loss"]
LARGEST = BY_NAME["max_batch"]

speeds = st.lists(st.floats(1, 1e5), min_size=2, max_size=6)


def seeded(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def test_speeds_are_compared_as_ratios_of_geometric_means() -> None:
    found = effect(SPEED, seeded(100, 400), seeded(300, 1200), paired=False)
    assert found.scale == "ratio"
    assert (found.a, found.b) == (pytest.approx(200), pytest.approx(600))
    assert found.change == pytest.approx(3)


def test_accuracies_are_compared_as_differences() -> None:
    found = effect(ACCURACY, seeded(0.5, 0.7), seeded(0.6, 0.9), paired=False)
    assert found.scale == "difference"
    assert found.change == pytest.approx(0.15)


def test_paired_is_students_interval_of_the_differences() -> None:
    a, b = seeded(0.5, 0.6, 0.7), seeded(0.53, 0.62, 0.77)
    found = effect(ACCURACY, a, b, paired=True)
    wanted = estimate([0.03, 0.02, 0.07])
    assert found.design == "paired"
    assert found.change == pytest.approx(wanted.mean)
    assert found.half_width == pytest.approx(wanted.half_width)


def test_independent_is_welchs_interval() -> None:
    # By hand: variances 1 and 4, n = 3 each; standard error sqrt(5/3), 50/17 degrees of freedom,
    # whose t at 97.5 % is 3.2196.
    a, b = (seeded(*(math.exp(x) for x in xs)) for xs in ((1, 2, 3), (5, 7, 9)))
    found = effect(SPEED, a, b, paired=False)
    assert found.design == "independent"
    assert found.shift == pytest.approx(5)
    assert found.half_width == pytest.approx(3.2196 * math.sqrt(5 / 3), rel=1e-3)
    assert found.low == pytest.approx(math.exp(5 - found.half_width))
    assert found.high == pytest.approx(math.exp(5 + found.half_width))
    assert found.freedom == pytest.approx(25 / 17)
    assert found.spread == pytest.approx(math.sqrt(5))


def test_pairs_are_made_of_the_seeds_that_both_have() -> None:
    a, b = {0: 0.5, 1: 0.6, 2: 0.7, 5: 0.1}, {0: 0.53, 1: 0.62, 2: 0.77, 9: 0.9}
    found = effect(ACCURACY, a, b, paired=True)
    assert (found.seeds_a, found.seeds_b) == (3, 3)
    assert found.change == pytest.approx(0.04)


def test_without_two_common_seeds_nothing_is_paired() -> None:
    found = effect(ACCURACY, {0: 0.5, 1: 0.6}, {1: 0.7, 2: 0.9, 3: 0.8}, paired=True)
    assert found.design == "independent"
    assert (found.seeds_a, found.seeds_b) == (2, 3)


@pytest.mark.parametrize("paired", [True, False])
def test_one_seed_is_too_few(paired: bool) -> None:
    found = effect(SPEED, seeded(100), seeded(200), paired=paired)
    assert (found.design, found.half_width, found.p) == ("too few", None, None)
    assert found.change == pytest.approx(2)


def test_counts_are_exact_even_of_one_seed() -> None:
    assert effect(LARGEST, seeded(100), seeded(200), paired=False).design == "exact"


def test_counts_that_vary_are_not_exact() -> None:
    assert effect(LARGEST, seeded(100, 104), seeded(200, 200), paired=False).p is not None


def test_sizes_are_exact_where_seeds_agree_on_them() -> None:
    assert effect(MEMORY, seeded(8, 8), seeded(9, 9), paired=False).design == "exact"
    assert effect(MEMORY, seeded(8), seeded(9), paired=False).design == "too few"


@pytest.mark.parametrize("paired", [True, False])
def test_three_seeds_may_agree_by_chance_and_four_do_not(paired: bool) -> None:
    designs = [
        effect(ACCURACY, seeded(*[0.5] * n), seeded(*[0.6] * n), paired=paired).design
        for n in (2, 3, 4)
    ]
    assert designs == ["too few", "too few", "exact"]


def test_so_they_do_in_less_than_one_case_of_a_hundred() -> None:
    """Two equal networks that get one or two of 50 images wrong: how often seeds agree on one
    difference other than 0, which is far above the margin, exactly (Poisson's distribution)."""
    for mistakes in (1.0, 2.0):
        chances = stats.skellam.pmf(range(-50, 51), mistakes, mistakes)
        three, four = (sum(chances**n) - chances[50] ** n for n in (3, 4))
        assert three > 0.01
        assert four < 0.01


def test_what_is_the_same_in_each_seed_is_exactly_so() -> None:
    found = effect(ACCURACY, seeded(0.58, 0.62, 0.6), seeded(0.58, 0.62, 0.6), paired=True)
    assert (found.design, found.shift) == ("exact", 0.0)
    assert effect(LOSS, seeded(0.58, 0.62), seeded(0.58, 0.62), paired=True).design == "exact"


def test_two_seeds_may_tie_by_chance() -> None:
    found = effect(ACCURACY, seeded(0.705, 0.72), seeded(0.705, 0.72), paired=True)
    assert (found.design, found.shift) == ("too few", 0.0)


@pytest.mark.parametrize(("a", "b"), [({}, {0: 1.0}), ({0: 1.0}, {}), ({0: 0.0}, {0: 1.0})])
def test_what_cannot_be_compared_is_an_error(a: dict[int, float], b: dict[int, float]) -> None:
    with pytest.raises(ValueError, match=r"no values|no ratio"):
        effect(SPEED, a, b, paired=False)


def test_an_endless_interval_can_be_shown() -> None:
    found = effect(SPEED, seeded(1e-300, 1e300), seeded(1e300, 1e-300), paired=False)
    assert found.high is not None
    assert math.isfinite(found.high)


@given(speeds, speeds, st.floats(0.01, 100))
def test_the_unit_of_a_speed_does_not_matter(a: list[float], b: list[float], factor: float) -> None:
    one = effect(SPEED, seeded(*a), seeded(*b), paired=False)
    scaled = (seeded(*(value * factor for value in values)) for values in (a, b))
    other = effect(SPEED, *scaled, paired=False)
    assert other.change == pytest.approx(one.change, rel=1e-6)


@given(speeds, speeds)
def test_exchanging_the_sides_turns_the_ratio_over(a: list[float], b: list[float]) -> None:
    one = effect(SPEED, seeded(*a), seeded(*b), paired=False)
    other = effect(SPEED, seeded(*b), seeded(*a), paired=False)
    assert other.shift == pytest.approx(-one.shift, abs=1e-9)
    assert other.design == one.design
    if one.half_width is not None:
        assert other.half_width == pytest.approx(one.half_width, rel=1e-6)
        assert other.p == pytest.approx(one.p, rel=1e-6)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holms_corrections_keep_the_order_and_never_help(ps: list[float]) -> None:
    corrected = holm(ps)
    assert all(p <= q <= 1 for p, q in zip(ps, corrected, strict=True))
    assert sorted(corrected) == [corrected[i] for i in sorted(range(len(ps)), key=ps.__getitem__)]
    assert min(corrected) == pytest.approx(min(1, min(ps) * len(ps)))


def unsure(shift: float, spread: float, seeds: int = 3) -> Effect:
    return Effect(
        "difference", "paired", 0.5, 0.5 + shift, shift, seeds, seeds, 1.0, 0.5, spread, 1.0
    )


def test_more_seeds_for_a_plain_difference_are_those_of_the_textbook() -> None:
    # Many seeds: (z(0.975) + z(0.8))² (spread / shift)², Student's t a little above.
    normal = NormalDist()
    wanted = (normal.inv_cdf(0.975) + normal.inv_cdf(0.8)) ** 2 * (0.1 / 0.04) ** 2
    found = more_seeds(unsure(0.04, 0.1), margin=0.01)
    assert found is not None
    assert wanted <= found + 3 <= wanted + 3


def test_more_seeds_can_also_show_that_nothing_differs() -> None:
    assert (more_seeds(unsure(0.0, 0.01), margin=0.01) or 0) < 20


def test_more_comparisons_need_more_seeds() -> None:
    one, many = (more_seeds(unsure(0.04, 0.08), 0.01, count) for count in (1, 20))
    assert one is not None
    assert many is not None
    assert many > one


def test_too_many_seeds_are_not_counted() -> None:
    assert more_seeds(unsure(0.01, 1.0), margin=0.01) is None
    assert MOST_SEEDS == 100


def test_expectation_is_students_prediction_interval() -> None:
    # By hand: t at 97.5 % with 2 degrees of freedom is 4.3027.
    found = expectation([0.91], 0.925, 0.01, 3)
    assert found is not None
    reach = 4.3027 * 0.01 * math.sqrt(1 + 1 / 3)
    assert (found.low, found.high) == (
        pytest.approx(0.925 - reach, abs=1e-6),
        pytest.approx(0.925 + reach, abs=1e-6),
    )
    assert (found.got, found.verdict) == (0.91, "as expected")


@pytest.mark.parametrize(("deviation", "seeds"), [(None, 1), (0.01, 1), (0.0, 3)])
def test_without_spread_nothing_is_expected(deviation: float | None, seeds: int) -> None:
    assert expectation([0.9], 0.9, deviation, seeds) is None


def test_of_no_values_nothing_can_be_judged() -> None:
    with pytest.raises(ValueError, match="no values"):
        expectation([], 0.9, 0.01, 3)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=6),
    st.floats(0, 1),
    st.floats(1e-4, 0.2),
    st.integers(2, 30),
)
def test_expectations_narrow_with_seeds_on_either_side(
    values: list[float], mean: float, deviation: float, seeds: int
) -> None:
    found = expectation(values, mean, deviation, seeds)
    more = expectation(values * 2, mean, deviation, seeds)
    known = expectation(values, mean, deviation, seeds + 1)
    assert found is not None
    assert more is not None
    assert known is not None
    width = found.high - found.low
    assert max(more.high - more.low, known.high - known.low) < width
    assert (found.low + found.high) / 2 == pytest.approx(mean, abs=1e-9)
    sides = {"below": found.got < found.low, "above": found.got > found.high}
    assert [side for side, is_it in sides.items() if is_it] == (
        [] if found.verdict == "as expected" else [found.verdict]
    )

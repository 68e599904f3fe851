"""Means over people and seeds: the same as by hand, and intervals that cover the truth."""

from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.compare.effects import effect
from bench.analysis.compare.verdicts import judge
from bench.analysis.intervals import SeedOf, estimate, pooled
from bench.analysis.metrics import BY_NAME

ACCURACY, SPEED = BY_NAME["final_test_accuracy"], BY_NAME["images_per_second"]

values = st.dictionaries(
    st.builds(SeedOf, st.sampled_from("abcde"), st.integers(0, 4)), st.floats(0, 1), min_size=1
)


def own_seeds(*people: list[float]) -> dict[SeedOf, float]:
    return {
        SeedOf(str(p), 100 * p + s): value
        for p, own in enumerate(people)
        for s, value in enumerate(own)
    }


def test_with_seeds_of_their_own_it_is_students_interval_over_people() -> None:
    people = [[0.5, 0.6, 0.7], [0.4], [0.8, 0.9]]
    found, by_hand = pooled(own_seeds(*people)).estimate, estimate([fmean(p) for p in people])
    assert (found.mean, found.n) == (pytest.approx(by_hand.mean), 3)
    assert found.half_width == pytest.approx(by_hand.half_width)


def test_one_person_or_one_seed_has_no_interval() -> None:
    assert pooled(own_seeds([0.4, 0.5, 0.6])).estimate.half_width is None
    same = {SeedOf(name, 0): 0.5 + k / 100 for k, name in enumerate("abcdef")}
    assert pooled(same).estimate.half_width is None


def test_people_do_not_average_out_the_seeds_that_they_share() -> None:
    seeds = (0.5, 0.6, 0.7)
    few = {SeedOf(str(p), s): v for p in range(3) for s, v in enumerate(seeds)}
    many = {SeedOf(str(p), s): v for p in range(100) for s, v in enumerate(seeds)}
    a, b = (pooled(v).estimate.half_width for v in (few, many))
    assert a == pytest.approx(b)
    assert b == pytest.approx(estimate(seeds).half_width)


@given(values)
def test_whatever_the_figures_are(known: dict[SeedOf, float]) -> None:
    found = pooled(known)
    people = {key.person for key in known}
    means = [fmean(v for k, v in known.items() if k.person == p) for p in people]
    assert found.mean == pytest.approx(fmean(means))
    assert found.people == len(people)
    assert found.from_people >= 0 <= found.from_seeds
    renamed = {SeedOf(key.person + "x", key.seed): v for key, v in known.items()}
    assert pooled(renamed).error == pytest.approx(found.error)
    half_width = found.estimate.half_width
    assert (half_width is not None) == (len(people) > 1 and found.seeds > 1)


SPREADS = [(1.0, 0.0, 1.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (0.3, 1.0, 0.3), (0.1, 0.3, 1.0)]
"""Standard deviations of people, of seeds, and of the rest."""


def drawn(
    chance: np.random.Generator, people: int, seeds: int, spreads: tuple[float, ...], own: bool
) -> dict[SeedOf, float]:
    of_people = chance.normal(0, spreads[0], people)
    of_seeds = chance.normal(0, spreads[1], people * seeds)
    return {
        SeedOf(str(p), seed): of_people[p] + of_seeds[seed] + chance.normal(0, spreads[2])
        for p in range(people)
        for seed in (range(p * seeds, (p + 1) * seeds) if own else range(seeds))
    }


@pytest.mark.parametrize("own", [True, False], ids=["own seeds", "shared seeds"])
@pytest.mark.parametrize("spreads", SPREADS)
def test_intervals_cover_the_truth(spreads: tuple[float, ...], own: bool) -> None:
    chance, covered, times = np.random.default_rng(7), 0, 400
    for _ in range(times):
        found = pooled(drawn(chance, 12, 3, spreads, own)).estimate
        covered += abs(found.mean) <= (found.half_width or 0.0)
    assert covered / times >= 0.92
    if own:
        assert covered / times <= 0.98


@pytest.mark.parametrize("own", [True, False], ids=["own seeds", "shared seeds"])
def test_equal_models_are_rarely_told_apart(own: bool) -> None:
    """Where everybody has the same three seeds, 30 people are not 90 trials."""
    chance, apart, times = np.random.default_rng(11), 0, 300
    for _ in range(times):
        a, b = (drawn(chance, 30, 3, (0.01, 0.02, 0.005), own) for _ in range(2))
        found = effect(ACCURACY, a, b, paired=True)
        apart += found.p is not None and found.p < 0.05
    assert apart / times <= 0.08


def test_effects_say_what_more_is_needed_of() -> None:
    chance = np.random.default_rng(5)
    people = effect(
        ACCURACY, *(drawn(chance, 4, 3, (0.0, 0.0, 0.05), True) for _ in range(2)), paired=True
    )
    assert (people.unit, people.seeds_a) == ("person", 4)
    assert "more people" in judge(ACCURACY, people, 0.5).reason
    seeds = effect(
        ACCURACY, *(drawn(chance, 30, 3, (0.0, 0.05, 0.0), False) for _ in range(2)), paired=True
    )
    assert (seeds.unit, seeds.seeds_a) == ("seed", 3)
    one = effect(ACCURACY, own_seeds([0.5, 0.6]), own_seeds([0.6, 0.6]), paired=True)
    assert judge(ACCURACY, one, None).reason == "1 person; at least 3 a side are needed"


def test_ratios_are_of_the_same_machine() -> None:
    slow = {SeedOf(str(p), s): 10.0**p for p in range(4) for s in range(2)}
    fast = {key: 2.5 * value for key, value in slow.items()}
    found = effect(SPEED, slow, fast, paired=True)
    assert found.change == pytest.approx(2.5)
    assert found.design == "exact"

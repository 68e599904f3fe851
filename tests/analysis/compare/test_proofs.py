"""The statistics keep their promises, on made-up timings whose truth is known.

Noise is a share of a time, as it is on real machines. A share of n repeats is known give or take
three of its standard errors (`room`), beyond which chance alone leads once in 370 tests; the
generators are seeded, so that a test that passes does so always.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.analysis.compare.effects import (
    ALPHA,
    POWER,
    Effect,
    effect,
    expectation,
    holm,
    more_seeds,
    t_interval,
)
from bench.analysis.compare.ranking import rank
from bench.analysis.compare.verdicts import Verdict, judge
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import TrialGroup
from bench.config import Config
from bench.runner.plan import make_plan
from tests.analysis.compare.tables import some_trials
from tests.builders import a_dataset, some_facts

SPEED = BY_NAME["images_per_second"]
REPEATS = 4000
Arrays = tuple[Any, Any]


def room(share: float, repeats: int) -> float:
    """Three standard errors of a share."""
    return 3 * math.sqrt(share * (1 - share) / repeats)


def logs(seeds: int, noise: Sequence[float], shift: float, repeats: int = REPEATS) -> Arrays:
    """Logarithms of two sides' speeds, a row per repeat, that truly differ by `shift`."""
    rng = np.random.default_rng(seeds)
    a, b = (rng.normal(0, size, (repeats, seeds)) for size in noise)
    return a, b + shift


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_paired_intervals_cover_the_truth_95_times_in_100(seeds: int) -> None:
    shift = math.log(1.05)
    a, b = logs(seeds, (0.02, 0.02), shift)
    drift = np.random.default_rng(99).normal(0, 0.2, a.shape)
    half_width, _ = t_interval(a + drift, b + drift, paired=True)
    covered = np.mean(np.abs((b - a).mean(1) - shift) <= half_width)
    assert abs(covered - 0.95) <= room(0.95, REPEATS)


@pytest.mark.parametrize("noise", [(0.02, 0.02), (0.04, 0.01)], ids=["equal", "unequal"])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_independent_intervals_cover_it_too(seeds: int, noise: tuple[float, float]) -> None:
    shift = math.log(1.05)
    a, b = logs(seeds, noise, shift)
    half_width, _ = t_interval(a, b, paired=False)
    covered = np.mean(np.abs(b.mean(1) - a.mean(1) - shift) <= half_width)
    # Welch's degrees of freedom are cautious with few seeds: it may cover more, never less.
    assert 0.94 - room(0.95, REPEATS) <= covered <= 0.98


def test_a_bootstrap_of_five_seeds_would_not() -> None:
    repeats = 150
    a, b = logs(5, (0.02, 0.02), 0.0, repeats)
    found = stats.bootstrap(
        (a, b),
        lambda x, y, axis: y.mean(axis) - x.mean(axis),
        axis=-1,
        n_resamples=999,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    covered = np.mean((found.low <= 0) & (found.high >= 0))
    assert covered < 0.95 - room(0.95, repeats)


def test_a_against_a_is_never_a_winner_in_95_of_100_tables() -> None:
    repeats, lines, seeds = 250, 6, 3
    rng = np.random.default_rng(7)
    false_tables = uncorrected = 0
    for _ in range(repeats):
        effects = []
        for _ in range(lines):
            a, b = (100 * np.exp(rng.normal(0, 0.04, seeds)) for _ in range(2))
            effects.append(effect(SPEED, dict(enumerate(a)), dict(enumerate(b)), paired=False))
        ps = [one.p or 0.0 for one in effects]
        said = [verdict_on(one, p, lines) for one, p in zip(effects, holm(ps), strict=True)]
        false_tables += any(one.apart for one in said)
        uncorrected += min(ps) < ALPHA
    assert false_tables / repeats <= ALPHA + room(ALPHA, repeats)
    # Without the correction for six lines a false winner is in every fifth table.
    assert uncorrected / repeats > 0.12


def verdict_on(one: Effect, p: float, comparisons: int = 1) -> Verdict:
    return judge(SPEED, one, p, comparisons=comparisons)


def test_a_true_difference_is_found_with_the_power_that_was_stated() -> None:
    """5 % under 4 % of noise: as many seeds as are advised find it in 80 of 100 cases."""
    shift, noise = math.log(1.05), 0.04
    unsure = Effect(
        "ratio", "independent", 1.0, 1.05, shift, 3, 3, 1.0, 0.3, noise * math.sqrt(2), 2.0
    )
    advised = more_seeds(unsure, margin=0.0)
    assert advised is not None
    seeds = 3 + advised
    found = share_found(seeds, noise, shift)
    assert found >= POWER - room(POWER, REPEATS)
    assert found <= POWER + 0.05
    assert share_found(seeds // 2, noise, shift) < POWER - 0.1


@pytest.mark.parametrize("shift", [0.0, 0.002, 0.005])
def test_equal_models_are_found_the_same_with_the_power_that_was_stated(shift: float) -> None:
    """Under a point of noise, with a margin of a point: as many seeds as are advised decide."""
    spread, margin = 0.01, 0.01
    unsure = Effect("difference", "paired", 0.6, 0.6 + shift, shift, 3, 3, 0.03, 0.9, spread, 1.0)
    advised = more_seeds(unsure, margin=margin)
    assert advised is not None
    rng = np.random.default_rng(5)
    differences = rng.normal(shift, spread, (REPEATS, 3 + advised))
    half_width, p = t_interval(np.zeros_like(differences), differences, paired=True)
    same = np.abs(differences.mean(axis=-1)) + half_width <= margin
    assert np.mean(same | (p < ALPHA)) >= POWER - room(POWER, REPEATS)


def share_found(seeds: int, noise: float, shift: float) -> float:
    _, p = t_interval(*logs(seeds, (noise, noise), shift), paired=False)
    return float(np.mean(p < ALPHA))


def test_ten_percent_under_the_noise_of_a_quiet_machine_is_found_with_three_seeds() -> None:
    assert share_found(3, 0.01, math.log(0.9)) > 0.99


def simulated(order: Sequence[tuple[str, int]], rng: Any, drift: float) -> list[TrialGroup]:
    """Two models that are equally fast, on a machine that loses speed from trial to trial."""
    speeds: dict[str, dict[int, float]] = {}
    for position, (model, seed) in enumerate(order):
        speed = 100 * math.exp(-drift * position + rng.normal(0, 0.01))
        speeds.setdefault(model, {})[seed] = speed
    return [
        some_trials(model, {"images_per_second": [values[s] for s in sorted(values)]})
        for model, values in speeds.items()
    ]


def false_winners(order: Sequence[tuple[str, int]], drift: float, repeats: int = 120) -> float:
    rng = np.random.default_rng(5)
    tables = [rank(SPEED, simulated(order, rng, drift)) for _ in range(repeats)]
    return sum(len(ranking.winners) == 1 for ranking in tables if ranking) / repeats


@pytest.mark.parametrize("seeds", [3, 4, 5])
def test_a_drifting_machine_makes_no_winner_in_a_runs_order_and_would_in_another(
    seeds: int,
) -> None:
    config = Config(preset="smoke", device="cpu", models=("a", "b"), seeds=seeds)
    plan = make_plan(config, [some_facts("a"), some_facts("b")], a_dataset())
    order = [(trial.model, trial.seed) for trial in plan.trials]
    one_by_one = sorted(order)
    assert order != one_by_one
    assert false_winners(order, drift=0.03) <= ALPHA + room(ALPHA, 120)
    assert false_winners(one_by_one, drift=0.03) > 0.9


def test_a_drift_between_two_runs_is_seen_by_the_calibration() -> None:
    """One run after the other, on a machine that lost 8 % meanwhile."""
    rng = np.random.default_rng(3)
    repeats, claimed = 100, {None: 0, 0.92: 0}
    for _ in range(repeats):
        a, b = (speed * np.exp(rng.normal(0, 0.005, 4)) for speed in (100, 93))
        one = effect(SPEED, dict(enumerate(a)), dict(enumerate(b)), paired=False)
        for machine in claimed:
            claimed[machine] += judge(SPEED, one, one.p, machine=machine).apart
    assert claimed[None] / repeats > 0.9
    assert claimed[0.92] / repeats < 0.1


Draw = Callable[[Any, tuple[int, int]], Any]


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, shape: rng.exponential(0.02, shape),
        lambda rng, shape: rng.normal(0, 0.01, shape) + 0.1 * (rng.random(shape) < 0.05),
    ],
    ids=["only ever slower", "some far off"],
)
def test_noise_that_is_not_normal_makes_no_false_winners(draw: Draw) -> None:
    rng = np.random.default_rng(11)
    for seeds in (3, 5, 10):
        a, b = (draw(rng, (REPEATS, seeds)) for _ in range(2))
        _, p = t_interval(a, b, paired=False)
        assert np.mean(p < ALPHA) <= ALPHA + room(ALPHA, REPEATS)


@pytest.mark.parametrize(("known", "new"), [(2, 1), (3, 1), (3, 3), (5, 2)])
def test_a_new_mean_is_as_expected_95_times_in_100(known: int, new: int) -> None:
    rng, repeats = np.random.default_rng(known), 1500
    as_expected = 0
    for _ in range(repeats):
        old, values = (rng.normal(0.92, 0.003, seeds) for seeds in (known, new))
        found = expectation(values.tolist(), float(old.mean()), float(old.std(ddof=1)), known)
        assert found is not None
        as_expected += found.verdict == "as expected"
    assert abs(as_expected / repeats - 0.95) <= room(0.95, repeats)


def test_a_confidence_interval_would_call_every_third_run_a_miss() -> None:
    """That of the reference's mean does not hold for a new seed, however good the recipe."""
    rng = np.random.default_rng(1)
    old, new = (rng.normal(0, 1, (REPEATS, seeds)) for seeds in (5, 1))
    reach = stats.t.ppf(0.975, 4) * old.std(1, ddof=1) / math.sqrt(5)
    assert np.mean(np.abs(new[:, 0] - old.mean(1)) > reach) > 0.25

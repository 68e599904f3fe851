from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.intervals import best_of
from bench.analysis.tuning import (
    FAILED,
    accuracy_of,
    choose,
    contestants,
    declare,
    point_of,
    setting_at,
    tried,
    value_of,
)
from bench.recipes import RECIPES
from bench.records.records import Record, TrialEnded, TuningDeclared
from bench.records.run import Run, collect
from bench.search_spaces import DECOUPLED, SEARCH_SPACES, Dimension
from bench.settings import OPTIMIZERS, make_setting, space_of
from tests.builders import a_dataset, a_setting, tables_of, tuned_records

DIMENSIONS = [d for space in SEARCH_SPACES.values() for d in space]


def run_of(records: Sequence[Record]) -> Run:
    return collect(Path("somewhere"), records)


def declared_in(run: Run) -> TuningDeclared:
    assert run.tuning_declared is not None
    return run.tuning_declared


def test_every_optimizer_has_a_space_of_the_same_dimensions() -> None:
    names = {tuple(d.name for d in space) for space in SEARCH_SPACES.values()}
    assert SEARCH_SPACES.keys() == {*OPTIMIZERS, DECOUPLED}
    assert names == {("learning_rate", "weight_decay", "warmup", "label_smoothing")}
    assert all(d.source and d.low < d.high and (d.low > 0 or not d.log) for d in DIMENSIONS)


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_a_recipe_takes_lies_in_its_space(recipe: str) -> None:
    setting = make_setting(32, recipe=recipe)
    for dimension in SEARCH_SPACES[space_of(setting)]:
        value = value_of(setting, dimension.name)
        # Without decay, the lowest end of a logarithmic range is as near as it comes.
        assert dimension.low <= value <= dimension.high or value == 0, dimension


@given(st.sampled_from(DIMENSIONS), st.floats(0, 1))
def test_a_value_lies_where_its_share_says(dimension: Dimension, share: float) -> None:
    value = dimension.at(share)
    assert dimension.low * 0.9999 <= value <= dimension.high * 1.0001
    assert dimension.share(value) == pytest.approx(share, abs=1e-3) if value else share < 1e-3


@pytest.mark.parametrize(
    ("value", "edge"),
    [(1.0, "low"), (1.2, "low"), (1.3, None), (10.0, None), (78.0, None), (81.0, "high")],
)
def test_an_edge_is_within_a_twentieth_of_an_end(value: float, edge: str | None) -> None:
    assert Dimension("learning_rate", 1, 100, True, "").edge(value) == edge


def test_nothing_is_below_zero() -> None:
    dimension = Dimension("warmup", 0, 0.3, False, "")
    assert (dimension.edge(0.0), dimension.edge(0.29)) == (None, "high")


def test_points_are_shared_spread_and_always_the_same() -> None:
    eight, five = (declare(n, ["adam", "sgd"], a_dataset()) for n in (8, 5))
    assert eight == declare(8, ["adam", "sgd"], a_dataset())
    assert five.points == eight.points[:5]
    for axis in zip(*eight.points, strict=True):
        # A Sobol sequence has one of eight points in every eighth of every axis.
        assert sorted(int(8 * share) for share in axis) == list(range(8))


@pytest.mark.parametrize("budget", [1, 2, 3, 1024])
def test_there_are_as_many_points_as_the_budget_says(budget: int) -> None:
    assert len(set(declare(budget, ["sgd"], a_dataset()).points)) == budget


def test_a_point_changes_what_its_space_has_and_nothing_else() -> None:
    default = a_setting(optimizer="sgd", augment="crop")
    setting = setting_at(default, SEARCH_SPACES["sgd"], (0.5, 0.5, 0.5, 0.5))
    assert setting.learning_rate == pytest.approx((3e-3 * 1.0) ** 0.5, rel=1e-3)
    assert (setting.warmup, setting.label_smoothing) == (0.15, 0.1)
    own = {"learning_rate": 1.0, "weight_decay": None, "warmup": None, "label_smoothing": None}
    assert replace(setting, **own) == replace(default, **own)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_expected_best_is_the_mean_over_all_subsets(values: list[float]) -> None:
    best = best_of(values)
    assert [b.k for b in best] == list(range(1, len(values) + 1))
    for b in best:
        exact = fmean(max(subset) for subset in combinations(values, b.k))
        assert b.expected == pytest.approx(exact, abs=1e-9)
    assert all(a.expected <= b.expected + 1e-9 for a, b in pairwise(best))


def test_what_is_drawn_without_replacement_is_not_biased() -> None:
    # With replacement, the best of two of (0, 1) would be expected to be 0.75.
    assert [b.expected for b in best_of([0.0, 1.0])] == pytest.approx([0.5, 1.0])


def test_few_points_set_no_upper_end() -> None:
    best = best_of([i / 10 for i in range(8)])
    assert (best[0].low, best[0].high) == (0.0, 0.7)
    assert best[-1].high is None
    assert best[-1].low is not None
    assert best[-1].low <= best[-1].expected


def test_a_thousand_points_are_no_problem() -> None:
    best = best_of([i / 1023 for i in range(1024)])
    assert best[0].expected == pytest.approx(0.5)
    # The best of k uniform values without replacement: k / (k + 1) of n + 1 places.
    assert best[99].expected == pytest.approx((100 / 101 * 1025 - 1) / 1023)


def test_the_best_point_is_chosen_by_validation() -> None:
    run = run_of(tuned_records("sgd", budget=8))
    for contestant in contestants(run):
        choice = run.chosen[contestant]
        points = tried(run, contestant)
        assert [point_of(p.trial) for p in points] == list(range(1, 9))
        assert choice.validation_accuracy == max(map(accuracy_of, points))
        assert choice == choose(run, contestant, declared_in(run))
        assert (choice.tried, choice.failed, choice.edges) == (8, 0, {})


def test_a_failed_point_counts_as_tried_and_is_not_chosen() -> None:
    whole = run_of(tuned_records("sgd", models=["resnet18"], budget=4))
    (contestant,) = contestants(whole)
    best = whole.chosen[contestant].point
    assert best is not None
    run = run_of(tuned_records("sgd", models=["resnet18"], budget=4, failed=[(best, "resnet18")]))
    choice = run.chosen[contestant]
    assert (choice.tried, choice.failed) == (4, 1)
    assert choice.point not in (best, None)
    assert min(map(accuracy_of, tried(run, contestant))) == FAILED


def test_nothing_is_chosen_where_every_point_failed() -> None:
    failed = [(k, "resnet18") for k in (1, 2)]
    run = run_of(tuned_records("adam", models=["resnet18"], budget=2, failed=failed))
    (choice,) = run.chosen.values()
    assert (choice.point, choice.setting, choice.validation_accuracy) == (None, None, None)


def test_the_first_of_equal_points_is_chosen_whatever_the_order_of_the_log() -> None:
    records = tuned_records("adam", models=["resnet18"], budget=2)
    (declared,) = [r for r in records if isinstance(r, TuningDeclared)]
    run = run_of(records)
    (contestant,) = contestants(run)
    for result in tried(run, contestant):
        result.epochs[-1] = replace(result.epochs[-1], validation_accuracy=0.4)
    run._trials = dict(reversed(run._trials.items()))
    assert choose(run, contestant, declared).point == 1


def test_a_value_at_the_end_of_its_range_is_said() -> None:
    run = run_of(tuned_records("adam", models=["resnet18"], budget=2))
    (contestant,) = contestants(run)
    first, _ = tried(run, contestant)
    first.trial = replace(first.trial, setting=replace(first.trial.setting, learning_rate=0.0099))
    first.epochs[-1] = replace(first.epochs[-1], validation_accuracy=0.99)
    assert choose(run, contestant, declared_in(run)).edges["learning_rate"] == "high"


def test_a_point_that_broke_off_is_not_tried_yet() -> None:
    records = tuned_records("adam", models=["resnet18"], budget=2)
    place = next(i for i, r in enumerate(records) if isinstance(r, TrialEnded))
    run = run_of(records[:place])
    assert run.trials
    assert [tried(run, c) for c in contestants(run)] == [[]]


def test_the_table_has_a_row_per_point_and_the_others_have_none_of_them() -> None:
    run = tables_of(Path("x"), tuned_records(budget=4, failed=[(2, "googlenet")]))
    points = run.tuning
    assert len(points) == 2 * 2 * 4
    assert points.groupby(["model", "optimizer"]).chosen.sum().tolist() == [1] * 4
    failed = points[points.status == "failed"]
    assert (failed.model.tolist(), failed.point.tolist()) == (["googlenet"] * 2, [2, 2])
    assert failed.validation_accuracy.isna().all()
    assert failed.reason.tolist() == ["the training loss was nan."] * 2
    assert len(run.models) == 2 * 2 * 2 * 2
    assert set(run.models.tuning) == {"default", "tuned"}
    assert set(run.models.train_images) == {640}
    assert set(run.epochs.tuning) == {"default", "tuned", *(f"point {k}" for k in range(1, 5))}
    assert run.time_to_accuracy.empty

"""Changes of made-up series: what is one, what is none, and that the past does not change."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.compare.verdicts import Margins
from bench.analysis.history.changes import Change, changes_of, check_library
from bench.analysis.history.series import Point, Series
from bench.analysis.intervals import Estimate
from bench.analysis.metrics import BY_NAME
from bench.errors import Refused


def a_series(
    values: Sequence[float],
    metric: str = "epoch_seconds",
    machine: Sequence[float] | None = None,
    where: Sequence[str] | None = None,
) -> Series:
    points = [
        Point(
            at,
            value,
            Estimate(value, None, 1),
            machine[at] if machine else None,
            {"device": where[at] if where else "here"},
        )
        for at, value in enumerate(values)
    ]
    return Series("net", ("net",), BY_NAME[metric], tuple(points))


def noisy(*levels: tuple[int, float], spread: float = 0.01, seed: int = 0) -> list[float]:
    """So many values around each level."""
    means = np.repeat([level for _, level in levels], [count for count, _ in levels])
    rng = np.random.default_rng(seed)
    return [float(v) for v in means * np.exp(rng.normal(0, spread, len(means)))]


def found(*series: Series, **options: Margins) -> list[Change]:
    return changes_of(series, **options)


def places(changes: Sequence[Change]) -> list[tuple[int, int, int]]:
    return [(c.before.at, c.after.at, c.confirmed.at) for c in changes]


def test_a_lasting_step_is_found_placed_and_measured() -> None:
    (change,) = found(a_series(noisy((12, 10.0), (12, 11.0))))
    assert places([change]) == [(11, 12, 14)]
    assert change.regression
    assert change.up
    low, high = change.effect.low, change.effect.high
    assert low is not None
    assert high is not None
    assert low < 1.1 < high
    assert change.effect.seeds_b == 12


@pytest.mark.parametrize(
    ("metric", "up", "regression"),
    [
        ("epoch_seconds", True, True),
        ("epoch_seconds", False, False),
        ("images_per_second", True, False),
        ("images_per_second", False, True),
        ("first_step_seconds", True, False),
    ],
)
def test_which_way_is_worse(metric: str, up: bool, regression: bool) -> None:
    (change,) = found(a_series(noisy((10, 10.0), (10, 12.0 if up else 8.0)), metric))
    assert (change.up, change.regression) == (up, regression)


def test_two_steps_are_two_changes() -> None:
    changes = found(a_series(noisy((10, 10.0), (10, 11.0), (10, 9.0))))
    assert [(c.after.at, c.regression) for c in changes] == [(10, True), (20, False)]
    assert [c.effect.seeds_a for c in changes] == [10, 10]


def test_what_does_not_last_is_no_change() -> None:
    values = noisy((10, 10.0), (2, 13.0), (12, 10.0))
    assert found(a_series(values)) == []
    values[20] *= 3
    assert found(a_series(values)) == []


def test_a_step_below_what_counts_as_the_same_is_none() -> None:
    values = noisy((20, 10.0), (20, 10.3), spread=0.005)
    assert found(a_series(values)) == []
    (change,) = found(a_series(values), margins=Margins(ratio=0.01))
    assert change.after.at == 20


def test_a_faster_machine_is_not_a_faster_commit() -> None:
    values = noisy((10, 10.0), (10, 12.0))
    # The machine itself became slower by as much, or is another one.
    assert found(a_series(values, machine=[1.2] * 10 + [1.0] * 10)) == []
    assert found(a_series(values, where=["here"] * 10 + ["there"] * 10)) == []
    (change,) = found(a_series(values, machine=[1.0] * 20))
    assert change.scaled is not None
    assert change.scaled.change == pytest.approx(change.effect.change)


def test_machines_that_take_turns_hide_nothing() -> None:
    values = noisy((16, 10.0), (16, 12.0))
    values = [v * (1 + at % 2) for at, v in enumerate(values)]
    changes = found(a_series(values, where=["here", "there"] * 16))
    assert sorted(change.after.at for change in changes) == [16, 17]


def test_a_count_changes_at_once_and_an_accuracy_that_repeats_after_four() -> None:
    (count,) = found(a_series([100.0] * 5 + [80.0], "max_batch"))
    assert places([count]) == [(4, 5, 5)]
    accuracies = [0.7] * 5 + [0.65] * 4
    assert found(a_series(accuracies[:-1], "final_test_accuracy")) == []
    (fall,) = found(a_series(accuracies, "final_test_accuracy"))
    assert (fall.regression, fall.effect.change) == (True, pytest.approx(-0.05))


def test_a_count_that_wavers_is_no_change() -> None:
    wavering = [100.0, 100.0, 90.0, 100.0, 91.0, 100.0, 90.0, 100.0, 100.0, 92.0]
    assert found(a_series(wavering, "max_batch")) == []
    lower = [*wavering, *(70.0, 72.0, 71.0)]
    assert [c.after.at for c in found(a_series(lower, "max_batch"))] == [10]


def test_more_series_need_more_evidence() -> None:
    values = noisy((10, 10.0), (5, 10.9), spread=0.035, seed=4)
    still = noisy((15, 10.0), spread=0.035, seed=5)
    alone = found(a_series(values))
    assert len(alone) == 1
    assert found(a_series(values), *(a_series(still) for _ in range(40))) == []


def test_without_the_library_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ruptures", None)
    with pytest.raises(Refused, match="pip install ruptures"):
        check_library()


HISTORIES = st.builds(
    noisy,
    st.tuples(st.integers(1, 12), st.floats(5, 20)),
    st.tuples(st.integers(1, 12), st.floats(5, 20)),
    st.tuples(st.integers(1, 12), st.floats(5, 20)),
    spread=st.sampled_from([0.0, 1e-6, 0.01, 0.05, 0.3]),
    seed=st.integers(0, 1000),
)


@settings(max_examples=40)
@given(HISTORIES, st.sampled_from(["epoch_seconds", "images_per_second"]))
def test_what_is_confirmed_does_not_depend_on_what_comes_later(
    values: list[float], metric: str
) -> None:
    whole = found(a_series(values, metric))
    confirmed = sorted(change.confirmed.at for change in whole)
    for end in range(1, len(values)):
        seen = found(a_series(values[:end], metric))
        assert sorted(c.confirmed.at for c in seen) == [at for at in confirmed if at < end]


@settings(max_examples=40)
@given(HISTORIES, st.floats(1e-3, 1e9))
def test_units_do_not_matter(values: list[float], unit: float) -> None:
    plain, other = found(a_series(values)), found(a_series([v * unit for v in values]))
    assert places(plain) == places(other)


@settings(max_examples=40)
@given(HISTORIES)
def test_places_are_in_order_and_effects_are_of_what_lies_between(values: list[float]) -> None:
    changes = found(a_series(values))
    for change in changes:
        assert change.before.at + 1 == change.after.at
        assert change.verdict.kind in ("better", "worse", "same", "cannot tell")
    for one, other in pairwise(changes):
        assert one.after.at < other.after.at
        assert one.effect.seeds_b == other.effect.seeds_a == other.after.at - one.after.at


@settings(max_examples=20)
@given(st.floats(1e-6, 1e12), st.integers(1, 60))
def test_what_is_always_the_same_never_changed(value: float, count: int) -> None:
    assert found(a_series([value] * count)) == []


def test_points_keep_their_places_where_some_are_missing() -> None:
    whole = a_series(noisy((10, 10.0), (10, 12.0)))
    points = tuple(replace(point, at=3 * point.at) for point in whole.points)
    (change,) = found(replace(whole, points=points))
    assert (change.before.at, change.after.at) == (27, 30)

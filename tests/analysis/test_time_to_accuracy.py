from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.time_to_accuracy import Reached, accuracy_after, epochs_to, reached
from bench.records.records import Epoch
from tests.builders import a_trial, an_epoch

# The builders' epochs take 16, 11, 11, ... seconds with evaluation.
CLOCK = (16.0, 27.0, 38.0, 49.0)


def epochs(*accuracies: float) -> list[Epoch]:
    return [
        replace(an_epoch(a_trial(), number), test_accuracy=accuracy)
        for number, accuracy in enumerate(accuracies, 1)
    ]


@pytest.mark.parametrize(
    ("accuracies", "found"),
    [
        ((0.2, 0.5, 0.4, 0.6), Reached(0.5, 2, 27.0, 4, 49.0)),
        ((0.5, 0.6, 0.7, 0.8), Reached(0.5, 1, 16.0, 1, 16.0)),
        ((0.1, 0.2, 0.3, 0.4), Reached(0.5, None, None, None, None)),
        ((0.1, 0.9, 0.3, 0.4), Reached(0.5, 2, 27.0, None, None)),
    ],
)
def test_first_reached_and_held_since(accuracies: tuple[float, ...], found: Reached) -> None:
    assert reached(epochs(*accuracies), 0.5) == found


def test_nothing_is_reached_without_epochs() -> None:
    assert reached([], 0.5) == Reached(0.5, None, None, None, None)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 1))
def test_held_never_before_first_and_only_if_the_end_is_there(
    accuracies: list[float], target: float
) -> None:
    found = reached(epochs(*accuracies), target)
    assert (found.first_epoch is None) == all(a < target for a in accuracies)
    assert (found.held_epoch is None) == (accuracies[-1] < target)
    if found.held_epoch is not None and found.first_epoch is not None:
        assert found.first_epoch <= found.held_epoch
        assert all(a >= target for a in accuracies[found.held_epoch - 1 :])


@pytest.mark.parametrize(
    ("seconds", "accuracy"), [(15.9, None), (16.0, 0.2), (30.0, 0.5), (1e9, 0.6)]
)
def test_accuracy_after_some_seconds(seconds: float, accuracy: float | None) -> None:
    assert accuracy_after(epochs(0.2, 0.5, 0.4, 0.6), seconds) == accuracy


@pytest.mark.parametrize(
    ("firsts", "found"),
    [
        ([2], 2),
        ([1, 4, 2], 2),
        ([1, 2], 2),  # between two epochs it is not there yet
        ([1, 3, None], 3),
        ([1, None], None),
        ([None, None, 1], None),
        ([], None),
    ],
)
def test_the_median_seed_decides_how_many_epochs_it_takes(
    firsts: list[int | None], found: int | None
) -> None:
    curves = [
        epochs(*(0.6 if first and n >= first else 0.1 for n in range(1, 5))) for first in firsts
    ]
    assert epochs_to(curves, 0.5) == found

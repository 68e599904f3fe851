"""Classes, confusions and calibration, against scipy and against counts by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.classification import (
    BINS,
    class_accuracies,
    classify,
    confused_with,
    most_confused,
    worst_and_best,
)
from bench.analysis.intervals import share_interval
from tests.answers import CAT, DOG, labels_of, some_logits


def sure(answers: list[int], confidence: float, classes: int = 3) -> np.ndarray:
    """Logits of these answers, each given with this confidence."""
    rest = (1 - confidence) / (classes - 1)
    logits = np.full((len(answers), classes), np.log(rest))
    logits[np.arange(len(answers)), answers] = np.log(confidence)
    return logits


def test_confusion_by_hand() -> None:
    answers = classify(sure([0, 1, 1, 2, 2, 2], 0.9), np.array([0, 0, 1, 1, 2, 2]))
    assert answers.confusion.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 2]]
    assert answers.right.tolist() == [True, False, True, False, True, True]
    assert class_accuracies(answers.confusion).tolist() == [0.5, 0.5, 1.0]
    assert (answers.worst_class, answers.worst_accuracy) == (0, 0.5)
    assert worst_and_best(answers.confusion) == (0, 2)
    assert confused_with(answers.confusion, 1) == 2
    assert confused_with(answers.confusion, 2) is None
    assert most_confused(answers.confusion) == (0, 1, 0.5)
    assert most_confused(np.diag([3, 4])) is None


def test_the_most_frequent_mistake_is_that_of_most_images() -> None:
    confusion = np.array([[1, 1, 0], [0, 70, 30], [0, 0, 9]])
    assert most_confused(confusion) == (1, 2, 0.3)


def test_a_class_without_images_has_no_accuracy() -> None:
    answers = classify(sure([0, 2], 0.9), np.array([0, 0]))
    assert np.isnan(class_accuracies(answers.confusion)).tolist() == [False, True, True]
    assert worst_and_best(answers.confusion) == (0, 0)


def test_calibration_error_by_hand() -> None:
    labels = np.zeros(10, dtype=np.int64)
    # Eight of ten right, with confidence 0.8 in one bin: calibrated.
    assert classify(sure([0] * 8 + [1] * 2, 0.8), labels).reliability.ece == pytest.approx(0)
    low = classify(sure([0] * 4 + [1] * 6, 0.8), labels).reliability
    assert low.ece == pytest.approx(0.4)
    assert low.overconfidence == pytest.approx(0.4)
    # Errors of two bins do not cancel each other.
    logits = np.concatenate([sure([0] * 5, 0.5), sure([1] * 5, 0.9)])
    both = classify(logits, labels).reliability
    assert both.ece == pytest.approx((0.5 + 0.9) / 2)
    assert both.overconfidence == pytest.approx((-0.5 + 0.9) / 2)
    assert (low + both).images.sum() == 20
    assert (low + both).ece == pytest.approx((0.5 * 5 + abs(5 * 0.9 + 10 * 0.8 - 4)) / 20)


def test_bins_are_closed_above() -> None:
    images = classify(np.array([[0.0, -1e4], [0.0, 0.0]]), np.array([0, 0])).reliability.images
    assert images[BINS - 1] == 1
    assert images[7] == 1  # 0.5 lies in (7/15, 8/15]
    assert images.sum() == 2


@given(st.integers(1, 200), st.integers(0, 1000), st.floats(-3, 3))
def test_sums_agree(images: int, seed: int, skill: float) -> None:
    logits, labels = some_logits(images, skill, seed), labels_of(images)
    answers = classify(logits, labels)
    assert answers.confusion.sum() == answers.reliability.images.sum() == images
    assert answers.confusion.trace() == answers.reliability.right.sum() == answers.right.sum()
    assert answers.right.sum() == (logits.argmax(1) == labels).sum()
    # Moving all logits of an image changes nothing.
    moved = classify(logits.astype(float) + 3, labels).reliability
    assert moved.ece == pytest.approx(answers.reliability.ece)
    assert 0 <= answers.reliability.ece <= 1
    assert abs(answers.reliability.overconfidence) <= answers.reliability.ece + 1e-12


def test_what_is_hard_comes_out() -> None:
    answers = classify(some_logits(2000, 2.0, 0), labels_of(2000))
    assert answers.worst_class == CAT
    of, taken_for, _ = most_confused(answers.confusion) or (0, 0, 0.0)
    assert (of, taken_for) == (CAT, DOG)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_are_scipys(counts: tuple[int, int]) -> None:
    right, images = counts
    expected = stats.binomtest(right, images).proportion_ci(0.95, method="wilson")
    low, high = share_interval(np.array([right]), np.array([images]))
    assert low[0] == pytest.approx(expected.low, abs=1e-12)
    assert high[0] == pytest.approx(expected.high, abs=1e-12)

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.data import shapes10

FROZEN = "e5ca277558c2297a33e409b38d32b1a29fc41d9696ec28b5a8db801e9ebf0ab3"

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Colours = NDArray[np.float64]


@pytest.fixture(scope="module")
def train() -> tuple[Images, Labels]:
    return shapes10.train_set()


@pytest.fixture(scope="module")
def test() -> tuple[Images, Labels]:
    return shapes10.test_set()


def digest(images: Images, labels: Labels) -> str:
    return hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest()


def mean_colours(images: Images) -> Colours:
    return np.asarray(images.mean(axis=(1, 2)))


def test_pixels_change_only_with_the_version() -> None:
    assert (shapes10.VERSION, digest(*shapes10.generate(30, seed=7))) == (1, FROZEN)


def test_ten_distinct_names() -> None:
    assert len(set(shapes10.CLASSES)) == 10


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 200), st.integers(0, 2**64 - 1))
def test_any_count_and_seed(count: int, seed: int) -> None:
    images, labels = shapes10.generate(count, seed)
    again, labels_again = shapes10.generate(count, seed)
    assert images.shape == (count, 32, 32, 3)
    assert labels.shape == (count,)
    assert images.dtype == np.dtype(np.uint8)
    assert labels.dtype == np.dtype(np.int64)
    assert np.ptp(np.bincount(labels, minlength=10)) <= 1
    assert images.flags.c_contiguous
    assert np.array_equal(images, again)
    assert np.array_equal(labels, labels_again)


def test_seeds_differ() -> None:
    assert not np.array_equal(shapes10.generate(20, 1)[0], shapes10.generate(20, 2)[0])


def test_sets_are_of_the_size_asked_for(
    train: tuple[Images, Labels], test: tuple[Images, Labels]
) -> None:
    assert np.bincount(train[1]).tolist() == [1000] * 10
    assert np.bincount(test[1]).tolist() == [200] * 10
    assert len(shapes10.train_set(15)[0]) == len(shapes10.test_set(15)[1]) == 15


def test_no_image_comes_twice(train: tuple[Images, Labels], test: tuple[Images, Labels]) -> None:
    distinct = {image.tobytes() for images, _ in (train, test) for image in images}
    assert len(distinct) == 12_000


def test_labels_are_in_no_order(train: tuple[Images, Labels]) -> None:
    labels = train[1]
    assert np.all(np.bincount(labels[:1000], minlength=10) > 50)
    assert 0.05 < np.mean(labels[1:] == labels[:-1]) < 0.15


@pytest.mark.parametrize("label", range(10), ids=shapes10.CLASSES)
def test_every_class_varies(label: int, test: tuple[Images, Labels]) -> None:
    images = test[0][test[1] == label].astype(np.float64)
    assert images.std(axis=0).min() > 20
    assert images.std(axis=(1, 2)).min() > 2


def nearest(known: Colours, labels: Labels, asked: Colours) -> Labels:
    centres = np.stack([known[labels == label].mean(axis=0) for label in range(10)])
    return np.asarray(np.linalg.norm(asked[:, None] - centres, axis=2).argmin(axis=1))


def linear(known: Colours, labels: Labels, asked: Colours) -> Labels:
    known, asked = (np.column_stack((colours, np.ones(len(colours)))) for colours in (known, asked))
    weights, *_ = np.linalg.lstsq(known, np.eye(10)[labels], rcond=None)
    return np.asarray((asked @ weights).argmax(axis=1))


@pytest.mark.parametrize("classify", [nearest, linear])
def test_mean_colour_does_not_tell_the_class(
    classify: Callable[[Colours, Labels, Colours], Labels],
    train: tuple[Images, Labels],
    test: tuple[Images, Labels],
) -> None:
    guesses = classify(mean_colours(train[0]), train[1], mean_colours(test[0]))
    assert np.mean(guesses == test[1]) < 0.2

"""What a network got right and wrong on the test images: pure functions over logits and labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

BINS = 15
"""Bins of equal width for the expected calibration error, as many as Guo et al. take."""

Counts = NDArray[Any]
"""Numbers of images; also their means over seeds."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """The images by confidence, the probability of the class that was answered, in bins of equal
    width: bin b holds what is above b / BINS and at most (b + 1) / BINS. For each bin: its
    `images`, how many are `right`, and the sum of their `confidence`."""

    images: Counts
    right: Counts
    confidence: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """The expected calibration error: the distance between accuracy and mean confidence of a
        bin, averaged over the images (Guo et al., *On Calibration of Modern Neural Networks*, 2017,
        equation 3). Of few images, chance alone makes it larger."""
        return float(np.abs(self.right - self.confidence).sum() / self.images.sum())

    @property
    def overconfidence(self) -> float:
        """Mean confidence minus accuracy."""
        return float((self.confidence - self.right).sum() / self.images.sum())

    def __add__(self, other: "Reliability") -> "Reliability":
        """Both together."""
        return Reliability(
            self.images + other.images,
            self.right + other.right,
            self.confidence + other.confidence,
        )


@dataclass(frozen=True, eq=False)
class Classification:
    """A trained network's answers: `right` (images,), whether each is; `confusion` (classes,
    classes), how many images of a class (row) were taken for which (column)."""

    right: NDArray[np.bool_]
    confusion: Counts
    reliability: Reliability

    @property
    def worst_class(self) -> int:
        """The class with the lowest accuracy."""
        return worst_and_best(self.confusion)[0]

    @property
    def worst_accuracy(self) -> float:
        """The accuracy in that class."""
        return float(class_accuracies(self.confusion)[self.worst_class])


def classify(logits: NDArray[Any], labels: NDArray[np.int64]) -> Classification:
    """What a network answered, from its logits (images, classes) and the labels (images,). Of equal
    logits, the first counts."""
    scores = logits.astype(np.float64)
    classes = scores.shape[1]
    answers = scores.argmax(axis=1)
    right = answers == labels
    confidence = special.softmax(scores, axis=1).max(axis=1)
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    reliability = Reliability(
        np.bincount(bins, minlength=BINS),
        np.bincount(bins[right], minlength=BINS),
        np.bincount(bins, weights=confidence, minlength=BINS).astype(np.float64),
    )
    pairs = np.bincount(labels * classes + answers, minlength=classes**2)
    return Classification(right, pairs.reshape(classes, classes), reliability)


def class_accuracies(confusion: Counts) -> NDArray[np.float64]:
    """The accuracy in each class, (classes,); not-a-number where it has no images."""
    images = confusion.sum(axis=1)
    return np.where(images > 0, confusion.diagonal() / np.maximum(images, 1), np.nan)


def worst_and_best(confusion: Counts) -> tuple[int, int]:
    """The classes with the lowest and the highest accuracy; of equal ones, the first."""
    accuracies = class_accuracies(confusion)
    return int(np.nanargmin(accuracies)), int(np.nanargmax(accuracies))


def confused_with(confusion: Counts, of: int) -> int | None:
    """The class that most images of a class are wrongly taken for; None if all are right."""
    others = confusion[of].copy()
    others[of] = 0
    return int(others.argmax()) if others.any() else None


def most_confused(confusion: Counts) -> tuple[int, int, float] | None:
    """The class of which most images are taken for one other class, that class, and what share of
    its images these are; None where everything is right."""
    mistakes = confusion.copy()
    np.fill_diagonal(mistakes, 0)
    of, taken_for = np.unravel_index(mistakes.argmax(), mistakes.shape)
    share = float(mistakes[of, taken_for] / max(1, confusion[of].sum()))
    return (int(of), int(taken_for), share) if share else None

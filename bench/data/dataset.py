"""A data set before it is prepared: arrays, or files that are not read yet."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Arrays:
    """Images (count, side, side, 3) uint8 and labels (count,) int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def take(self, indices: NDArray[np.int64]) -> "Arrays":
        """The images at `indices`, in that order."""
        return Arrays(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Files:
    """Image files and their labels (count,) int64."""

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]

    def take(self, indices: NDArray[np.int64]) -> "Files":
        """The files at `indices`, in that order."""
        return Files(tuple(self.paths[i] for i in indices), self.labels[indices])


@dataclass(frozen=True)
class Packed:
    """Images that are not read yet from the `files` that hold them all, or not generated yet.

    The same bytes in the files and the same `version` of what reads them give the same arrays.
    """

    files: tuple[Path, ...]
    version: str
    read: Callable[[], Arrays]


Split = Arrays | Files


@dataclass(frozen=True)
class Source:
    """A data set. `mean` and `std` are those published for its training images, or None."""

    name: str
    classes: tuple[str, ...]
    train: Split | Packed
    test: Split | Packed
    mean: Channels | None = None
    std: Channels | None = None
    notes: tuple[str, ...] = ()


SPLIT_SEED = 1
"""Which images are for validation is drawn from this seed, whatever the seed of a trial."""


def balanced_subset(labels: NDArray[np.int64], limit: int, seed: int = 0) -> NDArray[np.int64]:
    """Indices of `limit` items in random order, with classes as equally frequent as possible.

    Each class is shuffled, and classes take turns until the limit; the same arguments give the same
    indices. All indices in ascending order if the limit is not below their number.
    """
    if limit >= len(labels):
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    turn = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        turn[members] = np.arange(len(members))
    taken = shuffled[np.argsort(turn[shuffled], kind="stable")][:limit]
    return np.asarray(rng.permutation(taken))


def stratified_subset(
    labels: NDArray[np.int64], count: int, seed: int = SPLIT_SEED
) -> NDArray[np.int64]:
    """Indices, ascending, of `count` random items with classes as frequent as among all of them.

    Shares are rounded by the method of Webster and Sainte-Laguë, but no class is left out, and of
    none is everything taken: that takes two items of each class, and a `count` that leaves room.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
        place[members[0]], place[members[-1]] = 0, 1
    return np.sort(shuffled[np.argsort(place[shuffled], kind="stable")][:count])

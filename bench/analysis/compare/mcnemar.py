"""Whether two trained networks differ on the same test images: pure.

This is of two networks, each trained once. That another seed would give another network it leaves
out, so it says nothing of architectures: `bench.analysis.compare.effects` does, from several seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.analysis.compare.effects import ALPHA, holm


@dataclass(frozen=True)
class SameImages:
    """Two trained networks on the same images: how many only `a` or only `b` gets right, and the
    probability `p` that so uneven a split, or a more uneven one, is chance."""

    a: str
    b: str
    images: int
    only_a: int
    only_b: int
    p: float

    @property
    def apart(self) -> bool:
        """Whether these two networks, not their architectures, differ beyond chance in the choice
        of images."""
        return self.p < ALPHA


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> tuple[int, int, float]:
    """How many images only `a` gets right, only `b`, and p: McNemar's test, exact (Q. McNemar,
    1947). Where both are right or both wrong, nothing tells them apart; of the other images, each
    is right on half if they are equally good.

    Args:
        a: whether a network is right, (images,).
        b: the same of another, in the same order.
    """
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if not only_a + only_b:
        return 0, 0, 1.0
    return only_a, only_b, float(stats.binomtest(only_a, only_a + only_b).pvalue)


def on_same_images(right: Mapping[str, NDArray[np.bool_]]) -> list[SameImages]:
    """Every two of these networks, by their labels; p is corrected for the number of pairs."""
    pairs = [
        SameImages(a, b, len(right[a]), *mcnemar(right[a], right[b]))
        for a, b in combinations(right, 2)
    ]
    corrected = holm([pair.p for pair in pairs])
    return [replace(pair, p=p) for pair, p in zip(pairs, corrected, strict=True)]

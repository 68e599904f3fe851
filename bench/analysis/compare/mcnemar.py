"""Whether two trained networks differ on the same test images: pure.

This is of two networks, each trained once. That another seed would give another network it leaves
out, so it says nothing of architectures: `bench.analysis.compare.effects` does, from several seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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


def on_same_images(right: Mapping[str, NDArray[np.bool_]]) -> list[SameImages]:
    """Every two of these networks, by their labels: McNemar's test, exact (Q. McNemar, 1947). Where
    both are right or both wrong, nothing tells them apart; of the other images, each is right on
    half if they are equally good. p is corrected for the number of pairs.

    Args:
        right: whether each network is right, (images,), in the same order for all.
    """
    pairs = list(combinations(right, 2))
    if not pairs:
        return []
    answers = np.stack(list(right.values())).astype(np.float32)
    only = (answers @ (1 - answers).T).astype(int)  # [a, b]: right are a and not b
    first, second = np.triu_indices(len(right), 1)
    only_a, only_b = only[first, second], only[second, first]
    # Both tails of a binomial with one half; scipy's binomtest gives the same, pair by pair.
    ps = np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(only_a, only_b), only_a + only_b, 0.5))
    figures = zip(only_a.tolist(), only_b.tolist(), holm(ps.tolist()), strict=True)
    images = answers.shape[1]
    return [
        SameImages(a, b, images, only_a, only_b, p)
        for (a, b), (only_a, only_b, p) in zip(pairs, figures, strict=True)
    ]

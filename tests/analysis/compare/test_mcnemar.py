"""Two networks on the same images, against scipy's binomial test."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.compare.effects import ALPHA, holm
from bench.analysis.compare.mcnemar import on_same_images


@given(st.integers(0, 6), st.integers(1, 60), st.randoms(use_true_random=False))
def test_it_is_the_exact_binomial_test_with_holms_correction(networks, images, random) -> None:
    right = {
        f"n{i}": np.array([random.random() < 0.3 + 0.1 * i for _ in range(images)])
        for i in range(networks)
    }
    found = on_same_images(right)
    assert [(pair.a, pair.b) for pair in found] == list(combinations(right, 2))
    ps = []
    for pair in found:
        only_a = int((right[pair.a] & ~right[pair.b]).sum())
        only_b = int((right[pair.b] & ~right[pair.a]).sum())
        assert (pair.only_a, pair.only_b, pair.images) == (only_a, only_b, images)
        differing = only_a + only_b
        ps.append(stats.binomtest(only_a, differing).pvalue if differing else 1.0)
    assert [pair.p for pair in found] == pytest.approx(holm(ps))
    assert [pair.apart for pair in found] == [p < ALPHA for p in holm(ps)]


def test_by_hand() -> None:
    a, b = np.array([True] * 6 + [False]), np.array([False] * 6 + [False])
    (pair,) = on_same_images({"a": a, "b": b})
    assert (pair.only_a, pair.only_b) == (6, 0)
    assert pair.p == pytest.approx(2 / 2**6)
    assert pair.apart
    (pair,) = on_same_images({"a": a[1:], "b": b[1:]})
    assert pair.p == pytest.approx(2 / 2**5)
    assert not pair.apart


def test_equally_good_networks_are_told_apart_no_more_often_than_it_says() -> None:
    rng = np.random.default_rng(0)
    runs = [on_same_images({name: rng.random(500) < 0.7 for name in "abc"}) for _ in range(400)]
    assert sum(any(pair.apart for pair in run) for run in runs) / 400 <= 0.07

"""How often 95 % intervals of a difference hold the truth, and how wide they are, with few seeds and
several contestants, for ways to borrow strength across contestants.

    python tests/benchmarks/few_seeds.py [RUNS]

Each run: contestants with normal noise of their own standard deviation, every pair compared. The
worst contestant is the one whose pairs are covered least often. `docs/decisions.md` has the result.
"""

import sys
from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Array = NDArray[np.float64]
Way = Callable[[Array, int], tuple[Array, Array]]
"""Variances (runs, contestants), each over so many seeds, to those used and their degrees of
freedom."""


def own(var: Array, seeds: int) -> tuple[Array, Array]:
    """Each contestant's own: Welch's t, with Satterthwaite's degrees of freedom."""
    return var, np.full_like(var, seeds - 1.0)


def pooled(var: Array, seeds: int) -> tuple[Array, Array]:
    """One variance for all."""
    mean = np.broadcast_to(var.mean(1, keepdims=True), var.shape)
    return mean, np.full_like(var, var.shape[1] * (seeds - 1.0))


def pooled_after_test(var: Array, seeds: int) -> tuple[Array, Array]:
    """One variance for all where Bartlett's test (1937) at 25 % does not reject that."""
    k, d = var.shape[1], seeds - 1.0
    statistic = k * d * np.log(var.mean(1)) - d * np.log(var).sum(1)
    p = stats.chi2.sf(statistic / (1 + (k + 1) / (3 * k * d)), k - 1)
    return tuple(  # type: ignore[return-value]
        np.where((p > 0.25)[:, None], a, b)
        for a, b in zip(pooled(var, seeds), own(var, seeds), strict=True)
    )


def prior(var: Array, seeds: int) -> tuple[Array, Array]:
    """d0 and s0^2 (runs, 1) by the moments of log s^2 (G. K. Smyth, 2004, section 6.2)."""
    half, k = (seeds - 1.0) / 2, var.shape[1]
    e = np.log(var) - special.digamma(half) + np.log(half)
    excess = ((e - e.mean(1, keepdims=True)) ** 2).sum(1) / (k - 1) - special.polygamma(1, half)
    d0 = np.array([2 * trigamma_inverse(x) if x > 0 else np.inf for x in excess])[:, None]
    finite = np.minimum(d0, 1e6) / 2
    return d0, np.exp(e.mean(1, keepdims=True) + special.digamma(finite) - np.log(finite))


def trigamma_inverse(value: float) -> float:
    """The x with trigamma(x) = value."""
    at = lambda log_x: special.polygamma(1, np.exp(log_x)) - value  # noqa: E731
    return float(np.exp(optimize.brentq(at, -12, 16))) if value > 1.2e-7 else 1e7


def moderated(var: Array, seeds: int, most: float = np.inf) -> tuple[Array, Array]:
    """Posterior variances, (d0 s0^2 + d s^2) / (d0 + d); d0 at most `most`."""
    d0, s02 = prior(var, seeds)
    d0, d = np.minimum(d0, min(most, 1e6)), seeds - 1.0
    posterior = (d0 * s02 + d * var) / (d0 + d)
    # No more than all contestants together have (as limma does).
    return posterior, np.minimum(np.broadcast_to(d0 + d, var.shape), var.shape[1] * d)


WAYS: dict[str, Way] = {
    "own (Welch)": own,
    "pooled": pooled,
    "pooled after a test": pooled_after_test,
    "moderated": moderated,
    "moderated, d0 at most 2": lambda var, seeds: moderated(var, seeds, 2.0),
}

SPREADS: dict[str, Callable[[int], Array]] = {
    "equal": lambda k: np.ones(k),
    "1 to 2": lambda k: np.geomspace(1, 2, k),
    "1 to 4": lambda k: np.geomspace(1, 4, k),
    "one of 4": lambda k: np.where(np.arange(k) == k - 1, 4.0, 1.0),
    "one of 1/4": lambda k: np.where(np.arange(k) == k - 1, 0.25, 1.0),
}
"""Standard deviations of so many contestants."""


def covered(way: Way, sd: Array, seeds: int, runs: int) -> tuple[Array, float]:
    """The share of runs in which the interval of each pair holds the truth (pairs,), and the median
    half-width over all, in standard errors of the truth."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, sd[:, None], (runs, len(sd), seeds))
    means, (var, freedom) = values.mean(2), way(values.var(2, ddof=1), seeds)
    shares, widths = [], []
    for i, j in combinations(range(len(sd)), 2):
        a, b = var[:, i] / seeds, var[:, j] / seeds
        if way in (pooled,):
            degrees = freedom[:, i]
        else:
            degrees = (a + b) ** 2 / (a**2 / freedom[:, i] + b**2 / freedom[:, j])
        half = stats.t.ppf(0.975, degrees) * np.sqrt(a + b)
        shares.append((np.abs(means[:, i] - means[:, j]) <= half).mean())
        widths.append(np.median(half) / np.sqrt((sd[i] ** 2 + sd[j] ** 2) / seeds))
    return np.array(shares), float(np.mean(widths))


def worst_contestant(shares: Array, contestants: int) -> float:
    """The mean coverage of the pairs of the contestant for which it is farthest from 95 %."""
    pairs = list(combinations(range(contestants), 2))
    each = [
        np.mean([s for s, pair in zip(shares, pairs, strict=True) if k in pair])
        for k in range(contestants)
    ]
    return float(max(each, key=lambda share: abs(share - 0.95)))


def main() -> None:
    """Print a row per way, number of seeds, of contestants, and spread."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print("way                      seeds  contestants  spread       mean  worst  pair  width")
    for name, way in WAYS.items():
        for seeds in (2, 3, 5):
            for contestants in (3, 5, 8):
                for spread, sds in SPREADS.items():
                    shares, width = covered(way, sds(contestants), seeds, runs)
                    worst = worst_contestant(shares, contestants)
                    print(
                        f"{name:24} {seeds:5}  {contestants:11}  {spread:11} "
                        f"{shares.mean():6.1%} {worst:6.1%} {shares.min():6.1%} {width:5.2f}"
                    )


if __name__ == "__main__":
    main()

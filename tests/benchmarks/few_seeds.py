"""How often 95 % intervals of a difference hold the truth, and how much they can tell, with few
seeds and several contestants, for ways to borrow strength across contestants.

    python tests/benchmarks/few_seeds.py [RUNS]

In each run, contestants have normal noise with standard deviations of their own, and every two are
compared. Coverage is shown over all pairs, and for the contestant whose pairs are farthest from
95 %. What it came to is in `docs/decisions.md`.
"""

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]

Way = Callable[[Array], tuple[Array, Array]]
"""Values (runs, contestants, seeds), to the variance of the difference of each two contestants in a
single seed, and its degrees of freedom; both (runs, pairs) or (runs, 1)."""

SEEDS, CONTESTANTS = (2, 3, 4, 5), (3, 5, 8)

SPREADS: dict[str, Callable[[int], Array]] = {
    "equal": np.ones,
    "1 to 2": lambda k: np.geomspace(1, 2, k),
    "1 to 4": lambda k: np.geomspace(1, 4, k),
    "one four times as wide": lambda k: np.where(np.arange(k) == 0, 4.0, 1.0),
    "one a quarter as wide": lambda k: np.where(np.arange(k) == 0, 0.25, 1.0),
}
"""Standard deviations of so many contestants."""


def pairs(contestants: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    first, second = np.triu_indices(contestants, 1)
    return first, second


def paired(values: Array) -> tuple[Array, Array]:
    """Student's t of the differences."""
    first, second = pairs(values.shape[1])
    var = (values[:, first] - values[:, second]).var(2, ddof=1)
    return var, np.full_like(var, values.shape[2] - 1)


def _both(var: Array, freedom: Array) -> tuple[Array, Array]:
    """Two contestants' variances as one, with Satterthwaite's degrees of freedom."""
    (a, b), (f, g) = ([x[:, side] for side in pairs(var.shape[1])] for x in (var, freedom))
    return a + b, (a + b) ** 2 / (a**2 / f + b**2 / g)


def welch(values: Array) -> tuple[Array, Array]:
    """Each contestant's own variance."""
    var = values.var(2, ddof=1)
    return _both(var, np.full_like(var, values.shape[2] - 1))


def pooled(values: Array) -> tuple[Array, Array]:
    """One variance for all contestants."""
    var, seeds = values.var(2, ddof=1), values.shape[2]
    return 2 * var.mean(1, keepdims=True), np.full((len(var), 1), var.shape[1] * (seeds - 1.0))


def pooled_after_test(values: Array) -> tuple[Array, Array]:
    """One variance for all where Bartlett's test (1937), at 25 %, finds no difference."""
    var, d = values.var(2, ddof=1), values.shape[2] - 1
    k = var.shape[1]
    statistic = d * (k * np.log(var.mean(1)) - np.log(var).sum(1)) / (1 + (k + 1) / (3 * k * d))
    alike = (stats.chi2.sf(statistic, k - 1) > 0.25)[:, None]
    (a, f), (b, g) = pooled(values), welch(values)
    return np.where(alike, a, b), np.where(alike, f, g)


def moderated(var: Array, d: int, most: float = np.inf) -> tuple[Array, Array]:
    """Variances (runs, groups) of `d` degrees of freedom each, drawn to a common one: empirical
    Bayes (G. K. Smyth, 2004), the prior by the moments of log s^2, of `most` degrees of freedom at
    most."""
    logs = np.log(var) - special.digamma(d / 2) + np.log(d / 2)
    middle = logs.mean(1, keepdims=True)
    excess = logs.var(1, ddof=1, keepdims=True) - special.polygamma(1, d / 2)
    d0 = 2 * trigamma_inverse(np.maximum(excess, 1e-4))
    prior = np.exp(middle + special.digamma(d0 / 2) - np.log(d0 / 2))
    d0 = np.minimum(d0, most)
    freedom = np.minimum(d0 + d, var.shape[1] * d)  # no more than all groups have, as in limma
    return (d0 * prior + d * var) / (d0 + d), np.broadcast_to(freedom, var.shape)


def trigamma_inverse(x: Array) -> Array:
    """The y with trigamma(y) = x, by Newton's method (Smyth, appendix)."""
    y = 0.5 + 1 / x
    for _ in range(30):
        trigamma = special.polygamma(1, y)
        y = y + trigamma * (1 - trigamma / x) / special.polygamma(2, y)
    return y


def moderated_contestants(values: Array, most: float = np.inf) -> tuple[Array, Array]:
    """Moderated variances of the contestants."""
    return _both(*moderated(values.var(2, ddof=1), values.shape[2] - 1, most))


def moderated_pairs(values: Array, most: float = np.inf) -> tuple[Array, Array]:
    """Moderated variances of the paired differences."""
    return moderated(paired(values)[0], values.shape[2] - 1, most)


WAYS: dict[str, Way] = {
    "paired t": paired,
    "Welch's t": welch,
    "pooled": pooled,
    "pooled after Bartlett's test": pooled_after_test,
    "moderated, contestants": moderated_contestants,
    "the same, prior of 1 degree at most": lambda values: moderated_contestants(values, 1.0),
    "moderated, differences": moderated_pairs,
    "the same, prior of 1 degree at most ": lambda values: moderated_pairs(values, 1.0),
}


def simulated(way: Way, sd: Array, seeds: int, runs: int) -> tuple[float, float, float]:
    """Coverage over all pairs; that of the contestant which is farthest from 95 %; and the shift,
    in standard deviations of a difference, that is told from nothing in 80 % of the cases."""
    values = np.random.default_rng(0).normal(0, sd[:, None], (runs, len(sd), seeds))
    first, second = pairs(len(sd))
    means = values.mean(2)
    shift, (var, freedom) = means[:, first] - means[:, second], way(values)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(var / seeds)
    held = (np.abs(shift) <= half).mean(0)
    each = [held[(first == k) | (second == k)].mean() for k in range(len(sd))]
    scale = np.sqrt(sd[first] ** 2 + sd[second] ** 2)
    told = np.quantile((half - shift) / scale, 0.8)
    return float(held.mean()), float(max(each, key=lambda x: abs(x - 0.95))), float(told)


def main() -> None:
    """Print a row per way and number of seeds."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    alone = [simulated(paired, np.ones(3), n, runs)[2] for n in range(2, 31)]
    print(f"{'':38} coverage, {', '.join(SPREADS)}: mean (worst contestant)")
    for name, way in WAYS.items():
        for seeds in SEEDS:
            cells, as_many = [], []
            for spread in SPREADS.values():
                found = [simulated(way, spread(k), seeds, runs) for k in CONTESTANTS]
                mean, worst = (
                    max((x[i] for x in found), key=lambda x: abs(x - 0.95)) for i in (0, 1)
                )
                cells.append(f"{mean * 100:5.1f} ({worst * 100:.1f})")
                as_many.append([np.interp(-x[2], [-a for a in alone], range(2, 31)) for x in found])
            equal = ", ".join(f"{n:.1f}" for n in as_many[0])
            print(
                f"{name:38} {seeds} seeds: {' '.join(cells)}; as paired t with {equal}", flush=True
            )


if __name__ == "__main__":
    main()

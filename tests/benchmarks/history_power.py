"""How well a history tells a lasting step from noise, simulated with what it really runs.

`python tests/benchmarks/history_power.py` in the repository's root. Every row is of `--histories`
made-up histories of 50 commits: each run has `seeds` trials that spread by 5 % around their run's
mean, and the means of runs spread by 5 % (standard deviations of normal logarithms). A commit has
one run or several, which are one point. The history is asked for after every commit, as CI does.

- false alarms: histories in which nothing happens, and any change is confirmed; and those of them
  in which it is a regression, which ends with exit code 3
- found: histories with one lasting step of 10 % for the worse, at a commit from the 11th to the
  46th, that is confirmed with the fifth commit from it on at the latest
- located: those of the found whose place is at most 2 commits off
- bound: as `found`, for a test that is told mean, spread and direction, and has its threshold set
  for false alarms in 5 % of just these histories: the mean of the last five commits, which is made
  for what has to be found within five (finite moving average; B. K. Guépié, L. Fillatre and
  I. Nikiforov, 2012) and finds more of it than Page's CUSUM

`delay` has the commits within which half and 90 % of all steps were confirmed.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.analysis.history.changes import Change, changes_of
from bench.analysis.history.series import Point, Series
from bench.analysis.intervals import Estimate
from bench.analysis.metrics import BY_NAME

COMMITS, WITHIN, BETWEEN, STEP = 50, 0.05, 0.05, 0.10
SOON, NEAR = 5, 2
FIRST, LAST = 10, 45
"""Where a step may be, counting from 0."""


@dataclass(frozen=True)
class Design:
    """How often a commit is run, with how many seeds."""

    runs: int
    seeds: int

    @property
    def spread(self) -> float:
        """The standard deviation of a commit's mean logarithm."""
        return float(np.sqrt((BETWEEN**2 + WITHIN**2 / self.seeds) / self.runs))


def noise(design: Design, count: int, seed: int) -> np.ndarray:
    """Logarithms (count, commits): trials around their run's mean, and runs around 0."""
    rng = np.random.default_rng(seed)
    runs = rng.normal(0, BETWEEN, (count, COMMITS, design.runs, 1))
    trials = runs + rng.normal(0, WITHIN, (count, COMMITS, design.runs, design.seeds))
    return np.asarray(trials.mean(axis=(2, 3)))


def a_series(logs: np.ndarray, label: str = "net") -> Series:
    """Epoch times around 10 s."""
    points = [
        Point(at, value, Estimate(value, None, 1), None, {})
        for at, value in enumerate(map(float, 10 * np.exp(logs)))
    ]
    return Series(label, (label,), BY_NAME["epoch_seconds"], tuple(points))


def changes_in(logs: np.ndarray) -> list[Change]:
    """What the history says of one made-up history."""
    return changes_of([a_series(logs)])


def stepped(design: Design, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Histories with a step each, and where it is."""
    places = np.random.default_rng(seed + 1).integers(FIRST, LAST + 1, count)
    after = np.arange(COMMITS) >= places[:, None]
    return noise(design, count, seed) + np.log1p(STEP) * after, places


def alarm(logs: np.ndarray) -> tuple[int, int] | None:
    """The commits at which the first regression was confirmed, and at which it was then placed."""
    regressions = [change for change in changes_in(logs) if change.regression]
    if not regressions:
        return None
    confirmed = min(change.confirmed.at for change in regressions)
    # As it was said on that day: with nothing known of later commits.
    (said, *_) = [c for c in changes_in(logs[: confirmed + 1]) if c.confirmed.at == confirmed]
    return confirmed, said.after.at


def bound(design: Design, count: int = 20_000) -> float:
    """The share found by a test that knows everything but whether and when."""
    threshold = np.quantile(_last_five(noise(design, count, 10)).max(axis=1), 0.95)
    logs, places = stepped(design, count, 20)
    above = _last_five(logs) > threshold
    first = np.where(above.any(axis=1), above.argmax(axis=1), COMMITS)
    return float(((first < places + SOON) & (first >= places)).sum() / (first >= places).sum())


def _last_five(logs: np.ndarray) -> np.ndarray:
    sums = np.cumsum(logs, axis=1)
    sums[:, SOON:] -= sums[:, :-SOON].copy()
    return sums


@dataclass(frozen=True)
class Power:
    """Shares of histories, and delays in commits."""

    false: float
    false_regressions: float
    found: float
    located: float
    half: float
    most: float


def power(design: Design, count: int, seed: int = 0, workers: int = 1) -> Power:
    """What `count` histories of each kind came to. A step before which there was an alarm is left
    out: that alarm counts as false already."""
    logs, places = stepped(design, count, seed)
    with ProcessPoolExecutor(workers) as pool:
        run = partial(pool.map, chunksize=20) if workers > 1 else map
        still = list(run(changes_in, noise(design, count, seed + 2)))
        alarms = list(run(alarm, logs))
    delays, errors = [], []
    for said, place in zip(alarms, places, strict=True):
        if said is None or said[0] >= place:
            delays.append(np.inf if said is None else said[0] - place + 1)
        if said is not None and place <= said[0] < place + SOON:
            errors.append(abs(said[1] - place))
    return Power(
        float(np.mean([bool(found) for found in still])),
        float(np.mean([any(c.regression for c in found) for found in still])),
        float(np.mean(np.array(delays) <= SOON)),
        float(np.mean(np.array(errors) <= NEAR)) if errors else 0.0,
        *(float(np.quantile(delays, q, method="higher")) for q in (0.5, 0.9)),
    )


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    head = ("runs a commit", "seeds", "false alarms", "regressions", "found", "bound", "located")
    print(*(f"{name:>13}" for name in (*head, "delay")))
    for runs in (1, 2, 3, 4):
        for seeds in (3, 5):
            design = Design(runs, seeds)
            p = power(design, given.histories, given.seed, given.workers)
            shares = (p.false, p.false_regressions, p.found, bound(design), p.located)
            cells = (str(runs), str(seeds), *(f"{share:.1%}" for share in shares))
            delay = f"{p.half:.0f}, {p.most:.0f}"
            print(*(f"{cell:>13}" for cell in (*cells, delay)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

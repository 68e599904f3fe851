"""The models of one run in order, with those tied that cannot be told apart.

Trials of a run are interleaved, so that series are compared seed by seed. A rank is a range: as
many places as there are series surely better than it come before, as many as are surely worse come
after.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.compare.effects import Effect, effect, holm
from bench.compare.verdicts import SIGNIFICANT, is_points
from bench.metrics import Metric

Seeds = Mapping[int, float]
"""A metric's values by seed."""


@dataclass(frozen=True)
class Place:
    """Where one contestant stands: its place is from `first` to `last`; `against_best` compares it
    with the one that has the best mean, and `p` says how sure that difference is, corrected."""

    name: str
    mean: float
    first: int
    last: int
    against_best: Effect | None
    p: float | None

    @property
    def rank(self) -> str:
        """The place as people write it."""
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"


def rank(values: Mapping[str, Seeds], metric: Metric) -> list[Place]:
    """The contestants, best mean first; ties are ranges of places. Whoever has too few seeds to be
    compared is tied with all."""
    sign = -1 if metric.better == "higher" else 1
    known = {name: seeds for name, seeds in values.items() if seeds}
    means = {name: sum(seeds.values()) / len(seeds) for name, seeds in known.items()}
    order = sorted(known, key=lambda name: sign * means[name])
    pairs = list(combinations(order, 2))
    effects = [between(known[a], known[b], metric) for a, b in pairs]
    ps = holm([None if e is None else e.p for e in effects])
    found = dict(zip(pairs, zip(effects, ps, strict=True), strict=True))
    sure = {pair for pair, (_, p) in found.items() if p is not None and p < SIGNIFICANT}
    places = []
    for name in order:
        better = sum(b == name for _, b in sure)
        worse = sum(a == name for a, _ in sure)
        against, p = found.get((order[0], name), (None, None))
        places.append(Place(name, means[name], 1 + better, len(order) - worse, against, p))
    return places


def between(a: Seeds, b: Seeds, metric: Metric) -> Effect | None:
    """B against A over the seeds that both have, in pairs; None without any."""
    shared = sorted(a.keys() & b.keys())
    if not shared:
        return None
    x, y = [a[s] for s in shared], [b[s] for s in shared]
    logs = not is_points(metric) and min(*x, *y) > 0
    return effect(x, y, paired=True, logs=logs)


def alone_at_the_top(places: Sequence[Place]) -> bool:
    """Whether the first is surely better than all others."""
    return len(places) > 1 and places[0].last == 1

"""The models of one run against each other: who is where, and who cannot be told apart.

Trials of one seed run one after the other, and in the reverse order the next time, so that they are
paired by their seed: what the machine does to one it does to all. Every model is compared with
every other one; a rank is a range wherever others cannot be told from it.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.analysis.compare.effects import Effect, Values, effect, scale_of
from bench.analysis.compare.matching import Across, check_conditions
from bench.analysis.compare.pairwise import correct, known, label_groups, speed_ratio
from bench.analysis.compare.side import Side
from bench.analysis.compare.verdicts import USUAL_MARGINS, Margins, Verdict, judge
from bench.analysis.metrics import Metric
from bench.errors import Refused


@dataclass(frozen=True)
class Contestant:
    """One of those that are ranked: a metric by seed, and by seed how fast the machine was."""

    label: str
    values: Values
    machine: Values


@dataclass(frozen=True)
class Place:
    """Where one stands. `first` and `last` are the best and the worst rank that it may have;
    `effect` and `verdict` are against the best (None for the best itself)."""

    contestant: Contestant
    first: int
    last: int
    effect: Effect | None = None
    p: float | None = None
    verdict: Verdict | None = None
    machine: float | None = None

    @property
    def rank(self) -> str:
        """The rank as a number, or as the range that it lies in."""
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"


@dataclass(frozen=True)
class Ranking:
    """The places in one metric, best first; `ties` are ranges of places, from and to (counting from
    0), within which none can be told from another."""

    metric: Metric
    places: tuple[Place, ...]
    ties: tuple[tuple[int, int], ...]
    margins: Margins

    @property
    def winners(self) -> tuple[Place, ...]:
        """The best, and those that cannot be told from it."""
        return tuple(place for place in self.places if place.first == 1)


def rank_all(
    contests: Sequence[tuple[Metric, Sequence[Contestant]]],
    margins: Margins = USUAL_MARGINS,
) -> list[Ranking]:
    """A ranking in each metric; all their comparisons are corrected for together.

    Metrics in which there are not two to compare are left out.

    Raises:
        ValueError: a metric that is compared as a ratio has a value that is not above 0.
    """
    contests = [(metric, _ordered(metric, field)) for metric, field in contests if len(field) > 1]
    pairs = {
        (metric.name, i, j): effect(metric, field[i].values, field[j].values, paired=True)
        for metric, field in contests
        for i, j in combinations(range(len(field)), 2)
    }
    ps = dict(zip(pairs, correct(list(pairs.values())), strict=True))
    comparisons = max(1, sum(p is not None for p in ps.values()))
    rankings = []
    for metric, field in contests:
        verdicts = {
            (i, j): judge(
                metric,
                pairs[metric.name, i, j],
                ps[metric.name, i, j],
                comparisons=comparisons,
                margins=margins,
                machine=_machine(field[i], field[j]),
            )
            for i, j in combinations(range(len(field)), 2)
        }
        places = []
        for i, one in enumerate(field):
            first = 1 + sum(verdicts[j, i].apart for j in range(i))
            last = len(field) - sum(verdicts[i, j].apart for j in range(i + 1, len(field)))
            place = Place(one, first, last)
            if i:
                key = (metric.name, 0, i)
                machine = _machine(field[0], one)
                place = Place(one, first, last, pairs[key], ps[key], verdicts[0, i], machine)
            places.append(place)
        rankings.append(Ranking(metric, tuple(places), _ties(len(field), verdicts), margins))
    return rankings


def rank_side(
    side: Side,
    metrics: Sequence[Metric],
    *,
    across: Collection[Across] = (),
    margins: Margins = USUAL_MARGINS,
    wanted: Collection[str] = (),
) -> list[Ranking]:
    """The models of one run, or its settings, ranked in each metric that is known.

    Raises:
        Refused: they were not measured under one set of conditions, there are not two, or a metric
            is wanted that is not known of two.
    """
    check_conditions(side.groups, across, side.name)
    labels = label_groups(side.groups)
    contests = [
        (
            metric,
            [
                Contestant(label, group.values(metric), group.machine)
                for label, group in zip(labels, side.groups, strict=True)
                if known(metric, group)
            ],
        )
        for metric in metrics
    ]
    rankings = rank_all(contests, margins)
    lacking = [name for name in wanted if name not in {one.metric.name for one in rankings}]
    if rankings and lacking:
        raise Refused(f"{lacking[0]} is not known of two models of {side.name}.")
    if not rankings:
        raise Refused(f"{side.name} has no two models to rank; name another run to compare it to.")
    return rankings


def _ordered(metric: Metric, field: Sequence[Contestant]) -> list[Contestant]:
    """Best mean first; where neither way is better, the highest."""
    return sorted(field, key=lambda one: _mean(metric, one), reverse=metric.better != "lower")


def _mean(metric: Metric, one: Contestant) -> float:
    values = list(one.values.values())
    if scale_of(metric) == "ratio" and min(values) > 0:
        return math.fsum(map(math.log, values)) / len(values)
    return math.fsum(values) / len(values)


def _machine(a: Contestant, b: Contestant) -> float | None:
    """How fast the machine was beside b's trials over how fast it was beside a's, paired too."""
    common = a.machine.keys() & b.machine.keys()
    return speed_ratio(*({seed: one.machine[seed] for seed in common} for one in (a, b)))


def _ties(count: int, verdicts: Mapping[tuple[int, int], Verdict]) -> tuple[tuple[int, int], ...]:
    """The longest ranges of places in which no pair is apart, none within another."""
    ranges: list[tuple[int, int]] = []
    for start in range(count):
        end = start
        while end + 1 < count and not any(
            verdicts[i, end + 1].apart for i in range(start, end + 1)
        ):
            end += 1
        if end > start and not any(a <= start and end <= b for a, b in ranges):
            ranges.append((start, end))
    return tuple(ranges)

"""The groups of one run against each other: who is where, and who cannot be told apart.

Trials of one seed run one after the other, and in the reverse order the next time, so that they are
paired by their seed: what the machine does to one it does to all. Every group is compared with
every other one; a rank is a range wherever others cannot be told from it. Whatever a report says of
two groups in a metric, sentences and claims alike, is the verdict that `Standings` has on them.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from bench.analysis.compare.effects import Effect, effect, is_count, scale_of
from bench.analysis.compare.matching import Across, check_conditions
from bench.analysis.compare.pairwise import correct, known, speed_ratio, timed_alike
from bench.analysis.compare.side import Side
from bench.analysis.compare.verdicts import USUAL_MARGINS, Margins, Verdict, judge
from bench.analysis.metrics import BY_NAME, Metric
from bench.analysis.trial_group import TrialGroup, Values
from bench.errors import Refused


@dataclass(frozen=True)
class Difference:
    """One group against another in a metric: how far apart, the probability of that by chance after
    correction (None where chance has no part), the verdict, and how fast the machine was beside the
    one over how fast it was beside the other (None if it was not timed)."""

    effect: Effect
    p: float | None
    verdict: Verdict
    machine: float | None


@dataclass(frozen=True)
class Place:
    """Where a group stands: `first` and `last` are the best and the worst rank that it may have;
    `difference` is against the best (None for the best itself), `mean` what differences are of."""

    group: TrialGroup
    values: Values
    mean: float
    first: int
    last: int
    difference: Difference | None = None

    @property
    def rank(self) -> str:
        """The rank as a number, or as the range that it lies in."""
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"


@dataclass(frozen=True)
class Ranking:
    """The places in one metric, best first.

    `ties` are ranges of places, from and to (counting from 0), within which none can be told from
    another; `differences` has every pair of labels, the second against the first.
    """

    metric: Metric
    places: tuple[Place, ...]
    ties: tuple[tuple[int, int], ...]
    margins: Margins
    differences: Mapping[tuple[str, str], Difference]

    @property
    def winners(self) -> tuple[Place, ...]:
        """The best, and those that cannot be told from it."""
        return tuple(place for place in self.places if place.first == 1)

    @property
    def hindmost(self) -> Place:
        """Of all but the best, the one with the worst mean. The last place may be another's: who is
        beaten stands behind those that spread too widely to be."""
        lowest_last = self.metric.better != "lower"
        return min(self.places[1:], key=lambda p: p.mean if lowest_last else -p.mean)

    @property
    def too_few(self) -> bool:
        """Whether there are too few seeds to compare any two."""
        return all(pair.effect.design == "too few" for pair in self.differences.values())


class Standings:
    """The groups of one run, ranked in any metric when it is asked for."""

    def __init__(self, groups: Sequence[TrialGroup], margins: Margins = USUAL_MARGINS) -> None:
        self.groups = tuple(groups)
        self._margins = margins
        self._rankings: dict[str, Ranking | None] = {}

    def ranking(self, name: str) -> Ranking | None:
        """The ranking in a metric; None where there are not two groups that have it."""
        if name not in self._rankings:
            self._rankings[name] = rank(BY_NAME[name], self.groups, self._margins)
        return self._rankings[name]

    def between(self, name: str, a: TrialGroup, b: TrialGroup) -> Difference | None:
        """b against a in a metric; None where either does not have it."""
        ranking = self.ranking(name)
        return ranking.differences.get((a.label, b.label)) if ranking else None


def rank(
    metric: Metric,
    groups: Sequence[TrialGroup],
    margins: Margins = USUAL_MARGINS,
    values_of: Callable[[TrialGroup], Values] | None = None,
) -> Ranking | None:
    """The groups that have a metric, ranked; all comparisons are corrected for together. None where
    there are not two that have it.

    `values_of` gives the metric by seed, for one that is no column of `models.csv`.
    """
    values_of = values_of or (lambda group: group.values(metric.name))
    values = {group.label: values_of(group) for group in groups}
    # What is compared as a ratio has to be above 0.
    anything = scale_of(metric) == "difference" or is_count(metric, *values.values())
    least = -math.inf if anything else 0.0
    field = [g for g in groups if values[g.label] and min(values[g.label].values()) > least]
    if len(field) < 2:
        return None
    pairs = list(combinations(field, 2))
    effects = [effect(metric, values[a.label], values[b.label], paired=True) for a, b in pairs]
    ps = correct(effects)
    comparisons = max(1, sum(p is not None for p in ps))
    differences: dict[tuple[str, str], Difference] = {}
    for (a, b), forward, p in zip(pairs, effects, ps, strict=True):
        for one, other, seen in ((a, b, forward), (b, a, _reversed(forward))):
            machine = _machine(one, other)
            verdict = judge(
                metric, seen, p, comparisons=comparisons, margins=margins, machine=machine
            )
            differences[one.label, other.label] = Difference(seen, p, verdict, machine)
    return _placed(metric, field, values, differences, margins)


def among(ranking: Ranking, groups: Collection[TrialGroup]) -> Ranking | None:
    """The places that some of the groups have among themselves, by the same comparisons; None where
    there are not two of them."""
    labels = {group.label for group in groups}
    kept = [place for place in ranking.places if place.group.label in labels]
    if len(kept) < 2:
        return None
    values = {place.group.label: place.values for place in kept}
    differences = {k: d for k, d in ranking.differences.items() if labels.issuperset(k)}
    field = [place.group for place in kept]
    return _placed(ranking.metric, field, values, differences, ranking.margins)


def _placed(
    metric: Metric,
    field: list[TrialGroup],
    values: Mapping[str, Values],
    differences: Mapping[tuple[str, str], Difference],
    margins: Margins,
) -> Ranking:
    """The groups in their order, by the verdicts on every two of them."""
    # The second of each of these pairs is beyond chance better, or higher where neither way is.
    higher_first = metric.better != "lower"
    beats = [
        pair
        for pair, difference in differences.items()
        if difference.verdict.apart and (difference.effect.shift > 0) == higher_first
    ]
    ahead, behind = Counter(a for a, _ in beats), Counter(b for _, b in beats)

    means = {
        g.label: effect(metric, values[g.label], values[g.label], paired=False).a for g in field
    }

    def place_key(group: TrialGroup) -> tuple[int, float]:
        mean = means[group.label]
        return ahead[group.label], -mean if higher_first else mean

    field.sort(key=place_key)
    labels = [group.label for group in field]
    places = []
    for group, label in zip(field, labels, strict=True):
        first, last = 1 + ahead[label], len(field) - behind[label]
        against = differences.get((labels[0], label))
        places.append(Place(group, values[label], means[label], first, last, against))
    apart = {pair for pair, difference in differences.items() if difference.verdict.apart}
    return Ranking(metric, tuple(places), _ties(labels, apart), margins, differences)


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
    fields = [(metric, [g for g in side.groups if known(metric, g)]) for metric in metrics]
    rankings = [r for metric, groups in fields if (r := rank(metric, groups, margins))]
    lacking = [name for name in wanted if name not in {r.metric.name for r in rankings}]
    if rankings and lacking:
        raise Refused(f"{lacking[0]} is not known of two models of {side.name}.")
    if not rankings:
        raise Refused(f"{side.name} has no two models to rank; name another run to compare it to.")
    return rankings


def _reversed(seen: Effect) -> Effect:
    """The same difference, seen from the other side."""
    return replace(
        seen, a=seen.b, b=seen.a, shift=-seen.shift, seeds_a=seen.seeds_b, seeds_b=seen.seeds_a
    )


def _machine(a: TrialGroup, b: TrialGroup) -> float | None:
    """How fast the machine was beside b's trials over how fast it was beside a's, paired too; None
    where it was not timed alike."""
    if not timed_alike(a, b):
        return None
    before, after = a.machine, b.machine
    common = before.keys() & after.keys()
    return speed_ratio({s: before[s] for s in common}, {s: after[s] for s in common})


def _ties(labels: Sequence[str], apart: Collection[tuple[str, str]]) -> tuple[tuple[int, int], ...]:
    """The longest ranges of places in which no pair is apart, none within another."""
    ranges: list[tuple[int, int]] = []
    for start in range(len(labels)):
        end = start
        while end + 1 < len(labels) and not any(
            (labels[i], labels[end + 1]) in apart for i in range(start, end + 1)
        ):
            end += 1
        if end > start and not any(a <= start and end <= b for a, b in ranges):
            ranges.append((start, end))
    return tuple(ranges)

"""Times machine by machine: seconds of unlike machines have no mean, but models can be compared on
each, and the ratios over all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.analysis.collected.collection import Cohort
from bench.analysis.collected.rows import Machine, SentRow
from bench.analysis.compare.effects import Effect
from bench.analysis.compare.ranking import Difference, rank
from bench.analysis.compare.verdicts import Verdict
from bench.analysis.intervals import median
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import TrialGroup

SPEED = "images_per_second"

MOST = 0.9
"""The share of machines that the range of a ratio holds at least."""


@dataclass(frozen=True)
class Place:
    """One machine of one person, and its groups: figures within it compare."""

    sender: str
    machine: Machine
    groups: tuple[TrialGroup, ...]

    @property
    def name(self) -> str:
        """What to call it."""
        return f"{self.sender}, {self.machine.text}"


@dataclass(frozen=True)
class Ratio:
    """How many times as fast one model is as another on one machine, and whether that is beyond
    chance there."""

    place: Place
    effect: Effect
    verdict: Verdict


@dataclass(frozen=True)
class Spread:
    """How many times as fast `fast` is as `slow`, machine by machine, the least first.

    `low` and `high` are the narrowest range that `within` machines, at least nine in ten, are in;
    `apart` is on how many of them it is faster beyond chance.
    """

    fast: str
    slow: str
    ratios: tuple[Ratio, ...]
    low: float
    high: float
    within: int
    apart: int


def places(cohort: Cohort) -> list[Place]:
    """The machines of a cohort, in order of their senders."""
    found: dict[tuple[str, Machine], list[TrialGroup]] = {}
    for group in cohort.groups:
        rows: dict[tuple[str, Machine], list[SentRow]] = {}
        for row in group.rows:
            rows.setdefault((row.sender, row.machine), []).append(row)
        for key, own in rows.items():
            found.setdefault(key, []).append(TrialGroup(group.label, tuple(own)))
    return [Place(*key, tuple(groups)) for key, groups in found.items()]


def spreads(cohort: Cohort, metric: str = SPEED) -> list[Spread]:
    """The ratio of every two models that ran on at least two machines, the widest known first."""
    ratios: dict[tuple[str, str], list[tuple[Place, Difference]]] = {}
    labels = [group.label for group in cohort.groups]
    for place in places(cohort):
        ranking = rank(BY_NAME[metric], place.groups)
        for pair, difference in (ranking.differences if ranking else {}).items():
            ratios.setdefault(pair, []).append((place, difference))
    found = []
    for a, b in combinations(labels, 2):
        if len(ratios.get((a, b), ())) > 1:
            shift = median([difference.effect.shift for _, difference in ratios[a, b]])
            pair = (a, b) if shift >= 0 else (b, a)
            found.append(_spread(*pair, ratios[pair]))
    return sorted(found, key=lambda spread: -len(spread.ratios))


def _spread(slow: str, fast: str, differences: Sequence[tuple[Place, Difference]]) -> Spread:
    ratios = sorted(
        (Ratio(place, d.effect, d.verdict) for place, d in differences),
        key=lambda ratio: ratio.effect.change,
    )
    low, high = narrowest([ratio.effect.change for ratio in ratios])
    within = sum(low <= ratio.effect.change <= high for ratio in ratios)
    apart = sum(ratio.verdict.better is True for ratio in ratios)
    return Spread(fast, slow, tuple(ratios), low, high, within, apart)


def narrowest(values: Sequence[float], share: float = MOST) -> tuple[float, float]:
    """The narrowest range, as a ratio of its ends, that holds at least this share of some ascending
    positive values."""
    count = math.ceil(share * len(values))
    windows = zip(values, values[count - 1 :], strict=False)
    return min(windows, key=lambda ends: ends[1] / ends[0])

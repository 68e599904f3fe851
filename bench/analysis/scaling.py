"""How throughput grows with the processes that train together."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.ablations import PROCESSES, ablations
from bench.analysis.compare.ranking import Standings
from bench.analysis.trial_group import TrialGroup

THROUGHPUT = "images_per_second"


@dataclass(frozen=True)
class Point:
    """A model trained by so many processes. `throughput` is in images a second, `ratio` to that of
    one process; `efficiency` is that over the number of processes, with its 95 % interval, None
    where there are too few seeds."""

    group: TrialGroup
    ranks: int
    throughput: float
    ratio: float
    low: float | None = None
    high: float | None = None

    @property
    def efficiency(self) -> float:
        """Throughput(N) / (N x throughput(1))."""
        return self.ratio / self.ranks


@dataclass(frozen=True)
class Scaling:
    """A model trained by one process (`alone`) and by several, their numbers ascending."""

    name: str
    alone: Point
    points: tuple[Point, ...]

    @property
    def one(self) -> TrialGroup:
        """The group that was trained by one process."""
        return self.alone.group


def scalings(groups: Sequence[TrialGroup], standings: Standings) -> list[Scaling]:
    """What groups of one process and of several make, where both were measured."""
    found = []
    for ablation in ablations(groups, PROCESSES):
        one, *several = ablation.groups
        if one.setting.ranks != 1:
            continue
        points = tuple(p for group in several if (p := _point(one, group, standings)))
        alone = one.metric(THROUGHPUT)
        if alone is not None and points:
            found.append(Scaling(ablation.name, Point(one, 1, alone.mean, 1.0), points))
    return found


def _point(one: TrialGroup, group: TrialGroup, standings: Standings) -> Point | None:
    difference, throughput = standings.between(THROUGHPUT, one, group), group.metric(THROUGHPUT)
    if difference is None or throughput is None:
        return None
    ranks, effect = group.setting.ranks, difference.effect
    low, high = (None if end is None else end / ranks for end in (effect.low, effect.high))
    return Point(group, ranks, throughput.mean, effect.change, low, high)

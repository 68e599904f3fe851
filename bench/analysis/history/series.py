"""A line of the history: one model under one setting in one metric, a point per run or commit."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.analysis.compare.effects import scale_of
from bench.analysis.compare.verdicts import SPEEDS
from bench.analysis.history.runs import Measured, PastRun
from bench.analysis.intervals import Estimate, estimate
from bench.analysis.metrics import Metric
from bench.analysis.trial_group import labels_of


@dataclass(frozen=True)
class Moment:
    """A place on the axis of time: one run, or several of one commit. `name` is unique; `changed`
    says in words what else than the code is not as it was at the moment before."""

    name: str
    runs: tuple[PastRun, ...]
    changed: tuple[str, ...] = ()

    @property
    def date(self) -> str:
        """When it was measured first (ISO 8601)."""
        return self.runs[0].started_at.isoformat()


@dataclass(frozen=True)
class Point:
    """A value of a series.

    `at` counts moments. `value` is the mean over runs of each run's mean over its trials (of
    logarithms, for what is compared as a ratio); `estimate` is over all trials. `machine` is the
    speed of the fixed matrix product beside them (GFLOP/s), None if it was not timed. Points that
    do not share their `conditions` are never compared.
    """

    at: int
    value: float
    estimate: Estimate
    machine: float | None
    conditions: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Series:
    """The points of one model under one setting in one metric, in order."""

    label: str
    traits: tuple[str, ...]
    metric: Metric
    points: tuple[Point, ...]

    @property
    def model(self) -> str:
        """The model that was trained."""
        return self.traits[0]

    @property
    def tracks(self) -> list[list[Point]]:
        """Points that may be compared with each other: those under the same conditions, however
        many others lie between them, as where machines take turns."""
        tracks: dict[tuple[tuple[str, str], ...], list[Point]] = {}
        for point in self.points:
            tracks.setdefault(tuple(point.conditions.items()), []).append(point)
        return list(tracks.values())

    @property
    def scalable(self) -> bool:
        """Whether a faster machine changes the metric, and every point says how fast it was."""
        return self.metric.unit in SPEEDS and all(point.machine for point in self.points)

    def scaled(self, point: Point) -> float:
        """The factor that makes a value what it would have been on a machine as fast as it was at
        the first point, if the metric goes with the fixed matrix product."""
        first, own = self.points[0].machine, point.machine
        return (own / first) ** -SPEEDS[self.metric.unit] if first and own else 1.0


def moments_of(runs: Sequence[PastRun], *, pooled: bool) -> list[Moment]:
    """The runs as places on the axis of time; `pooled` if runs of one commit under the same
    conditions share a place."""
    places: dict[object, list[PastRun]] = {}
    for number, run in enumerate(runs):
        shared = pooled and run.clean
        key = (run.commit, tuple(run.conditions.items())) if shared else number
        places.setdefault(key, []).append(run)
    groups = list(places.values())
    moments: list[Moment] = []
    for name, group in zip(_names(groups), groups, strict=True):
        before = moments[-1].runs[0].conditions if moments else group[0].conditions
        changed = tuple(changes_between(before, group[0].conditions))
        moments.append(Moment(name, tuple(group), changed))
    return moments


def changes_between(a: Mapping[str, str], b: Mapping[str, str]) -> Iterable[str]:
    """What differs between two sets of conditions, in words: `torch 2.6.0 → 2.7.0`."""
    for name, value in b.items():
        if a.get(name, "") != value:
            yield f"{name} {a.get(name) or 'unknown'} → {value or 'unknown'}"


def _names(groups: Sequence[Sequence[PastRun]]) -> list[str]:
    """A name for each moment: its commit where that says enough, else its folder too."""
    commits = Counter(group[0].commit for group in groups)
    names = []
    for group in groups:
        run, commit = group[0], group[0].commit
        names.append(run.name if not commit else commit if commits[commit] == 1 else "")
        if not names[-1]:
            names[-1] = f"{run.name} ({commit})"
    repeated = Counter(names)
    return [n if repeated[n] == 1 else f"{n}, run {i}" for i, n in enumerate(names, 1)]


def series_of(moments: Sequence[Moment], metrics: Sequence[Metric]) -> list[Series]:
    """Every series that has a point, models in the order of their appearance."""
    found = dict.fromkeys(g.traits for m in moments for run in m.runs for g in run.groups)
    labels = dict(zip(found, labels_of(list(found)), strict=True))
    series = []
    for traits in found:
        for metric in metrics:
            points = [p for at, m in enumerate(moments) if (p := _point(at, m, traits, metric))]
            if points:
                series.append(Series(labels[traits], traits, metric, tuple(points)))
    return series


def _point(at: int, moment: Moment, traits: tuple[str, ...], metric: Metric) -> Point | None:
    """What a moment has of a series; None if it has nothing."""
    groups = [g for run in moment.runs for g in run.groups if g.traits == traits]
    known = [g for g in groups if g.values.get(metric.name)]
    if not known:
        return None
    ratio = scale_of(metric) == "ratio"
    value = _mean([_mean(list(g.values[metric.name].values()), ratio) for g in known], ratio)
    every = [v for g in known for v in g.values[metric.name].values()]
    speeds = [_mean(list(g.machine.values()), True) for g in known if g.machine]
    conditions = dict(moment.runs[0].conditions) | _own_conditions(known)
    machine = _mean(speeds, True) if speeds else None
    return Point(at, value, estimate(every), machine, conditions)


def _own_conditions(groups: Sequence[Measured]) -> dict[str, str]:
    """What groups of one moment were measured with besides; several values where they differ."""
    names = groups[0].conditions
    return {n: ", ".join(dict.fromkeys(g.conditions[n] for g in groups)) for n in names}


def _mean(values: Sequence[float], ratio: bool) -> float:
    """The arithmetic mean, or the geometric one of what is compared as a ratio."""
    return math.exp(fmean(map(math.log, values))) if ratio else fmean(values)

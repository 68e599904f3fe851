"""Which changes are news: a regression ends with exit code 3 once, not at every run after it."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.history.changes import Change
from bench.analysis.history.series import Moment


@dataclass(frozen=True)
class Reported:
    """A change as a history remembers it: of which series, which way, and when the runs started
    that lie between its place and the one that confirmed it (ISO 8601)."""

    traits: tuple[str, ...]
    metric: str
    up: bool
    runs: tuple[str, ...]

    @property
    def key(self) -> tuple[tuple[str, ...], str, bool, str]:
        """The same whenever the same runs are looked at: with more of them a change's place may be
        another by a few, but not what confirmed it."""
        return self.traits, self.metric, self.up, self.runs[-1]

    def is_of(self, other: "Reported") -> bool:
        """Whether the two may be one change, seen by other runs."""
        return self.key[:3] == other.key[:3] and not set(self.runs).isdisjoint(other.runs)


def reported(change: Change, moments: Sequence[Moment]) -> Reported:
    """What is to be remembered of a change."""
    first, last = sorted((change.after.at, change.confirmed.at))
    runs = [run.started_at.isoformat() for m in moments[first : last + 1] for run in m.runs]
    series = change.series
    return Reported(series.traits, series.metric.name, change.up, tuple(runs))


def news(
    changes: Sequence[Change], moments: Sequence[Moment], known: Sequence[Reported] | None
) -> list[Change]:
    """The changes that were not known: those that are not among `known`; where nothing was
    remembered (None), those that the newest run confirmed."""
    if known is None:
        return [change for change in changes if change.confirmed.at == len(moments) - 1]
    left, new = {one.key: one for one in known if one.runs}, []
    seen = [(change, reported(change, moments)) for change in changes]
    for change, one in [pair for pair in seen if not left.pop(pair[1].key, None)]:
        # Runs may be gone since. Two changes may lie close together: each is known by itself.
        match = next((other for other in left.values() if other.is_of(one)), None)
        if match is None:
            new.append(change)
        else:
            del left[match.key]
    return new

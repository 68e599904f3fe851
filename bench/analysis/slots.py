"""What the slots of a run did over time."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.run import Run, TrialResult


@dataclass(frozen=True)
class Span:
    """A trial in a slot: seconds from the start of the run's first trial, and how it ended there,
    which may be `interrupted`; then it lasted as long as its epochs."""

    trial: str
    slot: int
    place: str
    start: float
    seconds: float
    status: str

    @property
    def name(self) -> str:
        """The slot, and what it stood for."""
        return slot_name(self.slot, self.place)

    @property
    def end(self) -> float:
        """Seconds from the start of the run's first trial."""
        return self.start + self.seconds

    def overlaps(self, other: "Span") -> bool:
        """Whether both went on at one time; starts are known to the second."""
        return self.start + 1 < other.end and other.start + 1 < self.end


def slot_name(slot: int, place: str) -> str:
    """What reports call a slot that stands for a device, and for a node in a cluster."""
    return f"slot {slot}: {place}"


def spans_of(run: Run) -> list[Span]:
    """Every start of every trial, in order of time."""
    stays = [(result.trial.id, stay) for result in run.trials for stay in result.stays]
    first = min((stay.began_at for _, stay in stays), default=0.0)
    spans = (
        Span(trial, stay.began.slot, stay.place, stay.began_at - first, stay.seconds, stay.status)
        for trial, stay in stays
    )
    return sorted(spans, key=lambda span: (span.start, span.slot))


def slots_beside(result: TrialResult) -> int | None:
    """In how many other slots trials ran at some time of a trial's last stay in its own; None if
    trials of this run do not run side by side."""
    if not result.run.slots:
        return None
    spans = spans_of(result.run)
    own = [span for span in spans if span.trial == result.trial.id]
    return beside(own[-1], spans) if own else None


def beside(span: Span, spans: Sequence[Span]) -> int:
    """In how many other slots something ran at the same time."""
    return len({o.slot for o in spans if o.slot != span.slot and o.overlaps(span)})


def busy_share(spans: Sequence[Span], slots: int) -> float:
    """The share of all slots' time, from the first start to the last end, in which trials ran."""
    whole = slots * max((span.end for span in spans), default=0.0)
    return min(1.0, sum(span.seconds for span in spans) / whole) if whole else 0.0

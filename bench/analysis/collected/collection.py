"""Runs taken in one at a time, of which only small rows are kept; and what they come to together.

A run that was sent twice counts once, the fuller one. A trial whose numbers and times are those of
an earlier one to the last digit is a copy, and counts nowhere. With its numbers alone, it was
trained again, from the same seed by the same code: its times count, its accuracy does not again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from bench.analysis.claims.claim import Claim
from bench.analysis.claims.judge import JudgedClaim, judge_all
from bench.analysis.collected.largest_batches import Predictions
from bench.analysis.collected.rows import (
    COLUMNS,
    Machine,
    PooledGroup,
    SentRow,
    pooled_groups,
    sent_rows,
    slim,
)
from bench.analysis.compare.ranking import Standings
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import results_of
from bench.errors import BenchError, Refused
from bench.records.pack import LeftOut, Sent
from bench.records.records import DeviceFacts
from bench.records.run import Run, TrialResult
from bench.units import counted

Conditions = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Submission:
    """A run that counts: who sent it, how it was read, and its trials. `ended` is False where its
    log ends before the run did; None where there is no log to tell."""

    where: str
    sender: str
    id: str
    rows: tuple[SentRow, ...]
    ended: bool | None = None
    version: str = ""

    @property
    def done(self) -> int:
        """Trials that came to their end."""
        return sum(row.done for row in self.rows)


@dataclass(frozen=True)
class Copied:
    """A file that holds a run that another one has, too: the one that counts."""

    where: str
    sender: str
    of: str


@dataclass(frozen=True, eq=False)
class Cohort:
    """What may be compared: trials on the same images for as many epochs, grouped by model and
    setting. `run` is what claims need to know of them all; None where no log is at hand."""

    conditions: Conditions
    groups: tuple[PooledGroup, ...]
    run: Run | None = None

    @property
    def name(self) -> str:
        """The conditions in words."""
        name, _, train, test, epochs = self.conditions
        count = counted(int(epochs), "epoch")
        return f"{name}, {int(train):,} training and {int(test):,} test images, {count}"

    @cached_property
    def rows(self) -> tuple[SentRow, ...]:
        """All its trials."""
        return tuple(row for group in self.groups for row in group.rows)

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Who sent them."""
        return tuple(dict.fromkeys(row.sender for row in self.rows))

    @cached_property
    def machines(self) -> tuple[Machine, ...]:
        """The kinds of machine that they ran on."""
        return tuple(dict.fromkeys(row.machine for row in self.rows))

    @cached_property
    def standings(self) -> Standings:
        """The one judge of whether two groups differ."""
        return Standings(self.groups)

    def judged(self, claims: Sequence[Claim]) -> list[JudgedClaim]:
        """What all of them together say to claims; nothing without a log."""
        groups = [group for group in self.groups if group.trials]
        if self.run is None or not groups:
            return []
        machines = self.machines
        name = machines[0].name if len(machines) == 1 else f"{len(machines)} kinds of machine"
        self.run.add(DeviceFacts(machines[0].kind, machines[0].kind, name, 0, None))
        return judge_all(claims, self.run, Standings(groups))


@dataclass(frozen=True, eq=False)
class Collected:
    """Everything that was sent: what counts, what is there twice, and what could not be read."""

    submissions: tuple[Submission, ...]
    copies: tuple[Copied, ...]
    left_out: tuple[LeftOut, ...]
    cohorts: tuple[Cohort, ...]
    predictions: Predictions

    @property
    def rows(self) -> list[SentRow]:
        """Every trial that was read, in order."""
        return [row for submission in self.submissions for row in submission.rows]


class Collector:
    """Takes runs in, one at a time; `claims` say what else must be kept of them."""

    def __init__(self, claims: Sequence[Claim] = ()) -> None:
        asked = (name for claim in claims for name in claim.metric if name in BY_NAME)
        names = dict.fromkeys((*COLUMNS, *asked))
        self._columns = {name: place for place, name in enumerate(names)}
        self._layers = {c.at for c in claims if c.rule.startswith("layer_") and c.at}
        self._submissions: dict[str, Submission] = {}
        self._copies: list[Copied] = []
        self._left_out: list[LeftOut] = []
        self._runs: dict[Conditions, Run] = {}
        self._predictions = Predictions()

    def add(self, sent: Sent | LeftOut) -> None:
        """Take in what was found; what cannot be used is left out, with the reason."""
        if isinstance(sent, LeftOut):
            self._left_out.append(sent)
            return
        try:
            self._add(sent)
        except BenchError as error:
            self._left_out.append(LeftOut(sent.where, str(error)))
        # A log whose checksums are right may still hold what no run comes to.
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            reason = f"its figures make no sense ({type(error).__name__}: {str(error)[:80]})."
            self._left_out.append(LeftOut(sent.where, reason))

    def _add(self, sent: Sent) -> None:
        rows = sent_rows(sent, self._columns)
        if not any(row.done for row in rows):
            raise Refused("no trial of it is done.")
        self._predictions.add(sent)
        key = sent.id or f"{sent.where} {len(self._submissions)}"
        made = Submission(sent.where, sent.sender, key, (), None)
        if sent.run:
            rows = self._with_results(sent.run, rows)
            packages = sent.run.started.environment.get("packages")
            version = packages.get("archbench", "") if isinstance(packages, dict) else ""
            made = replace(made, ended=sent.run.complete, version=str(version)[:40])
        made = replace(made, rows=tuple(rows))
        earlier = self._submissions.get(key)
        if earlier and made.done <= earlier.done:
            self._copies.append(Copied(made.where, made.sender, earlier.where))
            return
        if earlier:
            self._copies.append(Copied(earlier.where, earlier.sender, made.where))
        self._submissions[key] = made

    def _with_results(self, run: Run, rows: Sequence[SentRow]) -> list[SentRow]:
        """Rows with the trials that claims look at."""
        return [
            replace(row, result=slim(result, self._shared(row, run), self._kept_layers(result)))
            if row.done
            else row
            for row, result in zip(rows, results_of(run), strict=True)
        ]

    def _shared(self, row: SentRow, run: Run) -> Run:
        """What all trials under a row's conditions belong to; it takes in what a run adds."""
        shared = self._runs.setdefault(row.conditions, Run(Path("class")))
        shared.add(run.dataset)
        for name, facts in run.facts.items():
            shared.facts.setdefault(name, facts)
        for shape, described in run.described.items():
            shared.described.setdefault(shape, described)
        for setting, largest in run.largest_batches.items():
            known = shared.largest_batches.get(setting)
            if known is None or known.limited_by != "memory":
                shared.largest_batches[setting] = largest
        return shared

    def _kept_layers(self, result: TrialResult) -> set[str]:
        """The layers that claims are about: convolutions by their number."""
        layers = result.described.layers if result.described else ()
        convolutions = [layer.layer for layer in layers if layer.type == "Conv2d"]
        return {convolutions[n - 1] for n in self._layers if n <= len(convolutions)}

    def finish(self) -> Collected:
        """Everything that was taken in, compared with each other."""
        submissions = list(_without_copies(self._submissions.values()))
        rows: dict[Conditions, list[SentRow]] = {}
        for submission in submissions:
            for row in submission.rows:
                if row.done and not row.copy_of:
                    rows.setdefault(row.conditions, []).append(row)
        cohorts = [
            Cohort(conditions, tuple(pooled_groups(own)), self._runs.get(conditions))
            for conditions, own in rows.items()
        ]
        cohorts.sort(key=lambda cohort: (len(cohort.people), len(cohort.rows)), reverse=True)
        return Collected(
            tuple(submissions),
            tuple(self._copies),
            tuple(self._left_out),
            tuple(cohorts),
            self._predictions,
        )


def _without_copies(submissions: Iterable[Submission]) -> Iterator[Submission]:
    """The submissions, logs before tables, with the trials marked that came to the numbers of an
    earlier one."""
    first: dict[tuple[str, ...], SentRow] = {}
    times: set[tuple[str, ...]] = set()
    for submission in sorted(submissions, key=lambda one: one.ended is None):
        rows = []
        for row in submission.rows:
            if row.done and row.numbers:
                earlier = first.setdefault(row.numbers, row)
                if earlier is not row:
                    copied, name = (*row.numbers, *row.times) in times, earlier.sender
                    row = replace(row, copy_of=name) if copied else replace(row, repeats=name)
                times.add((*row.numbers, *row.times))
            rows.append(row)
        yield replace(submission, rows=tuple(rows))

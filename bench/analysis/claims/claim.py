"""A published statement, the verdict on it, and what a rule may look at to reach one."""

from dataclasses import dataclass
from typing import Literal

from bench.analysis.compare.ranking import Standings
from bench.analysis.trial_group import TrialGroup
from bench.records.records import Source
from bench.records.run import Run

Answer = Literal["holds", "does not hold", "cannot tell"]


@dataclass(frozen=True)
class Claim:
    """One statement.

    `quoted` in `unit` is the figure as it was published. `rule` compares `metric` of `models` (a
    model or MODEL@OPTIMIZER each) with `threshold`, give or take `tolerance`, both in the metric's
    own unit; `at` is the epoch or the convolution (from 1) that it is about. `needs` are
    conditions; `device` is where the figure is from, if that is known. `source` says where the
    statement stands. `card` is the card that a predicted batch is about. `evidence` are options of
    a run that decides it, `name=value` each (`bench.analysis.claims.evidence`).
    """

    id: str
    claim: str
    rule: str
    quoted: float | None = None
    unit: str = ""
    metric: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    at: int | None = None
    threshold: float | None = None
    tolerance: float = 0.0
    needs: tuple[str, ...] = ()
    device: str = ""
    source: str = ""
    card: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def options(self) -> dict[str, str]:
        """The options in `evidence` by name, as text."""
        return {name: text for name, _, text in (word.partition("=") for word in self.evidence)}


@dataclass(frozen=True)
class ClaimVerdict:
    """What a run says to a claim; `measured` is the figure from this run, as text, or empty, and
    `got` how it was got. `options` are what a run of the claim's models that could tell is given
    besides, None where that is not known; `more_seeds` is how many more would probably tell, where
    seeds can."""

    answer: Answer
    reason: str
    measured: str = ""
    got: Source = "measured"
    options: str | None = None
    more_seeds: int | None = None


class CannotTell(Exception):
    """The run lacks what the claim is about; the message says what, the rest is as in
    `ClaimVerdict`."""

    def __init__(
        self,
        reason: str,
        measured: str = "",
        options: str | None = None,
        more_seeds: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.measured, self.options, self.more_seeds = measured, options, more_seeds


@dataclass(frozen=True)
class Evidence:
    """What a rule may look at: the run, the verdicts on its groups, and the groups that the claim
    names."""

    run: Run
    standings: Standings
    subjects: tuple[TrialGroup, ...]

    @property
    def groups(self) -> tuple[TrialGroup, ...]:
        """The claim's groups, or all of the run's if it names none."""
        return self.subjects or self.standings.groups

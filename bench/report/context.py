"""What every section of a report sees of its run."""

from dataclasses import dataclass
from functools import cached_property

from bench.analysis.claims.claim import Claim
from bench.analysis.claims.judge import JudgedClaim, judge_all
from bench.analysis.compare.ranking import Standings
from bench.analysis.expected import Expected, expected
from bench.analysis.references import Reference
from bench.analysis.trial_group import TrialGroup, trial_groups, trial_labels
from bench.records.records import Setting
from bench.records.run import Run
from bench.report.style import Look, looks_of


@dataclass(frozen=True, eq=False)
class Context:
    """A run as its report sees it: its groups, the verdicts on them, how each is drawn, and the
    claims and references that it is checked against."""

    run: Run
    claims: tuple[Claim, ...] = ()
    references: tuple[Reference, ...] = ()

    @cached_property
    def groups(self) -> tuple[TrialGroup, ...]:
        """Every group of the run, in the order of its trials."""
        return tuple(trial_groups(self.run))

    @cached_property
    def finished(self) -> tuple[TrialGroup, ...]:
        """Those that came to their end, or all if none did: what broke off early says little about
        the rest."""
        return tuple(group for group in self.groups if group.finished) or self.groups

    @cached_property
    def trained(self) -> tuple[TrialGroup, ...]:
        """Those that have at least one epoch."""
        return tuple(group for group in self.groups if group.trained)

    @cached_property
    def standings(self) -> Standings:
        """The one judge of whether two groups differ."""
        return Standings(self.groups)

    @cached_property
    def judged(self) -> tuple[JudgedClaim, ...]:
        """The claims with the verdicts on them."""
        return tuple(judge_all(self.claims, self.run, self.standings))

    @cached_property
    def expected(self) -> tuple[Expected, ...]:
        """The groups that have a reference, beside it."""
        return tuple(expected(self.groups, self.references))

    @cached_property
    def labels(self) -> dict[str, str]:
        """What each trial is called, by its id."""
        return trial_labels(result.trial for result in self.run.trials)

    @cached_property
    def looks(self) -> dict[str, Look]:
        """How each group is drawn, by its label."""
        return looks_of(self.groups)

    @cached_property
    def shapes(self) -> tuple[TrialGroup, ...]:
        """The first group of each model and setting: what a search or a prediction is made for."""
        first: dict[tuple[str, Setting], TrialGroup] = {}
        for group in self.groups:
            first.setdefault(group.trials[0].trial.shape, group)
        return tuple(first.values())

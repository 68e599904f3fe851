"""How far the claims of a settlement are: what its runs say so far, and what each still lacks.

Nothing is run here. The runs are looked at as far as their logs go.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.analysis.claims.claim import CannotTell, Claim, ClaimVerdict
from bench.analysis.claims.evidence import Experiment, Requirement, Wanted, experiments
from bench.analysis.claims.judge import CONDITIONS, OTHER_HARDWARE, judge
from bench.analysis.claims.settled import Settled, evidence_text, would_take
from bench.analysis.compare.ranking import Standings
from bench.analysis.run_time import corrected_seconds
from bench.analysis.tables import RunTables
from bench.analysis.trial_group import trial_groups
from bench.records.records import Trial
from bench.records.run import TrialResult

SEARCH_SECONDS, PREDICTION_SECONDS, DESCRIPTION_SECONDS = 90.0, 20.0, 3.0
"""Allowances for each model of a run that is not trained: the search for its largest batch, its
simulated step, and looking at it."""


@dataclass
class Progress:
    """Claims on their way to verdicts, and the runs that these rest on, by their number.

    `gave_up` are trials that cannot be had, `elsewhere` claims that cannot be decided here, with
    the reasons.
    """

    claims: tuple[Claim, ...]
    runs: dict[int, RunTables] = field(default_factory=dict)
    gave_up: dict[Wanted, str] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.experiments = experiments(self.claims)
        self.by_number = {e.number: e for e in self.experiments}
        self._where = {r.claim.id: (e, r) for e in self.experiments for r in e.requirements}
        for claim in self.claims:
            if "device" in claim.needs and not claim.device:
                self.elsewhere[claim.id] = OTHER_HARDWARE

    @property
    def failed(self) -> bool:
        """Whether any trial failed."""
        ended = [t.ended for run in self.runs.values() for t in run.trials if t.ended]
        return bool(self.gave_up) or any(end.status == "failed" for end in ended)

    def check_conditions(self, experiment: Experiment) -> None:
        """Note the claims that need other data or another device than its run has."""
        run = self.runs.get(experiment.number)
        if run is None:
            return
        for claim in (needed.claim for needed in experiment.requirements):
            for condition in {"cifar10", "some-cifar10", "device"} & set(claim.needs):
                try:
                    CONDITIONS[condition](claim, run, ())
                except CannotTell as lack:
                    self.elsewhere.setdefault(claim.id, str(lack))

    def first_seed(self, experiment: Experiment) -> frozenset[Wanted]:
        """The first seed of everything that some claim of a run needs and that is not elsewhere."""
        claims = [r.claim.id for r in experiment.requirements if r.claim.id not in self.elsewhere]
        return frozenset(w for c in claims for w in experiment.wanted(c, 1, ()))

    def fewest_seeds(self, claims: Sequence[str]) -> int:
        """The seeds without which none of these claims is judged."""
        return min(self._where[name][1].seeds for name in claims)

    def needs(self, left: float) -> dict[str, frozenset[Wanted]]:
        """The trials that would decide each undecided claim that some trials would, with what they
        are trained side by side with. What takes longer than `left` seconds is nothing to train
        side by side with."""
        verdicts = {claim.id: self.verdict(claim.id) for claim in self.claims}
        undecided = [
            name
            for name, verdict in verdicts.items()
            if verdict.answer == "cannot tell" and name not in self.elsewhere
        ]
        alone = {name: self._needs(name, verdicts[name], ()) for name in undecided}
        near = [n for n, needed in alone.items() if needed and self._left_to_do(needed) <= left]
        return {
            name: needed
            for name in undecided
            if (needed := self._needs(name, verdicts[name], near)) is not None
        }

    def _needs(
        self, name: str, verdict: ClaimVerdict, beside: Sequence[str]
    ) -> frozenset[Wanted] | None:
        """The trials that would decide a claim; None if none would."""
        experiment, needed = self._where[name]
        seeds = needed.seeds
        if self._has_evidence(experiment, needed):
            if verdict.more_seeds is None:
                return None
            seeds = self._seeds(experiment, needed) + verdict.more_seeds
        if any(map(self._has_failed, experiment.wanted(name, seeds, ()))):
            return None
        wanted = experiment.wanted(name, seeds, beside)
        return frozenset(w for w in wanted if not self._has_failed(w))

    def _left_to_do(self, wanted: frozenset[Wanted]) -> float:
        """Seconds of what is not done of this; infinite where that is not known."""
        prices = [self.price(w) for w in wanted if not self.is_over(w)]
        return sum(float("inf") if price is None else price for price in prices)

    def price(self, wanted: Wanted) -> float | None:
        """Predicted seconds; None where they are not known."""
        experiment, run = self.by_number[wanted.experiment], self.runs.get(wanted.experiment)
        if not experiment.trained:
            options = dict(experiment.options)
            searches = SEARCH_SECONDS if options["max_batch"] else 0.0
            return DESCRIPTION_SECONDS + searches + PREDICTION_SECONDS * len(options["card"])
        if run is None:
            return None
        # What could be neither timed nor simulated is predicted to take no time.
        seconds = [corrected_seconds(trial, run) for trial in self._first_trials(wanted)]
        return sum(seconds) if seconds and all(seconds) else None

    def _first_trials(self, wanted: Wanted) -> list[Trial]:
        """The trials of the first seed whose seconds were to be predicted."""
        run, subject = self.runs.get(wanted.experiment), wanted.subject
        trials = [time.trial for time in run.predicted_times.values()] if run else []
        first = (subject.model, subject.optimizer, 0)
        return [t for t in trials if (t.model, t.setting.optimizer, t.seed) == first]

    def is_over(self, wanted: Wanted) -> bool:
        """Whether its trials ended, and none of them is to be repeated."""
        trials = self._trials(wanted)
        sizes = len(dict(self.by_number[wanted.experiment].options)["batch_size"])
        return len(trials) == sizes and all(t.ended and not t.ended.retry for t in trials)

    def _trials(self, wanted: Wanted) -> list[TrialResult]:
        run, subject = self.runs.get(wanted.experiment), wanted.subject
        return [
            result
            for result in (run.trials if run else ())
            if (result.trial.model, result.trial.setting.optimizer, result.trial.seed)
            == (subject.model, subject.optimizer, wanted.seed)
        ]

    def _has_failed(self, wanted: Wanted) -> bool:
        if wanted in self.gave_up:
            return True
        trials = self._trials(wanted)
        return any(t.went_wrong and t.ended and not t.ended.retry for t in trials)

    def _seeds(self, experiment: Experiment, needed: Requirement) -> int:
        """How many seeds of all that a claim is about are done; none after one that failed."""

        def is_done(wanted: Wanted) -> bool:
            return self.is_over(wanted) and not self._has_failed(wanted)

        seeds = 0
        while all(is_done(Wanted(experiment.number, seeds, s)) for s in needed.subjects):
            seeds += 1
        return seeds

    def _has_evidence(self, experiment: Experiment, needed: Requirement) -> bool:
        return self._seeds(experiment, needed) >= needed.seeds

    def verdict(self, name: str) -> ClaimVerdict:
        """What the evidence so far says to a claim; nothing before it is all there."""
        experiment, needed = self._where[name]
        if name in self.elsewhere:
            return ClaimVerdict("cannot tell", self.elsewhere[name])
        if not self._has_evidence(experiment, needed):
            failed = self._failed(experiment, needed)
            return ClaimVerdict("cannot tell", self._why(failed[0]) if failed else "not yet run")
        run = self.runs[experiment.number]
        return judge(needed.claim, run, Standings(trial_groups(run)))

    def _failed(self, experiment: Experiment, needed: Requirement) -> list[Wanted]:
        """The trials without which a claim cannot be judged, and that cannot be had."""
        every = experiment.wanted(needed.claim.id, needed.seeds, ())
        return sorted(wanted for wanted in every if self._has_failed(wanted))

    def _why(self, wanted: Wanted) -> str:
        reasons = [t.ended.reason for t in self._trials(wanted) if t.ended and t.ended.reason]
        return f"{wanted.subject.model} failed: {(reasons or [self.gave_up.get(wanted, '')])[0]}"

    def settled(self) -> tuple[Settled, ...]:
        """Where every claim stands."""
        return tuple(map(self._settled, self.claims))

    def _settled(self, claim: Claim) -> Settled:
        experiment, needed = self._where[claim.id]
        verdict, seeds = self.verdict(claim.id), self._seeds(experiment, needed)
        evidence = evidence_text(needed, experiment.number, seeds) if seeds else ""
        if claim.id in self.elsewhere:
            return Settled(claim, "cannot be decided here", verdict)
        if verdict.answer != "cannot tell":
            return Settled(claim, "decided", verdict, evidence)
        wanted = self._needs(claim.id, verdict, ())
        if wanted is not None:
            takes = self._would_take(wanted)
        elif self._failed(experiment, needed):
            takes = "that its trials do not fail"
        elif verdict.got == "predicted":
            takes = "a measurement on the card"
        else:
            takes = "too many more seeds, or other evidence"
        return Settled(claim, "open", verdict, evidence, takes)

    def _would_take(self, wanted: frozenset[Wanted]) -> str:
        missing, seconds = [w for w in wanted if not self.is_over(w)], self._left_to_do(wanted)
        if any(map(self._could_not_be_timed, missing)):
            return "that a few of its steps can be timed"
        if seconds == float("inf"):
            return "a longer --time-limit: this one had no room to predict it"
        return would_take(missing, seconds)

    def _could_not_be_timed(self, wanted: Wanted) -> bool:
        """Whether a few of its steps were run, and did not come to their end."""
        run = self.runs.get(wanted.experiment)
        predicted = run.time_predicted if run else None
        if predicted is None or predicted.factor > 1:
            return False
        return bool(self._first_trials(wanted)) and self.price(wanted) is None

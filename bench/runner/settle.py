"""Claims settled: run what decides the most of them next, until all are decided or time is up.

A settlement is a folder of ordinary runs, one for each set of options that its claims want
(`bench.analysis.claims.evidence`), in `runs/N`. It goes on in rounds: a round opens or resumes one
of these runs with a plan of the trials that the planner chose, so whatever holds for a run
(its log, its checkpoints, a process for each trial, models in turn) holds here. Nothing else is
kept: a settlement is resumed from the logs of its runs. What compares seconds is trained side by
side, in one round.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from bench import config as run_options
from bench.analysis.claims.claim import Claim
from bench.analysis.claims.evidence import Experiment, Wanted
from bench.analysis.claims.progress import PREDICTION_SECONDS, Progress
from bench.analysis.claims.reader import (
    KEPT,
    lecture_claims,
    read_claims,
    series_claims,
    write_claims,
)
from bench.analysis.claims.schedule import Step, schedule
from bench.analysis.claims.settled import write_settled
from bench.analysis.run_time import MARGIN, REPORT_SECONDS
from bench.analysis.tables import RunTables
from bench.config import Config
from bench.errors import BenchError, Interrupted, Refused
from bench.options import Duration, File, Folder, Group, Help, options_of
from bench.records import records
from bench.records.files import locked, write_atomic
from bench.records.run import UNTRAINED, read_run
from bench.records.run_folder import LOG, RunFolder, check_output, new_folder
from bench.runner.plan import Plan, make_plan
from bench.runner.recorder import Listener
from bench.runner.resume import check_same_options, check_same_place, with_same_data
from bench.runner.run import prepare, refuse_early, under_way
from bench.runner.scratch import scratch_folder
from bench.runner.session import CPU_LIMIT_HOLDS, Session
from bench.runner.stopwatch import Stopwatch
from bench.units import parse_duration

KEPT_OPTIONS = "settle.json"
"""The options of a settlement, in its folder."""

ROUND_SECONDS = 10.0
"""An allowance for starting and ending a round."""

PRICING_SHARE = 0.25
"""Timing a few steps of what might be trained takes at most this share of the time limit."""

NEEDS_LINUX = "a memory budget on the CPU needs Linux"
"""Why another system's CPU cannot decide claims with such a budget."""

Pricing = Literal["timed", "simulated"]
"""How a round finds what trials take: by timing a few of their steps, or by simulating them."""

KEPT_FROM_USER = ("dataset", "data_dir", "device", "trial_timeout")
"""Options that every run of a settlement is given."""


@dataclass(frozen=True)
class SettleOptions:
    """Decide claims: train what decides the most of them per minute, until time is up.

    Every claim says, or its rule does, what evidence decides it. Seeds are added where an interval
    is too wide.
    """

    claims: Annotated[File | None, Help(Group.COMPARED, "the lecture's and its series'")] = None
    """The claims, a CSV file with a row for each."""

    dataset: Annotated[run_options.DatasetName, Help(Group.COMPARED)] = "auto"
    """As for `run`; claims that need CIFAR-10 are decided on nothing else."""

    data_dir: Annotated[Folder | None, Help(Group.COMPARED)] = None
    """The folder with train/CLASS/* and test/CLASS/* (--dataset folder), or with CIFAR."""

    time_limit: Annotated[Duration, Help(Group.LENGTH)] = "2h"
    """Be done with everything, reports included, in this time. Counted anew with --resume."""

    dry_run: Annotated[bool, Help(Group.LENGTH)] = False
    """Time a few steps of everything that would be trained and show the plan; write nothing."""

    trial_timeout: Annotated[run_options.Seconds | None, Help(Group.LENGTH)] = None
    """Stop any process of a trial that takes longer; the trial fails, the others go on."""

    device: Annotated[run_options.Device, Help(Group.PLACE)] = "auto"
    """Where to train; auto is the CUDA card if there is one, else the CPU."""

    output: Annotated[Folder | None, Help(Group.OUTPUT, "results/TIME-settle")] = None
    """The folder of the settlement; must be new or empty."""

    resume: Annotated[Folder | None, Help(Group.OUTPUT)] = None
    """Go on with the settlement in this folder, with its own claims and options."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name, option in options_of(SettleOptions).items():
            option.checked(getattr(self, name))
        _ = self.limit_seconds
        if self.resume is None:
            return
        if self.dry_run:
            raise Refused("--dry-run shows the plan of a new settlement; leave out --resume.")
        if self.claims or self.output:
            raise Refused("--resume keeps its claims and its folder: leave out the others.")

    @property
    def limit_seconds(self) -> float:
        """The time limit in seconds."""
        return parse_duration(self.time_limit)


@dataclass(frozen=True)
class Round:
    """What is run next, as listeners are told."""

    step: Step[Wanted]


def settle(options: SettleOptions, listener: Listener = lambda message: None) -> "Settlement":
    """Settle claims, and return what came of it; a dry run trains nothing and keeps no folder.

    Raises:
        Refused: the input cannot work; nothing was trained.
        Interrupted: a signal arrived; the settlement can be resumed.
        BenchError: a folder can no longer be written to.
    """
    if options.dry_run:
        claims = _claims_of(options)
        with scratch_folder() as scratch:
            planned = Settlement(options, Progress(claims), scratch / "settle", listener)
            planned.refuse_early()
            planned.price_all(float("inf"))
            planned.plan()
            return planned
    folder, options, claims = _opened(options)
    settlement = Settlement(options, Progress(claims), folder, listener)
    settlement.refuse_early()
    with _locked(folder):
        settlement.load()
        _keep(folder, options, claims)
        try:
            settlement.carry_out()
        except (Interrupted, KeyboardInterrupt) as error:
            raise Interrupted(
                f"interrupted; what was decided is in {folder}: `python -m bench settle --resume "
                f"{folder}` goes on.",
                error.exit_code - 128 if isinstance(error, Interrupted) else 2,
            ) from None
    return settlement


@dataclass
class Settlement:
    """A settlement on its way: its progress, what is planned next, and what its trials take."""

    options: SettleOptions
    progress: Progress
    folder: Path
    listener: Listener
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    steps: tuple[Step[Wanted], ...] = ()
    seconds: dict[Wanted, float] = field(default_factory=dict)

    def load(self) -> None:
        """Read the runs that there are; nobody else may be writing to them."""
        for experiment in self.progress.experiments:
            if (path := self.path(experiment) / LOG).is_file() and path.stat().st_size:
                self._load(experiment)

    def path(self, experiment: Experiment) -> Path:
        """The folder of a run."""
        return self.folder / "runs" / str(experiment.number)

    def config(self, experiment: Experiment, seeds: int = 1) -> Config:
        """The options of a run."""
        given = {name: getattr(self.options, name) for name in KEPT_FROM_USER}
        return experiment.config(**given, seeds=seeds, output=self.path(experiment))

    def refuse_early(self) -> None:
        """Refuse claims about what cannot be run, such as an unknown model; note those that only
        another system can decide."""
        for experiment in self.progress.experiments:
            if not self.path(experiment).exists():
                for needed in experiment.requirements:
                    alone = replace(experiment, requirements=(needed,))
                    try:
                        config = self.config(alone)
                        if config.memory_budget and config.device == "cpu" and not CPU_LIMIT_HOLDS:
                            self.progress.elsewhere[needed.claim.id] = NEEDS_LINUX
                        else:
                            refuse_early(config)
                    except Refused as error:
                        raise Refused(f"claim {needed.claim.id}: {error}") from error

    def carry_out(self) -> None:
        """Price, then round after round."""
        self.price_all(PRICING_SHARE * self.options.limit_seconds)
        while self.plan():
            step = self._cut(self.steps[0])
            self.listener(Round(step))
            (number,) = _runs_of(step)
            self._round(self.progress.by_number[number], step.trials)
            for wanted in step.trials:
                if not self.progress.is_over(wanted):
                    self.progress.gave_up[wanted] = "its trials did not end"
            write_settled(self.progress.settled(), self.folder)
        write_settled(self.progress.settled(), self.folder)

    def price_all(self, limit: float) -> None:
        """Time a few steps of everything that might be trained, for so many seconds: small images
        first, and what serves most claims. On the CPU, steps of the rest are simulated for as long
        again."""
        runs = self.progress.runs
        for experiment in sorted(self.progress.experiments, key=_dearness):
            wanted = self.progress.first_seed(experiment)
            if experiment.trained and wanted:
                run, passed = runs.get(experiment.number), self.stopwatch.passed()
                known = run.time_predicted if run else None
                if passed < limit and (known is None or known.factor > 1):
                    self._round(experiment, wanted, pricing="timed")
                elif passed < 2 * limit and known is None and self._on_cpu():
                    self._round(experiment, wanted, pricing="simulated")

    def _on_cpu(self) -> bool:
        return any(run.device.kind == "cpu" for run in self.progress.runs.values())

    def plan(self) -> bool:
        """Work out the steps for what is undecided; False if nothing is left to be done in time."""
        reports = REPORT_SECONDS * max(1, len(self.progress.runs))
        left = self.options.limit_seconds - self.stopwatch.passed() - reports
        needs = self.progress.needs(left)
        wanted = {w for needed in needs.values() for w in needed}
        prices = ((w, self.progress.price(w)) for w in wanted)
        self.seconds = {w: price for w, price in prices if price is not None}
        priced = {c: n for c, n in needs.items() if n <= self.seconds.keys()}
        done = frozenset(w for w in wanted if self.progress.is_over(w))
        steps = schedule(priced, self.seconds, left / (1 + MARGIN), done, ROUND_SECONDS)
        self.steps = self._merged(steps)
        return bool(self.steps)

    def _merged(self, steps: Sequence[Step[Wanted]]) -> tuple[Step[Wanted], ...]:
        """Steps of one untrained run that follow one another, in one round."""
        merged: list[Step[Wanted]] = []
        for step in steps:
            number = next(iter(step.trials)).experiment
            last = merged[-1] if merged else None
            if last and not self.progress.by_number[number].trained and number in _runs_of(last):
                merged[-1] = Step(
                    last.trials | step.trials,
                    (*last.claims, *step.claims),
                    last.seconds + step.seconds - ROUND_SECONDS,
                )
            else:
                merged.append(step)
        return tuple(merged)

    def _cut(self, step: Step[Wanted]) -> Step[Wanted]:
        """The part of a step after which its claims may be decided: all seeds without which none
        is judged, then a seed at a time."""
        least = self.progress.fewest_seeds(step.claims)
        first = max(least - 1, min(wanted.seed for wanted in step.trials))
        trials = frozenset(wanted for wanted in step.trials if wanted.seed <= first)
        return replace(step, trials=trials, seconds=sum(self.seconds[w] for w in trials))

    def _round(
        self,
        experiment: Experiment,
        wanted: frozenset[Wanted],
        *,
        pricing: Pricing | None = None,
    ) -> None:
        """Open or resume a run, and do what is wanted of it; or only find what that takes."""
        path = self.path(experiment)
        new = experiment.number not in self.progress.runs
        if new:
            shutil.rmtree(path, ignore_errors=True)
        folder = RunFolder(path, resume=not new)
        try:
            config = self.config(experiment, max(w.seed for w in wanted) + 1)
            run = RunTables(path) if new else read_run(RunTables(path))
            with scratch_folder() as scratch:
                stopwatch = Stopwatch()
                same = config if new else with_same_data(config, run)
                prepared = prepare(same, scratch, self.listener)
                if not new:
                    check_same_place(run, prepared)
                plan = _chosen(make_plan(config, prepared.models, prepared.dataset), wanted)
                stopwatch.lap("data")
                session = Session(config, prepared, scratch, self.listener, folder, run, stopwatch)
                with under_way(session):
                    session.start() if new else session.catch_up()
                    if new:
                        write_claims((r.claim for r in experiment.requirements), path)
                    self._work(session, plan, experiment, pricing=pricing)
        except Refused as error:
            self.progress.gave_up |= dict.fromkeys(wanted, str(error))
        finally:
            folder.close()
        self._load(experiment)

    def _work(
        self, session: Session, plan: Plan, experiment: Experiment, *, pricing: Pricing | None
    ) -> None:
        if pricing == "simulated":
            session.foresee(plan, within=PREDICTION_SECONDS * len(plan.shapes))
            return
        session.search_all(plan)
        if not experiment.trained:
            session.predict_all()
            session.leave_untrained(plan, UNTRAINED)
        elif pricing == "timed":
            for timed in self._timed(experiment):
                if any(session.is_timed_as(timed, trial) for trial in plan.trials):
                    session.record(timed)
            session.price(plan)
        else:
            session.train_all(plan)

    def _timed(self, experiment: Experiment) -> Iterator[records.StepsTimed]:
        """Steps that were timed in other runs under the same conditions."""
        budget = dict(experiment.options).get("memory_budget")
        for number, run in self.progress.runs.items():
            if dict(self.progress.by_number[number].options).get("memory_budget") == budget:
                yield from run.steps_timed.values()

    def _load(self, experiment: Experiment) -> None:
        """Read a run again, and note what it tells of its machine and data; one that was killed
        before it began counts as none."""
        run = read_run(RunTables(self.path(experiment)))
        try:
            run.check_begun()
        except Refused:
            return
        try:
            now = self.config(experiment).to_dict()
            given = {name: now[name] for name, _ in experiment.options}
            check_same_options(run.started.config, given)
        except Refused as error:
            raise Refused(
                f"{self.path(experiment)} is not the run that its claims want: start a new "
                "settlement."
            ) from error
        self.progress.runs[experiment.number] = run
        self.progress.check_conditions(experiment)


def _runs_of(step: Step[Wanted]) -> set[int]:
    return {wanted.experiment for wanted in step.trials}


def _dearness(experiment: Experiment) -> tuple[bool, int]:
    native = dict(experiment.options)["image_size"] == ("native",)
    return native, -len(experiment.requirements)


def _chosen(plan: Plan, wanted: frozenset[Wanted]) -> Plan:
    """The trials of a plan that are wanted, in its order."""
    keys = {(w.seed, w.subject.model, w.subject.optimizer) for w in wanted}
    return Plan(tuple(t for t in plan.trials if (t.seed, t.model, t.setting.optimizer) in keys))


def _claims_of(options: SettleOptions) -> tuple[Claim, ...]:
    if options.claims is not None:
        return read_claims(options.claims)
    return (*lecture_claims(), *series_claims())


def _opened(options: SettleOptions) -> tuple[Path, SettleOptions, tuple[Claim, ...]]:
    """The folder of a settlement, new or to be resumed, with its options and its claims."""
    if options.resume is None:
        folder = options.output or new_folder("settle")
        check_output(folder)
        return folder, options, _claims_of(options)
    folder = options.resume
    try:
        kept = json.loads((folder / KEPT_OPTIONS).read_text("utf-8"))
        values = {n: kept[n] for n in KEPT_FROM_USER}
    except (OSError, ValueError, KeyError, TypeError):
        raise Refused(
            f"--resume {folder} is no settlement: it has no readable {KEPT_OPTIONS}; name a folder "
            "that `settle` made."
        ) from None
    values["data_dir"] = values["data_dir"] and Path(values["data_dir"])
    for name, option in options_of(SettleOptions).items():
        given = getattr(options, name)
        if name in KEPT_FROM_USER and given != option.default:
            if name == "trial_timeout":
                values[name] = given
            elif given != values[name]:
                raise Refused(f"--resume keeps its {option.flags[0]}: leave it out.")
    return folder, replace(options, **values), read_claims(folder / KEPT)


def _keep(folder: Path, options: SettleOptions, claims: Sequence[Claim]) -> None:
    """Write what a settlement is resumed with."""
    write_claims(claims, folder)
    values = {name: value for name, value in asdict(options).items() if name != "resume"}
    write_atomic(folder / KEPT_OPTIONS, json.dumps(values, indent=2, default=str) + "\n")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Raises Refused if another process settles in this folder."""
    try:
        lock = locked(folder)
    except OSError as error:
        raise BenchError(f"{folder} cannot be written to: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.release()

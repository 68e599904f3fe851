"""A run in progress: models described and searched, trials trained, each in a process of its own; a
failed trial does not stop the others.
"""

import contextlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from bench.analysis.claims.reader import keep_claims
from bench.analysis.noise import noise_of
from bench.analysis.run_time import (
    by_point,
    by_seed,
    corrected_seconds,
    is_cheap_to_predict,
    limit_needed,
    phases_of,
    predict_time,
    too_short,
)
from bench.analysis.tables import RunTables, write_tables
from bench.analysis.trial_group import trial_labels
from bench.analysis.tuning import choose
from bench.config import DEFAULT_MEMORY_BUDGET, Config
from bench.errors import BenchError, NodeLost, Refused, TrialFailed
from bench.prediction.cpu import FACTOR
from bench.records import messages, records
from bench.records.run import Run
from bench.records.run_folder import RunFolder
from bench.runner.batch_search import Prober
from bench.runner.cluster import Cluster
from bench.runner.foresight import foresee
from bench.runner.interrupts import Interrupts
from bench.runner.other_cards import predict_on_cards
from bench.runner.plan import (
    Plan,
    Shape,
    at_any_rate,
    at_chosen,
    choose_batches,
    notes_on,
    refusal,
)
from bench.runner.provenance import shown_command
from bench.runner.recorder import Listener, Recorder
from bench.runner.rehearsal import rehearse
from bench.runner.slots import Blocks, Waiting, spread
from bench.runner.stopwatch import Stopwatch
from bench.runner.trial_runner import TrialRunner, now
from bench.units import parse_bytes

CPU_LIMIT_HOLDS = sys.platform == "linux"
"""Elsewhere nothing limits a process's memory, so the CPU has no largest batch."""

SHARED = (
    "Other trials ran beside it on the same processors (--share-node): its times do not compare "
    "with those of trials that ran alone."
)
"""A note on every trial of such a run."""

STOPPING = "stopping after the present step, to resume from there; a second Ctrl-C does not wait."
"""What is said after the first signal."""

FORESIGHT_SHARE = 0.1
"""Predicting the time of a plan from simulated steps takes at most this share of a time limit."""


class Session:
    """A run in progress: its folder, its results so far, and the conditions of all its workers."""

    def __init__(
        self,
        config: Config,
        prepared: messages.Prepared,
        scratch: Path,
        listener: Listener,
        folder: RunFolder,
        run: RunTables,
        stopwatch: Stopwatch,
        tuning: records.TuningDeclared | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self.config = config
        self.prepared = prepared
        self.recorder = Recorder(config, prepared, scratch, listener, folder, run)
        self.record = self.recorder.record
        self.folder = folder
        self.run = run
        self.stopwatch = stopwatch
        self.tuning = tuning
        self.interrupts = Interrupts()
        self.began = perf_counter()
        self._timed = self._ended = False
        self.failed_shapes: dict[Shape, BenchError] = {}
        on_cpu = prepared.device.kind == "cpu"
        budget = config.memory_budget_bytes
        conditions = messages.Conditions(
            device=prepared.device.device,
            dataset=prepared.dataset,
            budget_bytes=budget,
            workers=config.workers,
            deterministic=config.deterministic,
            own=prepared.own,
            threads=prepared.device.threads if config.share_node > 1 else None,
        )
        slots = prepared.slots or (prepared.device,)
        starts = cluster.workers(scratch, folder.path) if cluster else [None] * len(slots)
        self.runners = [
            TrialRunner(
                self.recorder,
                replace(conditions, device=device.device),
                Stopwatch() if len(slots) > 1 else stopwatch,
                number,
                start,
            )
            for number, (device, start) in enumerate(zip(slots, starts, strict=True))
        ]
        self.searches = config.max_batch and (not on_cpu or CPU_LIMIT_HOLDS)
        # Where nothing is searched, models are described without a limit.
        default = parse_bytes(DEFAULT_MEMORY_BUDGET) if on_cpu and self.searches else None
        self.training = conditions
        self.searching = replace(conditions, budget_bytes=budget or default)

    def start(self) -> None:
        """Record the options of the run and where it runs."""
        config = self.config.to_dict()
        self.folder.write_json("config.json", config)
        self.folder.write_json("environment.json", self.prepared.environment)
        if self.config.claims is not None:
            keep_claims(self.config.claims, self.folder.path)
        command = shown_command(sys.argv, self.recorder.places)
        self.record(
            records.RunStarted(records.SCHEMA, now(), command, config, self.prepared.environment)
        )
        self.record(self.prepared.device)
        if self.prepared.slots:
            self.record(records.Slots(self.prepared.slots, self.prepared.nodes))
        self.record(self.prepared.dataset)
        for facts in self.prepared.models:
            self.record(facts)
        if self.tuning is not None:
            self.record(self.tuning)

    def catch_up(self) -> None:
        """Record what a run that was killed at its start did not, and where it goes on."""
        slots = records.Slots(self.prepared.slots, self.prepared.nodes)
        if slots != records.Slots(self.run.slots, self.run.nodes):
            self.record(slots)
        for facts in self.prepared.models:
            if facts.name not in self.run.facts:
                self.record(facts)
        if self.tuning is not None and self.run.tuning_declared is None:
            self.record(self.tuning)

    def search_all(self, plan: Plan) -> None:
        """Describe every model and find the largest batch of each shape."""
        for shape in plan.shapes:
            self._take_over(shape)
            if self._is_searched(shape):
                continue
            try:
                self._search(shape)
            except (TrialFailed, Refused) as error:
                self.failed_shapes[shape] = error
        self.recorder.update_tables(self.stopwatch)

    def _take_over(self, shape: Shape) -> None:
        """Record what was found at another learning rate, if it was: it holds at any."""
        if shape in self.run.largest_batches:
            return
        found = {at_any_rate(known): largest for known, largest in self.run.largest_batches.items()}
        if (largest := found.get(at_any_rate(shape))) is not None:
            self.record(replace(largest, setting=shape[1]))

    def _is_searched(self, shape: Shape) -> bool:
        """Whether the run, before it was resumed, has searched for this shape."""
        described = (shape[0], shape[1].image_size) in self.run.described
        swept = not self.config.sweep_batch or any(
            (p.model, p.setting) == shape for p in self.run.sweep_points
        )
        return described and (not self.searches or (shape in self.run.largest_batches and swept))

    def train_all(self, plan: Plan) -> None:
        """Train every trial that is not known to fail; of a resumed run, show the earlier epochs
        first."""
        self.recorder.labels = trial_labels(plan.trials)
        self.recorder.tell(messages.Planned(self.recorder.labels))
        for result in self.run.trials:
            for epoch in result.epochs:
                self.recorder.tell(epoch)
        decided = self._decided(plan)
        seeds = by_seed(t for t in decided if not t.is_point and not self._is_over(t))
        self._tune(decided, next(iter(seeds.values()), ()))
        self._spread(seeds, lambda left, needed: self._cut(tuple(left), needed))

    def _tune(self, trials: Sequence[records.Trial], reserved: Sequence[records.Trial]) -> None:
        """Try the points that are left, one of every contestant after the other, and choose the
        best of each; the time limit must have room for the `reserved` trials afterwards.

        Once anything is chosen, no point is tried any more: also in a resumed run, what was chosen
        follows from what was tried before.
        """
        left = [trial for trial in trials if trial.is_point and self._is_left(trial)]

        def cut(left: Blocks, needed: float) -> None:
            self._cut((), needed, tuple(left))

        self._spread(by_point(left), cut, reserved)
        if self.tuning is None:
            return
        for contestant in dict.fromkeys(trial.contestant for trial in trials):
            if contestant not in self.run.chosen:
                self.record(choose(self.run, contestant, self.tuning))

    def _spread(
        self,
        blocks: Blocks,
        cut: Callable[[Blocks, float], None],
        reserved: Sequence[records.Trial] = (),
    ) -> None:
        """Attempt blocks, each on one slot, while the time limit has room for the next one and for
        what is reserved."""

        def needed(trials: Sequence[records.Trial]) -> float:
            return self._seconds((*trials, *reserved))

        waiting = Waiting(
            blocks,
            has_time=lambda trials: self._has_time(needed(trials)),
            cut=lambda left: cut(left, needed(next(iter(left.values())))),
        )
        own = [r.stopwatch for r in self.runners if r.stopwatch is not self.stopwatch]
        for stopwatch in own:
            stopwatch.skip()
        with self.interrupts.ask_first(self._stop, self._step_seconds):
            spread(waiting, self._living, self._attempt, self._lost)
        if own:
            self.stopwatch.skip()

    @property
    def _living(self) -> list[TrialRunner]:
        """Those whose node was not lost."""
        return [runner for runner in self.runners if not runner.lost]

    def _stop(self) -> None:
        for runner in self.runners:
            runner.stop()
        # Who reads the output may have ended, too, as `tee` does, or it is in the midst of a line.
        with contextlib.suppress(OSError, RuntimeError):
            self.recorder.tell(messages.Warned(STOPPING))

    def _step_seconds(self) -> float:
        """How long a step takes, as far as is known, of those that are in progress."""
        return max(runner.step_seconds for runner in self.runners)

    def _lost(self, trials: Sequence[records.Trial], why: NodeLost) -> None:
        """Say that a slot is gone with trials of a block that it was training."""
        names = ", ".join(self.recorder.labels[trial.id] for trial in trials)
        self.recorder.tell(messages.Warned(f"{why} Another slot trains {names}."))
        trial = trials[0]
        if self.run.trial(trial.id) is not None:
            note = "The node that trained it was lost; it went on in another slot."
            self.record(records.TrialNoted(trial.id, note))

    def _seconds(self, trials: Iterable[records.Trial]) -> float:
        """What trials will take, one after another."""
        return sum(corrected_seconds(trial, self.run) for trial in trials)

    def leave_untrained(self, plan: Plan, reason: str) -> None:
        """Record that no trial of a plan is trained, and why; one whose model could not be looked
        at, or searched for, has failed."""
        for trial in self._decided(plan):
            error, _ = self._known_to_fail(trial)
            if error is not None:
                self.record(self.runners[0].failed(trial, error, 0.0))
            else:
                self.record(records.TrialEnded(trial, "refused", reason, 0.0))

    def _attempt(self, trial: records.Trial, runner: TrialRunner) -> None:
        """Train a trial, unless it is known to fail."""
        error, reason = self._known_to_fail(trial)
        chosen = at_chosen(trial, self.run.chosen)
        if chosen is None:
            reason = reason or "every point of its tuning failed, so there is none to train again."
        trial = chosen or trial
        if error is not None:
            self.record(runner.failed(trial, error, 0.0))
        elif reason is not None:
            self.record(records.TrialEnded(trial, "refused", reason, 0.0))
        else:
            runner.train(trial, self._notes(trial))
        self.recorder.update_tables(runner.stopwatch)

    def _notes(self, trial: records.Trial) -> tuple[str, ...]:
        described = self.run.described.get((trial.model, trial.setting.image_size))
        data, epochs = self.prepared.dataset_of(trial), self.config.epochs
        notes = notes_on(trial, described, data, epochs=epochs, searched=self.searches)
        return (*notes, *([SHARED] if self.config.share_node > 1 else []))

    def _known_to_fail(self, trial: records.Trial) -> tuple[BenchError | None, str | None]:
        """Why the search failed for a trial, and why it does not fit in memory; None if not."""
        largest = self.run.largest_batches.get(trial.shape)
        return self.failed_shapes.get(trial.shape), refusal(trial, trial.batch_size, largest)

    def _decided(self, plan: Plan) -> list[records.Trial]:
        """The trials with their batch sizes, which are known after the search."""
        images = self.prepared.dataset.train_images
        strong, found = self.config.scaling == "strong", self.run.largest_batches
        sizes = choose_batches(plan.trials, found, images, strong=strong)
        # A resumed run may know more of what fits, but all seeds are trained with the same batch.
        begun = {r.trial.contestant: r.trial.batch_size for r in self.run.trials if r.stays}
        return [
            replace(trial, batch_size=begun.get(trial.contestant) or sizes[trial])
            for trial in plan.trials
        ]

    def foresee(self, plan: Plan, *, within: float) -> records.TimePredicted | None:
        """On the CPU, predict how long the trials take from simulated steps, before anything is
        searched for or timed; None where that cannot be done, or not in so many seconds."""
        trials = [trial for trial in self._decided(plan) if self._is_left(trial)]
        elsewhere = self.prepared.device.kind != "cpu" or bool(self.prepared.nodes)
        if elsewhere or not trials:
            return None
        self.recorder.tell(messages.Progress("predicting the time of a step", 0, 1))
        shapes = tuple(dict.fromkeys(trial.shape for trial in trials))
        try:
            log = self.recorder.log
            seen = foresee(shapes, self.prepared, log, within=within)
        except (TrialFailed, Refused) as error:
            text = f"the time of this plan is predicted only once steps are timed: {error}"
            self.recorder.tell(messages.Warned(text))
            return None
        self.stopwatch.lap("predict")
        times = [records.TrialTime(t, self._phases(t, seen.steps(t))) for t in trials]
        if not any(time.seconds for time in times):
            return None
        limit = self.config.time_limit_seconds
        predicted = predict_time(
            times, self.stopwatch.passed(), limit, factor=FACTOR, slots=len(self.runners)
        )
        self.record(predicted)
        return predicted

    def refuse_hopeless(self, plan: Plan) -> None:
        """Raises Refused, before anything is searched for or timed, if a time limit is too short
        even if trials are as fast as can be expected from simulated steps."""
        limit = self.config.time_limit_seconds
        if limit is None or self.config.dry_run or self.run.steps_timed:
            return
        predicted = self.foresee(plan, within=FORESIGHT_SHARE * limit)
        if predicted is not None and (reason := too_short(predicted)):
            raise Refused(reason)

    def predict_time(self, plan: Plan) -> None:
        """Predict how long the trials take from a few steps of each model; raises Refused if the
        time limit has no room for one seed of each, except in a dry run, which shows that."""
        trials, refused = [], dict[str, None]()
        for trial in self._decided(plan):
            error, reason = self._known_to_fail(trial)
            if error or reason:
                refused[reason or f"{trial.model}: {error}"] = None
            elif self._is_left(trial):
                trials.append(trial)
        for why in refused if self.config.dry_run else ():
            self.recorder.tell(messages.Warned(why))
        asked = self.config.dry_run or self.config.time_limit is not None
        images = self.prepared.dataset.train_images
        if not asked and not is_cheap_to_predict(trials, images, self.config.epochs):
            return
        reason = too_short(self._time(trials))
        if reason is not None and not self.config.dry_run:
            raise Refused(reason)

    def price(self, plan: Plan) -> None:
        """Predict how long the trials take, whatever that costs, and cut none."""
        self._time(self._decided(plan))

    def is_timed_as(self, timed: records.StepsTimed, trial: records.Trial) -> bool:
        """Whether a trial's steps are those that were timed, and not timed in this run."""
        key = (timed.model, timed.setting, timed.batch_size)
        return _timed_key(trial) == key and key not in self.run.steps_timed

    def _time(self, trials: Sequence[records.Trial]) -> records.TimePredicted:
        first_of_each: dict[TimedKey, records.Trial] = {}
        for trial in trials:
            first_of_each.setdefault(_timed_key(trial), trial)
        for key, trial in first_of_each.items():
            if key not in self.run.steps_timed:
                self._rehearse(trial)
        self.stopwatch.lap("rehearse")
        timed = self.run.steps_timed
        times = [records.TrialTime(t, self._phases(t, timed.get(_timed_key(t)))) for t in trials]
        limit = self.config.time_limit_seconds
        slots = len(self.runners)
        predicted = predict_time(times, self.stopwatch.passed(), limit, slots=slots)
        self.record(predicted)
        return predicted

    def _phases(self, trial: records.Trial, timed: records.StepsTimed | None) -> dict[str, float]:
        """Predicted seconds of what is left of a trial, by phase, from its steps; none if none were
        timed: then it fails when it is trained, too."""
        earlier = self.run.trial(trial.id)
        if timed is None:
            return {}
        left = self.config.epochs - (len(earlier.epochs) if earlier else 0)
        job = self.runners[0].job(trial)
        return phases_of(
            timed,
            job.conditions.dataset,
            left,
            inspect=job.kernels is not None,
            evaluated=job.evaluated,
            tested=job.tested,
        )

    def _rehearse(self, trial: records.Trial) -> None:
        self.recorder.tell(messages.Progress(f"timing a few steps of {trial.model}", 0, 1))
        limited, timeout = self.training.budget_bytes is not None, self.config.trial_timeout
        try:
            runner, log = self.runners[0], self.recorder.log
            job = runner.job(replace(trial, setting=trial.shape[1]))
            timed = rehearse(job, log, limited=limited, timeout=timeout, start=runner.start)
            self.record(timed)
        except (TrialFailed, Refused) as error:
            self.recorder.tell(
                messages.Warned(f"{trial.model}: its time is not predicted: {error}")
            )

    def _has_time(self, seconds: float) -> bool:
        """Whether the time limit, if there is one, has room for so many seconds more."""
        limit = self.config.time_limit_seconds
        return limit is None or limit_needed(self.stopwatch.passed(), seconds) <= limit

    def _cut(self, seeds: tuple[int, ...], needed: float, points: tuple[int, ...] = ()) -> None:
        """Record that the time limit leaves seeds or points out, the first of which needs so many
        seconds."""
        limit, passed = self.config.time_limit_seconds or 0.0, self.stopwatch.passed()
        self.record(records.SeedsCut(seeds, limit, passed, needed, points))

    def repeat_noisy(self, plan: Plan) -> None:
        """Repeat trials whose timings were noisy, up to `rerun_noisy` times each.

        At the end of the run, when the cause of the noise may be gone.
        """
        for _ in range(self.config.rerun_noisy):
            for result in self.run.trials:
                reasons = noise_of(result)
                few = len(result.repeated) < self.config.rerun_noisy
                may_repeat = few and not result.trial.is_point
                has_time = self._has_time(corrected_seconds(result.trial, self.run))
                if result.status == "done" and reasons and may_repeat and has_time:
                    self._repeat(result.trial, "; ".join(reasons))

    def _repeat(self, trial: records.Trial, because: str) -> None:
        """Train a trial anew, where it was trained before."""
        result, living = self.run.trial(trial.id), self._living
        if not living:
            return
        there = [runner for runner in living if result and runner.slot == result.slot]
        runner = (there or living)[0]
        self.record(records.TrialRepeated(trial, now(), because, runner.slot))
        if runner.stopwatch is not self.stopwatch:
            runner.stopwatch.skip()
        try:
            with self.interrupts.ask_first(self._stop, self._step_seconds):
                runner.train_anew(trial)
        except NodeLost as error:
            runner.lost = True
            self.run.undo_repetitions()
            label = self.recorder.labels[trial.id]
            self.recorder.tell(messages.Warned(f"{error} {label} is not repeated."))
        self.recorder.update_tables(runner.stopwatch)
        if runner.stopwatch is not self.stopwatch:
            self.stopwatch.skip()

    def _is_left(self, trial: records.Trial) -> bool:
        """Whether a trial is still to be trained: once anything is chosen, no point is."""
        return not self._is_over(trial) and not (trial.is_point and self.run.chosen)

    def _is_over(self, trial: records.Trial) -> bool:
        result = self.run.trial(trial.id)
        return result is not None and result.ended is not None and not result.ended.retry

    def end(self, code: int | None) -> None:
        """Write the last records, once, and update the tables. Without an exit `code`, the run is
        logged as one that has not ended."""
        if not self._timed:
            self._timed = True
            self.stopwatch.lap("other")
            for runner in self.runners:
                if runner.stopwatch is not self.stopwatch:
                    self.stopwatch.add(runner.stopwatch)
            self.record(records.RunTimed(self.stopwatch.seconds))
        if not self._ended and code is not None:
            self.record(records.RunEnded(code, perf_counter() - self.began))
            self._ended = True
        write_tables(self.run)

    def predict_all(self) -> None:
        """Predict the largest batch of each shape on cards that need not be here, once."""
        if predict_on_cards(self.recorder):
            self.stopwatch.lap("predict")
            self.recorder.update_tables(self.stopwatch)

    def _search(self, shape: Shape) -> None:
        found, images = self.run.largest_batches.get(shape), self.prepared.dataset.train_images
        searches = self.searches and found is None
        with Prober(
            messages.SearchJob(*shape, self.searching, searches),
            self.recorder.log,
            limited=self.prepared.device.kind == "cpu",
            timeout=self.config.trial_timeout,
            on_described=self._described,
            on_probe=self.record,
            start=self.runners[0].start,
        ) as prober:
            prober.open()
            self.stopwatch.lap("describe")
            if searches:
                found = prober.search(images)
                self.record(found)
                self.stopwatch.lap("search")
        if self.config.sweep_batch and found is not None and found.max_batch:
            self._sweep(shape, found.max_batch)

    def _sweep(self, shape: Shape, largest: int) -> None:
        """Time a few batch sizes; what fails here fails no trial."""
        # Under the limit of training, if any: the search's own slows steps on the CPU.
        on_cpu, timeout = self.prepared.device.kind == "cpu", self.config.trial_timeout
        limited = on_cpu and self.training.budget_bytes is not None
        job, log = messages.SearchJob(*shape, self.training), self.recorder.log
        start = self.runners[0].start
        try:
            with Prober(job, log, limited=limited, timeout=timeout, start=start) as prober:
                for point in prober.sweep(largest):
                    self.record(point)
        except TrialFailed as error:
            text = f"{shape[0]}: its batch sizes are not timed: {error}"
            self.recorder.tell(messages.Warned(text))
        self.stopwatch.lap("sweep")

    def _described(self, described: records.ModelDescribed) -> None:
        if (described.model, described.image_size) not in self.run.described:
            self.record(described)


TimedKey = tuple[str, records.Setting, int]
"""What the time of a step depends on: a model, a setting and a batch size."""


def _timed_key(trial: records.Trial) -> TimedKey:
    return *trial.shape, trial.batch_size or 0


def exit_code(run: Run) -> int:
    """0 if every trial is done, else 1; that a point of tuning fails is one of its results."""
    return 0 if all(r.status == "done" for r in run.trials if not r.trial.is_point) else 1

"""A run in progress: models described and searched, trials trained, each in a process of its own; a
failed trial does not stop the others.
"""

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

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
from bench.batch_size.certificate import SMALLEST_BATCH
from bench.config import DEFAULT_CARDS, DEFAULT_MEMORY_BUDGET, Config, settings_of
from bench.errors import BenchError, Refused, TrialFailed, Unsaved, WorkerDied
from bench.prediction.cards import DEFAULT_RESERVE_BYTES, Card, find_card
from bench.prediction.memory import breakdown, predict
from bench.prediction.speed import with_speeds
from bench.recipes import RECIPES
from bench.records import logits, messages, records
from bench.records.redaction import redacted
from bench.records.run import Run
from bench.records.run_folder import RunFolder
from bench.runner.batch_search import Prober
from bench.runner.interrupts import Interrupts
from bench.runner.own_models import one_at_a_time
from bench.runner.plan import Plan, Shape, at_chosen, choose_batches, refusal
from bench.runner.provenance import shown_command
from bench.runner.rehearsal import rehearse
from bench.runner.stopwatch import Stopwatch
from bench.runner.worker_process import Worker
from bench.units import parse_bytes

Listener = Callable[[Any], None]
"""Called with every record, `Planned`, `Progress` and `Warned` message of a run, to show them."""

CPU_LIMIT_HOLDS = sys.platform == "linux"
"""Elsewhere nothing limits a process's memory, so the CPU has no largest batch."""

TABLES_SHARE = 0.05
"""Updating the tables during a run takes at most this share of its time."""

SHARED_SECONDS = 10.0
"""The machine's speed after a trial is the speed before the next if it starts so soon."""

BREAKDOWN_BATCH = 32
"""The batch size whose memory is broken down: the lecture's for its GoogLeNet."""


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
    ) -> None:
        self.config = config
        self.prepared = prepared
        self.scratch = scratch
        self.listener = listener
        self.folder = folder
        self.run = run
        self.stopwatch = stopwatch
        self.tuning = tuning
        self.interrupts = Interrupts()
        self.log = self.folder.path / "workers.log"
        self.began = perf_counter()
        self.tables_due = 0.0
        self.failed_shapes: dict[Shape, BenchError] = {}
        self.labels: dict[str, str] = {}
        self.calibrated: tuple[records.Calibrated, float] | None = None
        self.places = {folder.path.absolute(): "RUN", scratch: "SCRATCH"}
        on_cpu = prepared.device.kind == "cpu"
        budget = config.memory_budget_bytes
        self.training = messages.Conditions(
            device=prepared.device.device,
            dataset=prepared.dataset,
            budget_bytes=budget,
            workers=config.workers,
            deterministic=config.deterministic,
            own=prepared.own,
        )
        default = parse_bytes(DEFAULT_MEMORY_BUDGET) if on_cpu else None
        self.searching = replace(self.training, budget_bytes=budget or default)
        self.searches = config.max_batch and (not on_cpu or CPU_LIMIT_HOLDS)

    def start(self) -> None:
        """Record the options of the run and where it runs."""
        config = self.config.to_dict()
        self.folder.write_json("config.json", config)
        self.folder.write_json("environment.json", self.prepared.environment)
        if self.config.claims is not None:
            keep_claims(self.config.claims, self.folder.path)
        command = shown_command(sys.argv, self.places)
        self.record(
            records.RunStarted(records.SCHEMA, _now(), command, config, self.prepared.environment)
        )
        self.record(self.prepared.device)
        self.record(self.prepared.dataset)
        for facts in self.prepared.models:
            self.record(facts)
        if self.tuning is not None:
            self.record(self.tuning)

    def catch_up(self) -> None:
        """Record what a run that was killed at its start did not."""
        for facts in self.prepared.models:
            if facts.name not in self.run.facts:
                self.record(facts)
        if self.tuning is not None and self.run.tuning_declared is None:
            self.record(self.tuning)

    def search_all(self, plan: Plan) -> None:
        """Describe every model and find the largest batch of each shape."""
        for shape in plan.shapes:
            if self._is_searched(shape):
                continue
            try:
                self._search(shape)
            except (TrialFailed, Refused) as error:
                self.failed_shapes[shape] = error
        self._update_tables()

    def _is_searched(self, shape: Shape) -> bool:
        """Whether the run, before it was resumed, has searched for this shape."""
        described = (shape[0], shape[1].image_size) in self.run.described
        swept = not self.config.sweep_batch or any(
            (p.model, p.setting) == shape for p in self.run.sweep_points
        )
        return described and (not self.searches or (shape in self.run.largest_batches and swept))

    def train_all(self, plan: Plan) -> None:
        """Train every trial that is not known to fail, one after another; of a resumed run, show
        the earlier epochs first."""
        self.labels = trial_labels(plan.trials)
        self.listener(messages.Planned(self.labels))
        for result in self.run.trials:
            for epoch in result.epochs:
                self.listener(epoch)
        decided = self._decided(plan)
        seeds = by_seed(t for t in decided if not t.is_point and not self._is_over(t))
        reserved = sum(corrected_seconds(t, self.run) for t in next(iter(seeds.values()), ()))
        self._tune(decided, reserved)
        for place, trials in enumerate(seeds.values()):
            needed = sum(corrected_seconds(trial, self.run) for trial in trials)
            if place and not self._has_time(needed):
                self._cut(tuple(seeds)[place:], needed)
                return
            for trial in trials:
                self._attempt(trial)

    def _tune(self, trials: Sequence[records.Trial], reserved_seconds: float) -> None:
        """Try the points that are left, one of every contestant after the other, and choose the
        best of each; the time limit must have room for one seed afterwards.

        Once anything is chosen, no point is tried any more: also in a resumed run, what was chosen
        follows from what was tried before.
        """
        left = [t for t in trials if t.is_point and not self.run.chosen and not self._is_over(t)]
        points = by_point(left)
        for place, (point, tries) in enumerate(points.items()):
            needed = sum(corrected_seconds(trial, self.run) for trial in tries)
            if place and not self._has_time(needed + reserved_seconds):
                cut = tuple(number for number in points if number >= point)
                self._cut((), needed + reserved_seconds, cut)
                break
            for trial in tries:
                self._attempt(trial)
        if self.tuning is None:
            return
        for contestant in dict.fromkeys(trial.contestant for trial in trials):
            if contestant not in self.run.chosen:
                self.record(choose(self.run, contestant, self.tuning))

    def leave_untrained(self, plan: Plan, reason: str) -> None:
        """Record that no trial of a plan is trained, and why."""
        for trial in self._decided(plan):
            self.record(records.TrialEnded(trial, "refused", reason, 0.0))

    def _attempt(self, trial: records.Trial) -> None:
        """Train a trial, unless it is known to fail."""
        error, reason = self._known_to_fail(trial)
        chosen = at_chosen(trial, self.run.chosen)
        if chosen is None:
            reason = reason or "every point of its tuning failed, so there is none to train again."
        trial = chosen or trial
        if error is not None:
            self.record(self._failed(trial, error, 0.0))
        elif reason is not None:
            self.record(records.TrialEnded(trial, "refused", reason, 0.0))
        else:
            self._train(trial)
        self._update_tables()

    def _known_to_fail(self, trial: records.Trial) -> tuple[BenchError | None, str | None]:
        """Why the search failed for a trial, and why it does not fit in memory; None if not."""
        largest = self.run.largest_batches.get(trial.shape)
        return self.failed_shapes.get(trial.shape), refusal(trial, trial.batch_size, largest)

    def _decided(self, plan: Plan) -> list[records.Trial]:
        """The trials with their batch sizes, which are known after the search."""
        images = self.prepared.dataset.train_images
        sizes = choose_batches(plan.trials, self.run.largest_batches, images)
        return [replace(trial, batch_size=sizes[trial]) for trial in plan.trials]

    def predict_time(self, plan: Plan) -> None:
        """Predict how long the trials take from a few steps of each model; raises Refused if the
        time limit has no room for one seed of each, except in a dry run, which shows that."""
        trials = []
        for trial in self._decided(plan):
            error, reason = self._known_to_fail(trial)
            if (error or reason) and self.config.dry_run and not trial.seed:
                self.listener(messages.Warned(reason or f"{trial.model}: {error}"))
            elif not (error or reason or self._is_over(trial)):
                trials.append(trial)
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
        for trial in trials:
            if _timed_key(trial) not in self.run.steps_timed:
                self._rehearse(trial)
        self.stopwatch.lap("rehearse")
        times = [records.TrialTime(t, self._phases(t)) for t in trials]
        limit = self.config.time_limit_seconds
        predicted = predict_time(times, self.stopwatch.passed(), limit)
        self.record(predicted)
        return predicted

    def _phases(self, trial: records.Trial) -> dict[str, float]:
        """Predicted seconds of what is left of a trial, by phase; none if no step could be timed:
        then it fails when it is trained, too."""
        timed, earlier = self.run.steps_timed.get(_timed_key(trial)), self.run.trial(trial.id)
        if timed is None:
            return {}
        left = self.config.epochs - (len(earlier.epochs) if earlier else 0)
        job = self._job(trial)
        return phases_of(
            timed,
            job.conditions.dataset,
            left,
            inspect=job.kernels is not None,
            evaluated=job.evaluated,
            tested=job.tested,
        )

    def _rehearse(self, trial: records.Trial) -> None:
        self.listener(messages.Progress(f"timing a few steps of {trial.model}", 0, 1))
        limited, timeout = self.training.budget_bytes is not None, self.config.trial_timeout
        try:
            self.record(rehearse(self._job(trial), self.log, limited=limited, timeout=timeout))
        except (TrialFailed, Refused) as error:
            self.listener(messages.Warned(f"{trial.model}: its time is not predicted: {error}"))

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
                    self.record(records.TrialRepeated(result.trial, _now(), "; ".join(reasons)))
                    self._train(result.trial)
                    self._update_tables()

    def _is_over(self, trial: records.Trial) -> bool:
        result = self.run.trial(trial.id)
        return result is not None and result.ended is not None and not result.ended.retry

    def end(self) -> None:
        """Write the last record, and update the tables."""
        self.stopwatch.lap("other")
        self.record(records.RunTimed(self.stopwatch.seconds))
        self.record(records.RunEnded(exit_code(self.run), perf_counter() - self.began))
        write_tables(self.run)

    def record(self, record: records.Record) -> None:
        """Write a record to the log, add it to the results, and show it."""
        self.folder.append(record)
        self.run.add(record)
        self.listener(record)

    def predict_all(self) -> None:
        """Predict the largest batch of each shape on cards that need not be here."""
        here = self.prepared.device.kind == "cuda"
        names = self.config.card if self.config.card is not None else () if here else DEFAULT_CARDS
        cards = [find_card(name) for name in names]
        if not cards or self.run.breakdowns:
            return
        job = messages.SimulateJob(
            shapes=tuple(
                (m.name, s) for m in self.prepared.models for s in settings_of(m, self.config)
            ),
            num_classes=len(self.prepared.dataset.classes),
            dataset=self.prepared.dataset,
            own=self.prepared.own,
        )
        self.listener(messages.Progress("predicting the largest batch on other cards", 0, 1))
        for part in one_at_a_time(job):
            try:
                with Worker(part, self.log) as worker:
                    for message in worker.messages():
                        self._predict(message, cards)
            except (TrialFailed, Refused) as error:
                self.listener(messages.Warned(f"no prediction: {error}"))
        self.stopwatch.lap("predict")
        self._update_tables()

    def _predict(self, simulated: messages.Simulated, cards: Sequence[Card]) -> None:
        model, setting, trace = simulated.model, simulated.setting, simulated.trace
        if trace is None:
            self.listener(messages.Warned(f"{model}: no prediction: {simulated.reason}"))
            return
        classes = len(self.prepared.dataset.classes)
        images = self.prepared.dataset.train_images
        cap = max(SMALLEST_BATCH, images)
        sizes = [size for size in self.config.batch_size if isinstance(size, int)]
        for card in cards:
            predicted = predict(
                trace, model=model, setting=setting, num_classes=classes, card=card, cap=cap
            )
            self.record(
                with_speeds(
                    predicted, simulated.kernels, card=card, batch_sizes=sizes, images=images
                )
            )
        size, reserve = min(BREAKDOWN_BATCH, cap), DEFAULT_RESERVE_BYTES
        self.record(
            breakdown(trace, model=model, setting=setting, batch_size=size, reserve_bytes=reserve)
        )

    def _search(self, shape: Shape) -> None:
        on_cpu, images = self.prepared.device.kind == "cpu", self.prepared.dataset.train_images
        largest = 0
        with Prober(
            messages.SearchJob(*shape, self.searching, self.searches),
            self.log,
            limited=on_cpu,
            timeout=self.config.trial_timeout,
            on_described=self._described,
            on_probe=self.record,
        ) as prober:
            prober.open()
            self.stopwatch.lap("describe")
            if self.searches:
                largest_batch = prober.search(images)
                self.record(largest_batch)
                largest = largest_batch.max_batch
                self.stopwatch.lap("search")
        if self.config.sweep_batch and largest:
            # Under the limit of training, if any: the search's own slows steps on the CPU.
            limited = on_cpu and self.training.budget_bytes is not None
            sweep, timeout = messages.SearchJob(*shape, self.training), self.config.trial_timeout
            with Prober(sweep, self.log, limited=limited, timeout=timeout) as prober:
                for point in prober.sweep(largest):
                    self.record(point)
            self.stopwatch.lap("sweep")

    def _described(self, described: records.ModelDescribed) -> None:
        if (described.model, described.image_size) not in self.run.described:
            self.record(described)

    def _train(self, trial: records.Trial) -> None:
        start, earlier = perf_counter(), self.run.trial(trial.id)
        if earlier is None:
            self.record(records.TrialStarted(trial, _now(), self._notes(trial)))
        logged = len(earlier.epochs) if earlier else 0
        job = self._job(trial, logged)
        inspected = job.kernels is None or bool(earlier and earlier.inspected)
        try:
            if logged < self.config.epochs or not inspected or not job.tested:
                self._train_in_worker(job)
            ended = records.TrialEnded(trial, "done", None, perf_counter() - start)
        except (TrialFailed, Refused) as error:
            ended = self._failed(trial, error, perf_counter() - start)
        self.record(ended)
        result = self.run.trial(trial.id)
        for reason in noise_of(result) if result else ():
            self._warn(trial, f"timings were noisy: {reason}.")
        if not ended.retry:
            Path(job.checkpoint).unlink(missing_ok=True)
            Path(job.start).unlink(missing_ok=True)

    def _job(self, trial: records.Trial, logged_epochs: int = 0) -> messages.TrainJob:
        checkpoint, start_weights, kernels, kept = self._files(trial)
        data, whole = self.prepared.dataset, self.prepared.whole
        retrained = trial.tuning is not None and not trial.is_point
        if retrained and whole is not None:
            data = whole
        return messages.TrainJob(
            trial=trial,
            epochs=self.config.epochs,
            data_folder=str(self.scratch / messages.WHOLE if retrained else self.scratch),
            conditions=replace(self.training, dataset=data),
            checkpoint=str(checkpoint),
            start=str(start_weights),
            kernels=str(kernels) if self.config.inspect and trial.tuning is None else None,
            logits=str(kept) if self._keeps_logits() and not trial.is_point else None,
            logged_epochs=logged_epochs,
            calibrated=self._calibrated(trial.setting.precision),
            tested=trial.is_point or self._is_tested(trial),
            evaluated=not retrained,
        )

    def _is_tested(self, trial: records.Trial) -> bool:
        """Whether nothing is left to evaluate after the last epoch."""
        result = self.run.trial(trial.id)
        tested = result is not None and result.final_test is not None
        return tested or self.prepared.dataset.evaluated_on == "test"

    def _keeps_logits(self) -> bool:
        data = self.prepared.dataset
        return logits.are_small(data.test_images, len(data.classes))

    def _calibrated(self, precision: str) -> records.Calibrated | None:
        """The machine's speed, if a trial in that precision has just ended."""
        if self.calibrated is None:
            return None
        last, at = self.calibrated
        recent = perf_counter() - at <= SHARED_SECONDS
        return last if recent and last.precision == precision else None

    def _failed(
        self, trial: records.Trial, error: BenchError, seconds: float
    ) -> records.TrialEnded:
        """The record of a failed trial. A resumed run tries it again after a killed process or a
        full disk, which say nothing about the model."""
        reason, retry = redacted(str(error), self.places), isinstance(error, WorkerDied | Unsaved)
        return records.TrialEnded(trial, "failed", reason, seconds, retry)

    def _warn(self, trial: records.Trial, text: str) -> None:
        self.listener(messages.Warned(f"{self.labels[trial.id]}: {text}"))

    def _train_in_worker(self, job: messages.TrainJob) -> None:
        limited, timeout = self.training.budget_bytes is not None, self.config.trial_timeout
        with (
            Worker(job, self.log, limited=limited, timeout=timeout) as worker,
            self.interrupts.ask_first(worker.stop),
        ):
            for message in worker.messages():
                match message:
                    case messages.Progress():
                        self.listener(message)
                        continue
                    case records.Calibrated():
                        seconds = 0.0 if message.shared else sum(message.seconds)
                        self.stopwatch.lap("start workers", calibrate=seconds)
                        if message.epochs == job.epochs:
                            self.calibrated = message, perf_counter()
                    case records.Epoch():
                        train, test = message.train_seconds, message.test_seconds
                        self.stopwatch.lap("checkpoints", train=train, evaluate=test)
                    case records.FinalTest():
                        self.stopwatch.lap("checkpoints", evaluate=message.seconds)
                    case records.Inspected():
                        self.stopwatch.lap("inspect")
                match message:
                    case messages.Warned():
                        self._warn(job.trial, message.text)
                    case messages.Stopped():
                        raise KeyboardInterrupt
                    case messages.Resumed():
                        self.record(records.TrialResumed(job.trial, _now(), message.epochs))
                    case _:
                        self.record(message)
                        self._update_tables()
                worker.answer()

    def _update_tables(self) -> None:
        """Write the tables, unless that was done recently: after each of thousands of epochs it
        would take ever longer."""
        start = perf_counter()
        if start >= self.tables_due:
            self.stopwatch.lap("other")
            write_tables(self.run)
            self.stopwatch.lap("tables")
            end = perf_counter()
            self.tables_due = end + (end - start) / TABLES_SHARE

    def _files(self, trial: records.Trial) -> tuple[Path, Path, Path, Path]:
        """The paths of a trial's checkpoint, initial weights, kernels and logits; hashed, because
        names from outside never become paths.

        Raises:
            BenchError: their folders cannot be created.
        """
        name = hashlib.sha256(trial.id.encode()).hexdigest()[:24]
        names = ("checkpoints", "kernels", logits.FOLDER)
        checkpoints, kernels, kept = (self.folder.path.absolute() / name for name in names)
        try:
            checkpoints.mkdir(exist_ok=True)
            if self.config.inspect:
                kernels.mkdir(exist_ok=True)
            if self._keeps_logits():
                kept.mkdir(exist_ok=True)
        except OSError as error:
            raise BenchError(
                f"cannot create a folder in {self.folder.path}: {error.strerror}."
            ) from error
        weights = checkpoints / f"{name}.pt", checkpoints / f"{name}.start.pt"
        return *weights, kernels / f"{name}.npz", kept / f"{name}.npy"

    def _notes(self, trial: records.Trial) -> tuple[str, ...]:
        """Decisions made for the user."""
        notes = []
        if trial.batch_choice in ("auto", "own") and not self.searches:
            notes.append(f"Batch {trial.batch_size} was chosen without a search.")
        images = self.prepared.dataset.train_images
        if trial.batch_size and images % trial.batch_size == 1:
            notes.append("One image is left out of each epoch: batch norm cannot train on one.")
        if not self._keeps_logits():
            notes.append("The test logits are not kept, because they are too large.")
        described = self.run.described.get((trial.model, trial.setting.image_size))
        part = trial.setting.part_of(trial.batch_size or 0)
        if part < (trial.batch_size or 0) and described and _has_batch_norm(described):
            notes.append(
                f"Batch norm sees {part} images at a time, not {trial.batch_size}: with "
                "--accumulate its statistics, and so the training, are not those of a whole batch."
            )
        name = trial.setting.recipe
        if wanted := RECIPES[name].made_for(self.config.epochs, trial.batch_size):
            notes.append(f"The recipe {name} was made for {wanted}.")
        return tuple(notes)


def _has_batch_norm(described: records.ModelDescribed) -> bool:
    return any("BatchNorm" in layer.type for layer in described.layers)


def _timed_key(trial: records.Trial) -> tuple[str, records.Setting, int]:
    return *trial.shape, trial.batch_size or 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def exit_code(run: Run) -> int:
    """0 if every trial is done, else 1; that a point of tuning fails is one of its results."""
    return 0 if all(r.status == "done" for r in run.trials if not r.trial.is_point) else 1

"""Trials trained on one device, one after another, each in a process of its own."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from bench.analysis.noise import noise_of
from bench.errors import BenchError, Diverged, Refused, TrialFailed, Unsaved, WorkerDied
from bench.records import logits, messages, records
from bench.records.redaction import public_text, redacted
from bench.runner.recorder import Recorder
from bench.runner.stopwatch import Stopwatch
from bench.runner.worker_handle import Start, WorkerHandle
from bench.runner.worker_process import Worker

SHARED_SECONDS = 10.0
"""The machine's speed after a trial is the speed before the next if it starts so soon."""


class TrialRunner:
    """Trains trials in the slot of this number, all under the same conditions. Another thread may
    stop it. `start` is what starts a worker, if not a process of this machine."""

    def __init__(
        self,
        recorder: Recorder,
        conditions: messages.Conditions,
        stopwatch: Stopwatch,
        slot: int = 0,
        start: Start | None = None,
    ) -> None:
        self.recorder = recorder
        self.conditions = conditions
        self.stopwatch = stopwatch
        self.slot = slot
        self.start = start
        self.lost = False
        """Whether its node no longer answers."""
        self.step_seconds = 0.0
        """How long a step of the trial in progress takes; of the one before until that is known."""
        self._worker: WorkerHandle | None = None
        self._stopped = False
        self._calibrated: tuple[records.Calibrated, int, float] | None = None

    def train(
        self, trial: records.Trial, notes: tuple[str, ...] = (), *, anew: bool = False
    ) -> None:
        """Train a trial, or what is left of it; `notes` are decisions made for the user. That it
        begins `anew` is in the log already.

        Raises:
            KeyboardInterrupt: it was stopped; what the trial has done is saved.
            BenchError: the run cannot go on.
        """
        self._go_on()
        recorder, start = self.recorder, perf_counter()
        earlier = recorder.run.trial(trial.id)
        logged = len(earlier.epochs) if earlier else 0
        if earlier is None or not earlier.stays:
            recorder.record(records.TrialStarted(trial, now(), notes, self.slot))
        elif not logged and not anew:
            recorder.record(records.TrialResumed(trial, now(), 0, self.slot))
        job = self.job(trial, logged)
        inspected = job.kernels is None or bool(earlier and earlier.inspected)
        try:
            if logged < job.epochs or not inspected or not job.tested:
                self._train_in_worker(job)
            done = recorder.run.trial(trial.id)
            if done is None or len(done.epochs) < job.epochs:
                raise WorkerDied("its worker ended before the last epoch, and did not say why.")
            ended = records.TrialEnded(trial, "done", None, perf_counter() - start)
        except (TrialFailed, Refused) as error:
            self._go_on()
            ended = self.failed(trial, error, perf_counter() - start)
        recorder.record(ended)
        result = recorder.run.trial(trial.id)
        for reason in noise_of(result) if result else ():
            recorder.warn(trial, f"timings were noisy: {reason}.")
        if not ended.retry:
            Path(job.checkpoint).unlink(missing_ok=True)
            Path(job.start).unlink(missing_ok=True)

    def train_anew(self, trial: records.Trial) -> None:
        """Train a trial from its start, also if an earlier try left a checkpoint."""
        checkpoint, start_weights, *_ = self._files(trial)
        checkpoint.unlink(missing_ok=True)
        start_weights.unlink(missing_ok=True)
        self.train(trial, anew=True)

    def job(self, trial: records.Trial, logged_epochs: int = 0) -> messages.TrainJob:
        """What a worker does for a trial of which so many epochs are logged.

        Raises:
            BenchError: the folders of its files cannot be created.
        """
        recorder, config = self.recorder, self.recorder.config
        checkpoint, start_weights, kernels, kept = self._files(trial)
        data = recorder.prepared.dataset_of(trial)
        retrained = trial.tuning is not None and not trial.is_point
        return messages.TrainJob(
            trial=trial,
            epochs=config.epochs,
            data_folder=str(recorder.scratch / messages.WHOLE if retrained else recorder.scratch),
            conditions=replace(self.conditions, dataset=data),
            checkpoint=str(checkpoint),
            start=str(start_weights),
            kernels=str(kernels) if config.inspect and trial.tuning is None else None,
            logits=str(kept) if keeps_logits(data) and not trial.is_point else None,
            logged_epochs=logged_epochs,
            calibrated=self._neighbour(trial.setting),
            tested=trial.is_point or self._is_tested(trial),
            evaluated=not retrained,
        )

    def _is_tested(self, trial: records.Trial) -> bool:
        """Whether nothing is left to evaluate after the last epoch."""
        result = self.recorder.run.trial(trial.id)
        tested = result is not None and result.final_test is not None
        return tested or self.recorder.prepared.dataset.evaluated_on == "test"

    def _neighbour(self, setting: records.Setting) -> records.Calibrated | None:
        """The machine's speed, if a trial in the same precision, by as many processes, which share
        its processors, has just ended."""
        if self._calibrated is None:
            return None
        last, processes, at = self._calibrated
        recent = perf_counter() - at <= SHARED_SECONDS
        alike = (last.precision, processes) == (setting.precision, setting.nproc_per_node)
        return last if recent and alike else None

    def failed(self, trial: records.Trial, error: BenchError, seconds: float) -> records.TrialEnded:
        """The record of a failed trial. A resumed run tries it again after a killed process or a
        full disk, which say nothing about the model."""
        reason = public_text(redacted(str(error), self.recorder.places))
        retry, diverged = isinstance(error, WorkerDied | Unsaved), isinstance(error, Diverged)
        return records.TrialEnded(trial, "failed", reason, seconds, retry, diverged)

    def stop(self) -> None:
        """Ask the trial in progress to save and end; none begins after it."""
        self._stopped = True
        if self._worker is not None:
            self._worker.stop()

    def end(self) -> None:
        """End the trial in progress at once; none begins after it."""
        self._stopped = True
        if self._worker is not None:
            self._worker.end()

    def _go_on(self) -> None:
        if self._stopped:
            raise KeyboardInterrupt

    def _train_in_worker(self, job: messages.TrainJob) -> None:
        recorder, limited = self.recorder, self.conditions.budget_bytes is not None
        timeout = recorder.config.trial_timeout
        with (self.start or Worker)(job, recorder.log, limited=limited, timeout=timeout) as worker:
            self._worker = worker
            self._go_on()
            for message in worker.messages():
                match message:
                    case messages.Progress():
                        if message.rate:
                            batch = (job.trial.batch_size or 0) * job.trial.setting.ranks
                            self.step_seconds = batch / message.rate
                        recorder.tell(message)
                        continue
                    case records.Calibrated():
                        seconds = 0.0 if message.shared else sum(message.seconds)
                        self.stopwatch.lap("start workers", calibrate=seconds)
                        if message.epochs == job.epochs:
                            processes = job.trial.setting.nproc_per_node
                            self._calibrated = message, processes, perf_counter()
                    case records.Epoch():
                        test = message.test_seconds + message.tta_seconds
                        self.stopwatch.lap(
                            "checkpoints", train=message.train_seconds, evaluate=test
                        )
                    case records.FinalTest():
                        test = message.seconds + message.tta_seconds
                        self.stopwatch.lap("checkpoints", evaluate=test)
                    case records.Inspected():
                        self.stopwatch.lap("inspect")
                match message:
                    case messages.Warned():
                        recorder.warn(job.trial, message.text)
                    case messages.Stopped():
                        raise KeyboardInterrupt
                    case messages.Resumed() if not job.logged_epochs:
                        pass  # it was recorded when its worker was started
                    case messages.Resumed():
                        recorder.record(
                            records.TrialResumed(job.trial, now(), message.epochs, self.slot)
                        )
                    case _:
                        recorder.record(message)
                        recorder.update_tables(self.stopwatch)
                worker.answer()

    def _files(self, trial: records.Trial) -> tuple[Path, Path, Path, Path]:
        """The paths of a trial's checkpoint, initial weights, kernels and logits; hashed, because
        names from outside never become paths.

        Raises:
            BenchError: their folders cannot be created.
        """
        name = hashlib.sha256(trial.id.encode()).hexdigest()[:24]
        names = ("checkpoints", "kernels", logits.FOLDER)
        folder = self.recorder.folder.path
        checkpoints, kernels, kept = (folder.absolute() / name for name in names)
        try:
            checkpoints.mkdir(exist_ok=True)
            if self.recorder.config.inspect:
                kernels.mkdir(exist_ok=True)
            if keeps_logits(self.recorder.prepared.dataset):
                kept.mkdir(exist_ok=True)
        except OSError as error:
            raise BenchError(f"cannot create a folder in {folder}: {error.strerror}.") from error
        weights = checkpoints / f"{name}.pt", checkpoints / f"{name}.start.pt"
        # A repetition that comes to nothing leaves the logits of the time before as they were.
        result = self.recorder.run.trial(trial.id)
        again = f".{len(result.repeated)}" if result and result.repeated else ""
        return *weights, kernels / f"{name}.npz", kept / f"{name}{again}.npy"


def keeps_logits(data: records.DatasetFacts) -> bool:
    """Whether the logits of the test images are small enough to be kept."""
    return logits.are_small(data.test_images, len(data.classes))


def now() -> str:
    """The present moment, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")

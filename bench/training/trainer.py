"""One trial in a worker process: epoch by epoch, from its checkpoint if there is one."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Protocol, TypeVar, cast

import numpy as np
import torch

from bench.data.batches import dropped_images, steps_per_epoch
from bench.data.loader import Split
from bench.errors import BenchError, Diverged, first_line
from bench.recipes import RECIPES
from bench.records import records
from bench.records.logits import keep_logits
from bench.records.messages import Resumed, Stopped, TrainJob, Warned
from bench.system.cpu_load import Watch
from bench.system.devices import Device
from bench.system.gpu_telemetry import Sampler
from bench.training.checkpoint import Position, Training, load, position_of, save
from bench.training.diagnostics import (
    changes,
    evaluation_modes,
    load_start,
    save_kernels,
    save_start,
)
from bench.training.gang import Gang, RankNetwork
from bench.training.loop import Batch, Pass, Sums, evaluation_pass, train_pass
from bench.training.networks import begin_epoch
from bench.training.step_timer import StepTimer, Timed, timed
from bench.training.views import SixViews

KEPT_STEPS = 2000
"""At most this many step times of an epoch are kept; of a longer one, every n-th."""

TrialMessage = (
    records.Calibrated
    | records.Epoch
    | records.FinalTest
    | records.Inspected
    | Resumed
    | records.StepsTimed
    | Stopped
    | records.TrialNoted
    | Warned
)
"""What a trial sends to its parent."""

Tested = TypeVar("Tested", records.Epoch, records.FinalTest)


class ProgressSink(Protocol):
    """Progress callback."""

    def __call__(self, phase: str, done: int, total: int, rate: float | None = None) -> None:
        """`done` of `total` of a phase, at `rate` images per second."""


@dataclass
class Trainer:
    """One trial in this process. Every epoch is evaluated on `evaluation_split`, unless the job has
    none evaluated; a `test_split` is evaluated once, after the last."""

    job: TrainJob
    train_split: Split
    evaluation_split: Split
    device: Device
    training: Training
    progress: ProgressSink
    stopping: Callable[[], bool]
    test_split: Split | None = None
    logits: list[torch.Tensor] = field(default_factory=list)

    def epochs(self) -> Iterator[TrialMessage]:
        """Train the remaining epochs, from the checkpoint if there is one; a message for each."""
        at, sums = Position(), Sums()
        with self.device.unlimited():  # a checkpoint's tensors briefly exist twice
            saved = load(Path(self.job.checkpoint), self.job.trial.id)
            if saved is not None:
                at = position_of(saved)
                self.training.restore(saved.pop("training"))
                self.training.order.set_state(saved["order"])
                done = saved["sums"]
                if not self._gang.leads:  # the first rank's are of all
                    nothing = {"losses": dict.fromkeys(done["losses"], 0.0)}
                    done = {"images": 0, "correct": 0} | nothing
                sums.restore(done, self.device.torch)
            elif self.job.kernels is not None and self._gang.leads:
                save_start(Path(self.job.start), self.training.network)
            self.device.release()
        if saved is not None or self.job.logged_epochs:
            yield Resumed(min(self.job.logged_epochs, at.epoch - 1))
            if self.job.logged_epochs < at.epoch - 1:
                # It was saved before it was sent, and never reached the log.
                yield cast(records.Epoch, records.decode(at.record))
        resumed = saved is not None
        while at.epoch <= self.job.epochs:
            order = self.training.order.get_state()
            try:
                record = self.epoch(at, sums)
            except _Stop as stop:
                self._save(stop.at, order, self._gang.add_up(sums))
                yield Stopped()
                return
            record = replace(record, resumed=resumed)
            record, warnings = self._with_logits(record, self.evaluation_split)
            yield from warnings
            at, sums, resumed = Position(at.epoch + 1, record=records.encode(record)), Sums(), False
            if at.epoch <= self.job.epochs or self.job.kernels is not None or self._tests:
                self._save(at, self.training.order.get_state(), sums)
            yield record
        if self._tests:
            try:
                tested, warnings = self._final_test(at)
            except _Stop:
                yield Stopped()
                return
            yield from warnings
            yield tested
        if self.job.kernels is not None and self._gang.leads:
            yield self._inspected(Path(self.job.kernels))

    def epoch(self, at: Position, sums: Sums) -> records.Epoch:
        """Train the rest of an epoch and evaluate it; raises _Stop once the parent asks to stop."""
        device = self.device
        steps = steps_per_epoch(len(self.train_split), self._batch_size, self._gang.share.ranks)
        timer = StepTimer(device, steps - at.steps)
        train_batches = self._remaining_batches(at, steps)
        recipe = RECIPES[self.job.trial.setting.recipe]
        begin_epoch(self.training.network, recipe, at.epoch)
        device.reset_peak()

        def train_all() -> Pass:
            network, optimizer = self.training.trained, self.training.optimizer
            precision = self.training.precision
            made = train_pass(
                *(network, train_batches, optimizer, precision, timer, sums),
                self.training.schedule,
                self.job.trial.setting.accumulate,
            )
            return self._gang.add_up(made).result()

        def evaluate_all() -> Pass:
            # The last epoch's logits stay on the device until the clock has stopped.
            return self._evaluated(self.evaluation_split, trained_at, kept=last)

        self._gang.wait()
        with Sampler(device.pci_bus_id()) as sampler, Watch() as watch:
            trained, train_time = timed(device, train_all)
        trained_at = replace(at, steps=steps).later(train_time.seconds, train_time.cpu_seconds)
        _check_finite("training", trained, at.epoch)
        evaluated, test_time = None, Timed(0.0, 0.0)
        last = at.epoch == self.job.epochs and self._evaluated_on == "test"
        if self.job.evaluated:
            evaluated, test_time = timed(device, evaluate_all)
            _check_finite(self._evaluated_on, evaluated, at.epoch)
        train_time = train_time.plus(at.seconds, at.cpu_seconds)
        times, beside = (train_time, test_time, timer), (sampler.result(), watch.result())
        record = self._record(at.epoch, steps, trained, evaluated, *times, *beside)
        if not last or evaluated is None:
            return record
        accuracy, seconds = self._in_views(self.evaluation_split, trained_at)
        return replace(record, tta_test_accuracy=accuracy, tta_seconds=seconds)

    @property
    def _gang(self) -> Gang:
        return self.training.gang

    @property
    def _batch_size(self) -> int:
        """Images of a batch of all ranks."""
        return (self.job.trial.batch_size or 0) * self._gang.share.ranks

    @property
    def _evaluated_on(self) -> records.HeldOut:
        return self.job.conditions.dataset.evaluated_on

    @property
    def _tests(self) -> bool:
        """Whether the test images are left for after the last epoch."""
        return self.test_split is not None and not self.job.tested

    def _final_test(self, at: Position) -> tuple[records.FinalTest, list[Warned]]:
        """Evaluate the test images; raises _Stop once the parent asks to stop."""
        split = self.test_split
        assert split is not None
        tested, time = timed(self.device, lambda: self._evaluated(split, at, kept=True))
        _check_finite("test", tested, self.job.epochs)
        figures = tested.loss, tested.accuracy, tested.images
        record = records.FinalTest(self.job.trial.id, *figures, time.seconds)
        accuracy, seconds = self._in_views(split, at)
        record = replace(record, tta_accuracy=accuracy, tta_seconds=seconds)
        return self._with_logits(record, split)

    def _evaluated(
        self, split: Split, at: Position, *, kept: bool = False, views: bool = False
    ) -> Pass:
        """One pass over a split, or as many as there are views of each image; its logits are kept
        if the job has a file for them."""
        part = self.job.trial.setting.part_of(self.job.trial.batch_size or 0)
        batches = split.in_order(part, self._gang.share)
        # Ranks would have to agree, and may have unlike numbers of batches.
        batches = self._unless_stopped(batches, at) if self._gang.alone else batches
        self._gang.same_buffers(self.training.network)
        network, precision = self.training.network, self.training.precision
        logits = self.logits if kept and self.job.logits is not None else None
        seen = SixViews(network) if views else network
        return self._gang.add_up(evaluation_pass(seen, batches, precision, logits)).result()

    def _in_views(self, split: Split, at: Position) -> tuple[float | None, float]:
        """The accuracy with test-time augmentation, where the recipe has it, and its seconds."""
        if not RECIPES[self.job.trial.setting.recipe].views:
            return None, 0.0
        seen, time = timed(self.device, lambda: self._evaluated(split, at, views=True))
        return seen.accuracy, time.seconds

    def _record(
        self,
        epoch: int,
        steps: int,
        trained: Pass,
        evaluated: Pass | None,
        train_time: Timed,
        test_time: Timed,
        timer: StepTimer,
        telemetry: records.Telemetry | None,
        surroundings: records.Surroundings,
    ) -> records.Epoch:
        trial = self.job.trial
        step_times = timer.step_seconds()
        # Of an epoch that was stopped in its evaluation, no step is left to be timed.
        seconds = step_times or [train_time.seconds / steps]
        every = -(-len(seconds) // KEPT_STEPS)
        steady = (seconds[1:] or seconds) if epoch == 1 else seconds
        parts = timer.part_seconds(train_time.seconds)
        peak = self.device.peak_memory()
        ranks = self._gang.facts(peak, train_time.cpu_seconds)
        peaks = [rank.peak_memory_bytes for rank in ranks]
        validation = evaluated if self._evaluated_on == "validation" else None
        test = None if validation else evaluated
        return records.Epoch(
            model=trial.model,
            seed=trial.seed,
            trial=trial.id,
            epoch=epoch,
            train_seconds=train_time.seconds,
            test_seconds=test_time.seconds,
            images_per_second=trained.images / train_time.seconds,
            train_loss=trained.loss,
            train_accuracy=trained.accuracy,
            test_loss=test.loss if test else None,
            test_accuracy=test.accuracy if test else None,
            aux_losses=trained.aux_losses,
            steps=steps,
            images_trained=trained.images,
            images_dropped=dropped_images(
                len(self.train_split), self._batch_size, self._gang.share.ranks
            ),
            step_seconds=median(steady),
            step_seconds_p95=float(np.percentile(steady, 95)),
            first_step_seconds=step_times[0] if epoch == 1 and step_times else None,
            peak_memory_bytes=max([peak, *peaks], key=lambda peak: peak or 0),
            reserved_memory_bytes=self.device.reserved_memory(),
            time_budget=records.TimeBudget(
                **{f"{part}_seconds": value for part, value in parts.items()},
                evaluation_seconds=test_time.seconds,
                other_seconds=train_time.seconds - sum(parts.values()),
            ),
            cpu_seconds=train_time.cpu_seconds,
            telemetry=telemetry,
            step_times=tuple(round(s, 6) for s in step_times[::every]),
            step_times_every=every,
            surroundings=surroundings,
            validation_loss=validation.loss if validation else None,
            validation_accuracy=validation.accuracy if validation else None,
            ranks=ranks,
        )

    def _with_logits(self, record: Tested, split: Split) -> tuple[Tested, list[Warned]]:
        """The record with the logits of the split that its evaluation kept, if it kept any; without
        them, and a warning, if they cannot be written."""
        if self.job.logits is None or not self.logits:
            return record, []
        try:
            with self.device.unlimited():
                logits = self._gang.joined(torch.cat(self.logits), len(split)).numpy()
                labels = split.labels.cpu().numpy()
                if not self._gang.leads:
                    return record, []
                kept = keep_logits(Path(self.job.logits), logits, labels)
        except BenchError as error:
            return record, [Warned(f"its test logits are not kept: {error}")]
        return replace(record, logits=kept), []

    def _inspected(self, kernels: Path) -> records.Inspected | Warned:
        """What training did to the network, which holds its initial weights afterwards. A failed
        inspection does not fail the trial."""
        trial, training = self.job.trial, self.training
        network, precision = training.network, training.precision
        size = trial.setting.part_of(trial.batch_size or 0)
        split, on = self.evaluation_split, self._evaluated_on
        try:
            with self.device.unlimited():
                start = load_start(Path(self.job.start))
                if start is None:
                    return Warned("its initial weights are lost, so its changes are not known.")
                modes = tuple(evaluation_modes(network, split, size, precision, on))
                save_kernels(kernels, network, start)
                batch = self.train_split.first(min(size, len(self.train_split)))
                layers = tuple(changes(network, start, batch, precision))
        except Exception as error:  # whatever is special about a network of the user's own
            return Warned(f"it was trained, but could not be inspected: {first_line(error)}")
        if (name := _not_finite(layers)) is not None:
            return Warned(
                f"it was trained, but could not be inspected: layer {name} began with weights of 0"
                ", or has figures that are not finite."
            )
        return records.Inspected(trial.id, layers, modes, kernels.name)

    def _remaining_batches(self, at: Position, steps: int) -> Iterator[Batch]:
        """The epoch's batches after those done, with reports of progress."""
        batch_size, share = self._batch_size, self._gang.share
        phase = f"epoch {at.epoch}/{self.job.epochs}"
        augment = self.job.trial.setting.augment
        order = self.training.order
        shuffled = self.train_split.shuffled(batch_size, order, augment, at.epoch, share)
        images = len(self.train_split) - dropped_images(
            len(self.train_split), batch_size, share.ranks
        )
        joined = self.training.joined
        start, cpu, done = perf_counter(), process_time(), at.steps
        for batch in islice(shuffled, at.steps, None):
            if self.stopping():
                seconds, cpu_seconds = perf_counter() - start, process_time() - cpu
                raise _Stop(replace(at, steps=done).later(seconds, cpu_seconds))
            if isinstance(joined, RankNetwork):
                joined.batch = min(batch_size, images - done * batch_size)
            yield batch
            done += 1
            rate = (done - at.steps) * batch_size / (perf_counter() - start)
            self.progress(phase, done, steps, rate)

    def _unless_stopped(self, batches: Iterator[Batch], at: Position) -> Iterator[Batch]:
        for batch in batches:
            if self.stopping():
                raise _Stop(at)
            yield batch

    def _save(self, at: Position, order: torch.Tensor, sums: Sums) -> None:
        save(Path(self.job.checkpoint), self.job.trial.id, self.training, at, order, sums)


class _Stop(Exception):
    """The parent has asked for an early end; `at` is the trial's position."""

    def __init__(self, at: Position) -> None:
        super().__init__()
        self.at = at


def _not_finite(layers: Iterable[records.LayerChange]) -> str | None:
    """The first layer with a figure that is not finite, which a message cannot hold."""
    for layer in layers:
        figures = layer.relative_change, layer.gradient_norm_first, layer.gradient_norm_last
        if not all(map(math.isfinite, figures)):
            return layer.layer
    return None


def _check_finite(part: str, result: Pass, epoch: int) -> None:
    for name, loss in {"loss": result.loss, **result.aux_losses}.items():
        if not math.isfinite(loss):
            raise Diverged(f"the {part} {name} was {loss} in epoch {epoch}; try a lower --lr.")

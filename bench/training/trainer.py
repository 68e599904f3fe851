"""One trial under way in a worker process: epoch by epoch, from a checkpoint if there is one."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Protocol, cast

import torch

from bench.analysis.intervals import median, percentile
from bench.data.loader import Split, dropped_images, steps_per_epoch
from bench.errors import BenchError, Diverged
from bench.records.messages import Resumed, Stopped, TrainJob, Warned
from bench.records.records import (
    Calibrated,
    Epoch,
    Inspected,
    Surroundings,
    TimeBudget,
    Trial,
    TrialNoted,
    decode,
    encode,
)
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
from bench.training.loop import Batch, Pass, Sums, evaluation_pass, train_pass
from bench.training.step_timer import StepClock, Timed, timed

KEPT_STEPS = 2000
"""Of an epoch the times of so many steps are kept at most; of a longer one, every n-th."""

Told = Calibrated | Epoch | Inspected | Resumed | Stopped | TrialNoted | Warned
"""What a trial under way tells its parent."""


class ProgressSink(Protocol):
    """Where a story says how far it is."""

    def __call__(self, phase: str, done: int, total: int, rate: float | None = None) -> None:
        """`done` of `total` of a phase, at `rate` images per second."""


@dataclass
class Trainer:
    """One trial under way in this process."""

    job: TrainJob
    train_split: Split
    test_split: Split
    device: Device
    training: Training
    progress: ProgressSink
    stopping: Callable[[], bool]

    def epochs(self) -> Iterator[Told]:
        """Every epoch that is left, from the checkpoint if there is one, and what came of it."""
        at, sums = Position(), Sums()
        with self.device.unlimited():  # a checkpoint's tensors are there twice for a moment
            saved = load(Path(self.job.checkpoint), self.job.trial.id)
            if saved is not None:
                at = position_of(saved)
                self.training.restore(saved.pop("training"))
                self.training.order.set_state(saved["order"])
                sums.restore(saved["sums"], self.device.torch)
            elif self.job.kernels is not None:
                save_start(self._start, self.training.network)
            self.device.release()
        if saved is not None or self.job.logged_epochs:
            yield Resumed(min(self.job.logged_epochs, at.epoch - 1))
            if self.job.logged_epochs < at.epoch - 1:
                # It was saved before it was sent, and has not arrived.
                yield cast(Epoch, decode(at.record))
        resumed = saved is not None
        while at.epoch <= self.job.epochs:
            order = self.training.order.get_state()
            try:
                record = self.epoch(at, sums)
            except _Stop as stop:
                self._save(stop.at, order, sums)
                yield Stopped()
                return
            record = replace(record, resumed=resumed)
            at, sums, resumed = Position(at.epoch + 1, record=encode(record)), Sums(), False
            if at.epoch <= self.job.epochs or self.job.kernels is not None:
                self._save(at, self.training.order.get_state(), sums)
            yield record
        if self.job.kernels is not None:
            yield self._inspected(Path(self.job.kernels))

    def epoch(self, at: Position, sums: Sums) -> Epoch:
        """What is left of an epoch, and its evaluation; raises _Stop where it was asked to."""
        job, device, precision = self.job, self.device, self.training.precision
        batch_size = job.trial.batch_size or 0
        steps = steps_per_epoch(len(self.train_split), batch_size)
        clock = StepClock(device, steps - at.steps)
        heard = self._heard(at, steps)
        device.reset_peak()

        def train_all() -> Pass:
            network, optimizer = self.training.network, self.training.optimizer
            return train_pass(network, heard, optimizer, precision, clock, sums).result()

        def test_all() -> Pass:
            trained_at = replace(at, steps=steps).later(train_time.seconds, train_time.cpu_seconds)
            batches = self._unless_stopped(self.test_split.in_order(batch_size), trained_at)
            return evaluation_pass(self.training.network, batches, precision).result()

        with Sampler(device.pci_bus_id()) as sampler, Watch() as watch:
            trained, train_time = timed(device, train_all)
        _check_finite("training", trained, at.epoch)
        tested, test_time = timed(device, test_all)
        _check_finite("test", tested, at.epoch)
        times = train_time.plus(at.seconds, at.cpu_seconds), test_time
        return _record(
            job.trial,
            at.epoch,
            steps,
            trained,
            tested,
            times,
            clock,
            device,
            sampler,
            watch.result(),
            len(self.train_split),
        )

    def _inspected(self, kernels: Path) -> Inspected | Warned:
        """What training did to the network, which holds its initial weights afterwards. A network
        that cannot be looked at has been trained all the same."""
        trial, training = self.job.trial, self.training
        network, precision, size = training.network, training.precision, trial.batch_size or 0
        try:
            with self.device.unlimited():
                start = load_start(self._start)
                if start is None:
                    return Warned(f"{trial.id}: its initial weights are lost, so changes are too.")
                modes = tuple(evaluation_modes(network, self.test_split, size, precision))
                save_kernels(kernels, network, start)
                batch = self.train_split.first(min(size, len(self.train_split)))
                layers = tuple(changes(network, start, batch, precision))
        except (BenchError, RuntimeError, MemoryError) as error:
            first = next(iter(str(error).splitlines()), "")
            return Warned(f"{trial.id}: it was trained, but could not be looked at: {first}")
        return Inspected(trial.id, layers, modes, kernels.name)

    @property
    def _start(self) -> Path:
        return Path(self.job.start)

    def _heard(self, at: Position, steps: int) -> Iterator[Batch]:
        """The batches that are left, with a word now and then of how far they are."""
        batch_size = self.job.trial.batch_size or 0
        phase = f"epoch {at.epoch}/{self.job.epochs}"
        shuffled = self.train_split.shuffled(
            batch_size, self.training.order, self.job.conditions.augment
        )
        start, cpu, done = perf_counter(), process_time(), at.steps
        for batch in islice(shuffled, at.steps, None):
            if self.stopping():
                seconds, cpu_seconds = perf_counter() - start, process_time() - cpu
                raise _Stop(replace(at, steps=done).later(seconds, cpu_seconds))
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
    """The parent has asked for an early end; `at` is how far the trial is."""

    def __init__(self, at: Position) -> None:
        super().__init__()
        self.at = at


def _check_finite(part: str, passed: Pass, epoch: int) -> None:
    losses = {"loss": passed.loss, **passed.aux_losses}
    for name, loss in losses.items():
        if not math.isfinite(loss):
            raise Diverged(f"the {part} {name} was {loss} in epoch {epoch}; try a lower --lr.")


def _record(
    trial: Trial,
    epoch: int,
    steps: int,
    trained: Pass,
    tested: Pass,
    times: tuple[Timed, Timed],
    clock: StepClock,
    device: Device,
    sampler: Sampler,
    surroundings: Surroundings,
    train_images: int,
) -> Epoch:
    train_time, test_time = times
    seconds = clock.step_seconds() or [train_time.seconds]
    every = -(-len(seconds) // KEPT_STEPS)
    steady = (seconds[1:] or seconds) if epoch == 1 else seconds
    parts = clock.part_seconds(train_time.seconds)
    return Epoch(
        model=trial.model,
        seed=trial.seed,
        trial=trial.id,
        epoch=epoch,
        train_seconds=train_time.seconds,
        test_seconds=test_time.seconds,
        images_per_second=trained.images / train_time.seconds,
        train_loss=trained.loss,
        train_accuracy=trained.accuracy,
        test_loss=tested.loss,
        test_accuracy=tested.accuracy,
        aux_losses=trained.aux_losses,
        steps=steps,
        images_trained=trained.images,
        images_dropped=dropped_images(train_images, trial.batch_size or 0),
        step_seconds=median(steady),
        step_seconds_p95=percentile(steady, 95),
        first_step_seconds=seconds[0] if epoch == 1 else None,
        peak_memory_bytes=device.peak_memory(),
        reserved_memory_bytes=device.reserved_memory(),
        time_budget=TimeBudget(
            data_seconds=parts["data"],
            forward_seconds=parts["forward"],
            backward_seconds=parts["backward"],
            optimizer_seconds=parts["optimizer"],
            evaluation_seconds=test_time.seconds,
            other_seconds=train_time.seconds - sum(parts.values()),
        ),
        cpu_seconds=train_time.cpu_seconds,
        telemetry=sampler.result(),
        step_times=tuple(round(s, 6) for s in seconds[::every]),
        step_times_every=every,
        surroundings=surroundings,
    )

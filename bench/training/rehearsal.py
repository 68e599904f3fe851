"""A few steps of a trial, timed: what the time of the whole is predicted from.

The network, the images and the code are those of the trial. Nothing of it is kept.
"""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from time import perf_counter

from bench.data.loader import Batches
from bench.records.records import StepsTimed
from bench.training.checkpoint import Position, save
from bench.training.diagnostics import MODE_IMAGES, SMALL_BATCH
from bench.training.gang import ALONE, Gang
from bench.training.loop import Sums, evaluation_pass, train_pass
from bench.training.step_timer import StepTimer, timed
from bench.training.trainer import Trainer

LEAST, MOST = 4, 21
SECONDS = 2.0
"""Steps are taken for about this long, `LEAST` to `MOST` of them; evaluations half as long."""


def rehearse(trainer: Trainer) -> StepsTimed:
    """Train, evaluate and save a little."""
    begin, device, trial = perf_counter(), trainer.device, trainer.job.trial
    size = trial.batch_size or 0
    device.reset_peak()
    first_step, *steps = _step_seconds(trainer, size)
    first_batch, per_image = _evaluation_seconds(trainer, trial.setting.part_of(size))
    peak = device.peak_memory()
    _, small_image = _evaluation_seconds(trainer, SMALL_BATCH)
    _, saved = timed(device, lambda: _save(trainer))
    # As `bench.training.diagnostics` does it: three evaluations in batches, one in small ones, and
    # the gradients of two steps.
    images = min(MODE_IMAGES, len(trainer.evaluation_split))
    inspection = images * (3 * per_image + small_image) + 2 * min(steps or [first_step])
    return StepsTimed(
        model=trial.model,
        setting=trial.setting,
        batch_size=size,
        first_step_seconds=first_step,
        step_seconds=tuple(steps),
        first_evaluation_seconds=first_batch,
        evaluation_seconds=per_image,
        checkpoint_seconds=saved.seconds,
        inspection_seconds=inspection,
        peak_memory_bytes=peak,
        seconds=perf_counter() - begin,
    )


def _step_seconds(trainer: Trainer, size: int) -> list[float]:
    training, split, device = trainer.training, trainer.train_split, trainer.device
    setting, timer = trainer.job.trial.setting, StepTimer(device, MOST)

    ranks, share = training.gang.share.ranks, training.gang.share

    def shuffled() -> Batches:
        return split.shuffled(size * ranks, training.order, setting.augment, share=share)

    train_pass(
        training.trained,
        _a_few(_whole(shuffled, len(split) // (size * ranks)), SECONDS, training.gang),
        *(training.optimizer, training.precision, timer),
        schedule=training.schedule,
        accumulate=setting.accumulate,
    )
    device.synchronize()
    return timer.step_seconds()


def _evaluation_seconds(trainer: Trainer, size: int) -> tuple[float, float]:
    """Seconds of the first batch, and per image of those that follow."""
    split, training, device = trainer.evaluation_split, trainer.training, trainer.device
    batches = _whole(lambda: split.in_order(size), len(split) // size)

    def evaluate(some: Batches) -> Sums:
        return evaluation_pass(training.network, some, training.precision)

    _, first = timed(device, lambda: evaluate(islice(batches, 1)))
    sums, others = timed(device, lambda: evaluate(_a_few(batches, SECONDS / 2)))
    return first.seconds, others.seconds / sums.result().images


def _whole(epoch: Callable[[], Batches], batches: int) -> Batches:
    """Epoch after epoch without a smaller last batch, unless there is no other."""
    while True:
        yield from islice(epoch(), max(1, batches))


def _a_few(batches: Batches, seconds: float, gang: Gang = ALONE) -> Batches:
    end = perf_counter() + seconds
    over = gang.stopping(lambda: perf_counter() > end)
    for done, batch in enumerate(islice(batches, MOST)):
        if done >= LEAST and over():
            return
        yield batch


def _save(trainer: Trainer) -> None:
    training, job = trainer.training, trainer.job
    order = training.order.get_state()
    save(Path(job.checkpoint), job.trial.id, training, Position(), order, Sums())

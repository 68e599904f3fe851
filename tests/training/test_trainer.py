"""A trial with validation images: the test images are evaluated once, whatever happens."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.data.loader import Batches, ResidentSplit, Transform
from bench.records.logits import FOLDER, read_logits
from bench.records.messages import (
    Conditions,
    Resumed,
    TrainJob,
    Warned,
    decode_message,
    encode_message,
)
from bench.records.records import Epoch, FinalTest, Inspected
from bench.system.devices import open_device
from bench.training.checkpoint import Training
from bench.training.optimizers import open_optimizer
from bench.training.precision import Precision
from bench.training.trainer import Trainer
from models.building.network import Network
from tests.builders import a_dataset, a_setting, a_trial

SIZES = {"train": 20, "validation": 8, "test": 6}


class WatchedSplit(ResidentSplit):
    """Noise that counts how often it is read."""

    def __init__(self, images: int) -> None:
        pixels = torch.Generator().manual_seed(images)
        transform = Transform(8, (0.5,) * 3, (0.25,) * 3, torch.device("cpu"), False)
        noise = torch.randint(0, 256, (images, 8, 8, 3), dtype=torch.uint8, generator=pixels)
        super().__init__(noise, torch.arange(images) % 2, transform)
        self.reads = 0

    def _stored(self, order: Tensor, batch_size: int) -> Batches:
        self.reads += 1
        yield from super()._stored(order, batch_size)


def a_trainer(
    folder: Path, *, inspect: bool = True, stop_at: int = 10**9, **job: Any
) -> tuple[Trainer, WatchedSplit]:
    """A trainer of two epochs that has to stop at its n-th question, and its test images."""
    torch.manual_seed(0)
    body = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(144, 2),
    )
    network, device, asked = Network(body, {}), open_device("cpu"), count()
    training = Training(
        network,
        open_optimizer("adam", network.parameters(), 1e-3),
        Precision("fp32", None, "cpu", None),
        torch.Generator().manual_seed(0),
    )
    train, validation, test = map(WatchedSplit, SIZES.values())
    facts = a_dataset(**{f"{part}_images": images for part, images in SIZES.items()})
    *files, kernels = (str(folder / name) for name in ("at.pt", "start.pt", "kernels.npz"))
    trial = a_trial(setting=a_setting(image_size=8), batch_size=4)
    conditions = Conditions("cpu", facts, None, 0)
    made = TrainJob(trial, 2, str(folder), conditions, *files, kernels if inspect else None)
    how = (device, training, lambda *said: None, lambda: next(asked) >= stop_at)
    return Trainer(replace(made, **job), train, validation, *how, test), test


def kinds(messages: Iterator[Any]) -> list[str]:
    return [type(message).__name__ for message in messages]


def test_epochs_are_of_validation_images_and_the_test_is_one(tmp_path: Path) -> None:
    trainer, test = a_trainer(tmp_path)
    messages = []
    for message in trainer.epochs():
        assert test.reads == (any(isinstance(m, FinalTest) for m in [*messages, message]))
        messages.append(message)
    first, last, tested, inspected = messages
    assert isinstance(inspected, Inspected)
    assert [(e.epoch, e.evaluated_on) for e in (first, last)] == [
        (1, "validation"),
        (2, "validation"),
    ]
    assert (last.test_accuracy, last.test_loss) == (None, None)
    assert last.accuracy * SIZES["validation"] == pytest.approx(round(last.accuracy * 8))
    assert tested.images == SIZES["test"]
    assert {mode.images for mode in inspected.evaluation_modes} == {SIZES["validation"]}
    assert {mode.test_accuracy for mode in inspected.evaluation_modes} == {None}


@pytest.mark.parametrize("inspect", [True, False])
def test_a_trial_that_was_killed_before_its_test_was_recorded_is_tested_again(
    inspect: bool, tmp_path: Path
) -> None:
    first, _ = a_trainer(tmp_path, inspect=inspect)
    lost = next(message for message in first.epochs() if isinstance(message, FinalTest))
    again, _ = a_trainer(tmp_path, inspect=inspect, logged_epochs=2)
    resumed, tested, *rest = again.epochs()
    assert resumed == Resumed(2)
    assert replace(tested, seconds=0.0) == replace(lost, seconds=0.0)
    assert kinds(iter(rest)) == ["Inspected"] * inspect


def test_what_was_tested_is_not_tested_again(tmp_path: Path) -> None:
    first, _ = a_trainer(tmp_path)
    next(message for message in first.epochs() if isinstance(message, FinalTest))
    resumed, test = a_trainer(tmp_path, logged_epochs=2, tested=True)
    assert kinds(resumed.epochs()) == ["Resumed", "Inspected"]
    repeated, other = a_trainer(tmp_path / "other", tested=True, inspect=False)
    (tmp_path / "other").mkdir()
    assert kinds(repeated.epochs()) == ["Epoch", "Epoch"]
    assert test.reads == other.reads == 0


@pytest.mark.parametrize("calls", [10**9, 15])
def test_kept_logits_are_of_the_test_images(calls: int, tmp_path: Path) -> None:
    path = str(tmp_path / FOLDER / "a.npy")
    first, _ = a_trainer(tmp_path, logits=path, stop_at=calls)
    messages = list(first.epochs())
    if calls == 15:  # within the test
        again, _ = a_trainer(tmp_path, logits=path, logged_epochs=2)
        messages += again.epochs()
    assert [m.logits for m in messages if isinstance(m, Epoch)] == [None, None]
    (tested,) = (m for m in messages if isinstance(m, FinalTest))
    assert tested.logits is not None
    logits, labels = read_logits(tmp_path, tested.logits)
    assert len(labels) == SIZES["test"]
    assert (logits.argmax(1) == labels).mean() == pytest.approx(tested.accuracy)


def test_asked_to_stop_within_the_test(tmp_path: Path) -> None:
    # Five batches of training and two of validation, twice; the test has two.
    trainer, _ = a_trainer(tmp_path, stop_at=15)
    assert kinds(trainer.epochs()) == ["Epoch", "Epoch", "Stopped"]
    again, _ = a_trainer(tmp_path, logged_epochs=2)
    assert kinds(again.epochs()) == ["Resumed", "FinalTest", "Inspected"]


def test_a_layer_that_began_with_weights_of_0_does_not_fail_the_trial(tmp_path: Path) -> None:
    trainer, _ = a_trainer(tmp_path)
    head = trainer.training.network.get_parameter("module.3.weight")
    torch.nn.init.zeros_(head)
    *_, tested, told = trainer.epochs()
    assert isinstance(tested, FinalTest)
    assert not head.any()
    assert decode_message(encode_message(told)) == Warned(
        "it was trained, but could not be inspected: layer 3 began with weights of 0, or has "
        "figures that are not finite."
    )


def test_an_epoch_that_was_stopped_in_its_evaluation_has_no_step_of_its_own_length(
    tmp_path: Path,
) -> None:
    trainer, _ = a_trainer(tmp_path, stop_at=6)  # after five batches of training
    assert kinds(trainer.epochs()) == ["Stopped"]
    again, _ = a_trainer(tmp_path)
    _, epoch, *_ = again.epochs()
    assert isinstance(epoch, Epoch)
    assert epoch.step_seconds == pytest.approx(epoch.train_seconds / 5)
    assert (epoch.step_times, epoch.first_step_seconds) == ((), None)

"""A few steps of a trial, timed."""

from pathlib import Path

import pytest
import torch
from torch import nn

from bench.data.loader import ResidentSplit, Transform
from bench.records.messages import Conditions, TrainJob
from bench.system.devices import open_device
from bench.training import rehearsal
from bench.training.checkpoint import Training
from bench.training.optimizers import open_optimizer
from bench.training.precision import Precision
from bench.training.rehearsal import LEAST, MOST, rehearse
from bench.training.trainer import Trainer
from models.building.network import Network
from tests.builders import a_dataset, a_setting, a_trial


class Counting(nn.Module):
    """A tiny network that keeps the sizes of the batches it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
        self.trained: list[int] = []
        self.tested: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        (self.trained if self.training else self.tested).append(len(images))
        return self.body(images)


def a_trainer(folder: Path, batch: int, images: int, accumulate: int = 1) -> Trainer:
    device = open_device("cpu")
    transform = Transform(8, (0.5,) * 3, (0.25,) * 3, device.torch, False)
    pixels = torch.zeros(images, 8, 8, 3, dtype=torch.uint8)
    split = ResidentSplit(pixels, torch.arange(images) % 2, transform)
    network = Network(Counting(), {})
    training = Training(
        network,
        open_optimizer("adam", network.parameters(), 1e-3),
        Precision("fp32", None, "cpu", None),
        torch.Generator().manual_seed(0),
    )
    setting = a_setting(image_size=8, accumulate=accumulate)
    files = [str(folder / name) for name in ("checkpoint.pt", "start.pt", "kernels.npz")]
    trial, conditions = (
        a_trial(setting=setting, batch_size=batch),
        Conditions("cpu", a_dataset(), None, 0),
    )
    job = TrainJob(trial, 2, str(folder), conditions, *files, rehearsal=True)
    return Trainer(job, split, split, device, training, lambda *said: None, lambda: False)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time but for the least steps."""
    monkeypatch.setattr(rehearsal, "SECONDS", 0.0)


def seen(trainer: Trainer) -> Counting:
    body = trainer.training.network.module
    assert isinstance(body, Counting)
    return body


@pytest.mark.usefixtures("hasty")
def test_at_least_so_many_steps_of_whole_batches_are_timed(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path, batch=4, images=10)
    timed = rehearse(trainer)
    assert seen(trainer).trained == [4] * LEAST
    assert len(timed.step_seconds) == LEAST - 1
    assert min(timed.first_step_seconds, *timed.step_seconds) > 0
    assert min(timed.first_evaluation_seconds, timed.evaluation_seconds) > 0
    assert timed.checkpoint_seconds > 0
    assert (tmp_path / "checkpoint.pt").exists()
    assert (timed.model, timed.batch_size) == ("resnet18", 4)


def test_there_are_never_more_than_so_many(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path, batch=4, images=400)
    assert len(rehearse(trainer).step_seconds) == MOST - 1


@pytest.mark.usefixtures("hasty")
def test_a_batch_larger_than_the_data_is_all_of_them(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path, batch=64, images=6)
    rehearse(trainer)
    assert set(seen(trainer).trained) == {6}


@pytest.mark.usefixtures("hasty")
def test_a_batch_in_parts_is_timed_as_one_step(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path, batch=8, images=16, accumulate=2)
    assert len(rehearse(trainer).step_seconds) == LEAST - 1
    assert seen(trainer).trained == [4] * (2 * LEAST)
    assert max(seen(trainer).tested) == 4

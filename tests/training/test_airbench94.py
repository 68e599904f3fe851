"""A trial by the recipe `airbench94`, with everything that it has a state of."""

from itertools import count
from pathlib import Path

import pytest
import torch

from bench.data.loader import ResidentSplit, Transform
from bench.prediction.simulate import building, simulate
from bench.records.messages import Conditions, Stopped, TrainJob
from bench.records.records import Epoch
from bench.settings import make_setting
from bench.system.devices import open_device
from bench.training.checkpoint import Training
from bench.training.networks import initialise_from, open_network
from bench.training.optimizers import open_updates, optimizer_of
from bench.training.precision import Precision
from bench.training.trainer import Trainer
from models import REGISTRY
from tests.builders import a_dataset, a_trial

IMAGES, BATCH, EPOCHS, SIDE = 16, 6, 4, 25
CALLS = 2 * 3
"""How often an epoch asks whether to stop: before each of its batches, in training and test."""


def a_trainer(folder: Path, stop_at: int | None = None, logged: int = 0) -> Trainer:
    """A trial with the seed 1, that is asked to stop at its n-th question."""
    device, setting = open_device("cpu"), make_setting(SIDE, recipe="airbench94")
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (IMAGES, SIDE, SIDE, 3), dtype=torch.uint8, generator=random)
    transform = Transform(SIDE, (0.5,) * 3, (0.25,) * 3, device.torch, True)
    split = ResidentSplit(pixels, torch.arange(IMAGES) % 2, transform)
    torch.manual_seed(1)
    network = open_network(REGISTRY.get("airbench94"), 2, setting)
    initialise_from(split, network)
    optimizer = optimizer_of(setting, network, BATCH)
    after = open_updates(setting, network, optimizer, EPOCHS * 3)
    precision, order = Precision("fp32", None, "cpu", None), torch.Generator().manual_seed(1)
    training = Training(network, optimizer, precision, order, after)
    files = [str(folder / name) for name in ("checkpoint.pt", "start.pt")]
    trial = a_trial("airbench94", 1, setting=setting, batch_size=BATCH)
    conditions = Conditions("cpu", a_dataset(), None, 0)
    job = TrainJob(trial, EPOCHS, str(folder), conditions, *files, logged_epochs=logged)
    asked = count(1)
    stopping = lambda: next(asked) == stop_at  # noqa: E731
    return Trainer(job, split, split, device, training, lambda *said: None, stopping)


def epochs(trainer: Trainer) -> list[tuple[float, ...]]:
    records = [r for r in trainer.epochs() if isinstance(r, Epoch)]
    return [(r.train_loss, r.test_loss, r.test_accuracy, r.tta_test_accuracy) for r in records]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, list[tuple[float, ...]]]:
    trainer = a_trainer(tmp_path_factory.mktemp("whole"))
    return trainer, epochs(trainer)


@pytest.mark.parametrize(
    "stop_at",
    [CALLS + 3, 3 * CALLS + 2, EPOCHS * CALLS + 2],
    ids=["in the second epoch", "after the whitening's bias", "in test-time augmentation"],
)
def test_it_goes_on_bit_by_bit(stop_at: int, whole: tuple, tmp_path: Path) -> None:
    first = a_trainer(tmp_path, stop_at)
    *done, last = first.epochs()
    assert isinstance(last, Stopped)
    resumed = a_trainer(tmp_path, logged=len(done))
    assert epochs(resumed) == whole[1][len(done) :]
    wanted, found = (t.training.network.state_dict() for t in (whole[0], resumed))
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []


def test_its_step_is_simulated_with_the_average_in_memory() -> None:
    setting = make_setting(32, recipe="airbench94")
    with building():
        network = open_network(REGISTRY.get("airbench94"), 10, setting)
    state = sum(v.nbytes for v in network.state_dict().values() if v.is_floating_point())
    momentum = sum(p.nbytes for p in network.parameters() if p.requires_grad)
    trace = simulate(network, setting, classes=10, device="cpu")
    kept = [a for a in trace.allocations if a.category == "optimizer state"]
    assert sum(a.fixed_bytes for a in kept) == state + momentum


def test_only_the_last_epoch_is_tested_with_six_views(whole: tuple) -> None:
    *others, last = [views for *_, views in whole[1]]
    assert others == [None] * (EPOCHS - 1)
    assert 0 <= last <= 1


def test_what_is_frozen_is_as_training_images_had_it(whole: tuple, tmp_path: Path) -> None:
    begun, ended = (t.training.network.module for t in (a_trainer(tmp_path), whole[0]))
    assert torch.equal(begun.whiten.weight, ended.whiten.weight)
    assert torch.equal(ended.body[1][2].weight, torch.ones(64))
    assert not torch.equal(begun.whiten.bias, ended.whiten.bias)
    assert not ended.whiten.bias.requires_grad

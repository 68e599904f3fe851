"""The search and the prediction from somebody's own script."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from bench import find_max_batch, predict_max_batch
from bench.batch_size import api
from bench.errors import Refused
from bench.system.devices.cpu import CpuDevice

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
import torch
from tests.batch_size.test_api import Small
from bench import find_max_batch, predict_max_batch

model = Small()
before = {k: v.clone() for k, v in model.state_dict().items()}
state = torch.get_rng_state()
model(torch.zeros(64, 3, 16, 16))  # the thread pool is in use
torch.ones(1000, 1000) @ torch.ones(1000, 1000)
model.load_state_dict(before)

mine = predict_max_batch(model, card="t4", image_size=32)
named = predict_max_batch("resnet18", card="2GiB", image_size=64, precision="fp16")
print(mine.model, mine.max_batch > 1000, named.usable_bytes == 2**31, named.source)
if sys.platform == "linux":
    found = find_max_batch(model, image_size=16, device="cpu", memory_budget="60MiB", cap=2000)
    proof = found.certificate
    print(found.model, found.max_batch >= 2, proof.failed_batch == found.max_batch + 1)
assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
assert torch.equal(state, torch.get_rng_state())
print("left alone")
"""
"""What somebody's own script does: a fork of this process could not share its threads."""


@pytest.fixture(scope="module")
def said() -> list[list[str]]:
    """The words of every line that the script prints."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.Conv2d(64, 64, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, 10),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(images)
        return out


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA holds only on Linux")
def test_a_module_of_ones_own_is_measured(said: list[list[str]]) -> None:
    assert said[1] == ["Small", "True", "True"]


@pytest.mark.thorough
def test_it_is_predicted_and_left_alone(said: list[list[str]]) -> None:
    assert said[0] == ["Small", "True", "True", "predicted"]
    assert said[-1] == ["left", "alone"]


def test_a_budget_is_needed_on_the_cpu() -> None:
    with pytest.raises(Refused, match="memory_budget is needed on the CPU"):
        find_max_batch("resnet18", device="cpu")


def test_unknown_cards_are_refused() -> None:
    with pytest.raises(Refused, match="unknown card"):
        predict_max_batch("resnet18", card="rtx")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"optimizer": "Adam"}, "--optimizer Adam must be one of adam, adamw, sgd"),
        ({"precision": "float16"}, "--precision float16 must be one of fp32, tf32, bf16, fp16."),
        ({"image_size": 0}, "--image-size 0 must be a whole number above 0"),
        ({"num_classes": 0}, "num_classes 0 must be 2 or more."),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        predict_max_batch("lenet", card="t4", **arguments)
    assert sentence in str(refused.value)
    with pytest.raises(Refused) as refused:
        find_max_batch("lenet", device="cpu", memory_budget="1GiB", **arguments)
    assert sentence in str(refused.value)


def test_a_device_that_cannot_be_is_refused() -> None:
    with pytest.raises(Refused, match="--device cuda:x must be one of auto, cpu, cuda, cuda:N"):
        find_max_batch("lenet", device="cuda:x")


def test_the_cpu_is_measured_on_linux_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Refused, match="measuring on the CPU needs Linux"):
        find_max_batch("lenet", device="cpu", memory_budget="1GiB")


class OnCard(Small):
    """As if it had been moved there."""

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        yield SimpleNamespace(device=torch.device("cuda", 0))


def test_a_module_on_a_card_is_refused_where_a_child_copies_it() -> None:
    with pytest.raises(Refused, match="the module is on cuda:0, which no child of this process"):
        predict_max_batch(OnCard(), card="t4")
    with pytest.raises(Refused, match="move it to the CPU first"):
        find_max_batch(OnCard(), device="cpu", memory_budget="1GiB")


def test_cuda_is_not_started_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(device: object) -> None:
        raise AssertionError("CUDA was asked for its random state")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", started)
    state = torch.get_rng_state()
    with api._unchanged(CpuDevice()):
        torch.rand(1)
    assert torch.equal(state, torch.get_rng_state())

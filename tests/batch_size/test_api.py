"""The search and the prediction from somebody's own script."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from bench import find_max_batch, predict_max_batch
from bench.errors import Refused

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

"""The prediction that a search begins with."""

import os

import pytest
import torch
from torch import Tensor, nn

from bench.batch_size.predicted import predicted_trace
from bench.records.messages import Conditions
from models import REGISTRY
from models.entry import Entry
from tests.builders import a_dataset, a_setting

RESNET = REGISTRY.get("resnet18")


def conditions(device: str) -> Conditions:
    return Conditions(device, a_dataset(), 2**29, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a simulation needs a forked child")
def test_memory_grows_with_the_batch_and_holds_the_optimizers_state() -> None:
    trace = predicted_trace(RESNET, a_setting(optimizer="adam"), conditions("cpu"))
    assert trace is not None
    peaks = [trace.peak_bytes(n) for n in (2, 64, 512)]
    assert peaks == sorted(set(peaks))
    # Weights, gradients and Adam's two moments, as float32.
    assert peaks[0] > 4 * 4 * 11_181_642


def test_there_is_none_where_nothing_is_known_of_the_device() -> None:
    assert predicted_trace(RESNET, a_setting(), conditions("mps")) is None


class Measured(nn.Module):
    """Its shapes depend on values, which fake tensors do not have."""

    def forward(self, images: Tensor) -> Tensor:
        return images[images > images.mean().item()]


def test_there_is_none_of_a_model_that_cannot_be_simulated() -> None:
    entry = Entry(RESNET.facts, lambda classes, pretrained: Measured())
    assert predicted_trace(entry, a_setting(), conditions("cpu")) is None
    assert not torch.is_inference_mode_enabled()

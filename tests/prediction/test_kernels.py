"""Kernels of simulated steps: what can be worked out by hand, and as torch counts operations."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.prediction.kernels import KernelRecorder
from bench.prediction.simulate import MemoryTrace, building, simulate, trace
from bench.records.kernel_trace import Kernel, KernelTrace
from bench.records.records import Setting
from models import REGISTRY
from models.building.network import build_network


def traced(module: nn.Module, side: int = 8, channels: int = 3) -> KernelTrace:
    """The kernels of one forward and backward pass, on fake tensors of the CPU."""

    def steps(module: nn.Module, memory: MemoryTrace, batch_size: int) -> None:
        # Squared, because the gradient of a sum alone is one number, expanded.
        module(torch.empty(batch_size, channels, side, side)).square().sum().backward()

    recorder = KernelRecorder()
    trace(module, steps, channels_last=False, classes=10, device="cpu", kernels=recorder)
    return recorder.trace()


def of_kind(found: KernelTrace, kind: str) -> list[Kernel]:
    return [kernel for kernel in found.kernels if kernel.kind == kind]


def test_a_convolution_is_counted_by_hand() -> None:
    """Forward, and the gradient of the weights: images need none."""
    (kernel,) = of_kind(traced(nn.Conv2d(3, 16, 3, padding=1, bias=False)), "convolution")
    images, weights, out = 3 * 64 * 4, 16 * 3 * 9 * 4, 16 * 64 * 4
    assert kernel.count == 2
    assert (kernel.fixed_flops, kernel.image_flops) == (0, 2 * 16 * 64 * 27)
    assert (kernel.fixed_bytes, kernel.image_bytes) == (weights, images + out)
    assert (kernel.inputs, kernel.outputs, kernel.groups) == (3, 16, 1)
    assert not kernel.half


def test_a_transposed_convolution_is_counted_by_hand() -> None:
    """Every pixel of its input meets all weights, of which there are four for each channel."""
    layer = nn.ConvTranspose2d(8, 4, 2, stride=2, bias=False)
    (kernel,) = of_kind(traced(layer, channels=8), "convolution")
    images, weights, out = 8 * 64 * 4, 8 * 4 * 4 * 4, 4 * 256 * 4
    assert kernel.count == 2
    assert (kernel.fixed_flops, kernel.image_flops) == (0, 2 * 8 * 64 * 4 * 4)
    assert (kernel.fixed_bytes, kernel.image_bytes) == (weights, images + out)


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.Conv2d(8, 16, 1), "1x1 convolution"),
        (nn.Conv2d(8, 16, 3), "convolution"),
        (nn.Conv2d(8, 16, 3, groups=2), "grouped convolution"),
        (nn.Conv2d(8, 8, 3, groups=8), "depthwise convolution"),
        (nn.BatchNorm2d(8), "batch norm"),
        (nn.LayerNorm(8), "layer norm"),
        (nn.MaxPool2d(2), "pooling"),
        (nn.Linear(8, 4), "matrix product"),
        (nn.GELU(), "pointwise"),
    ],
)
def test_layers_have_their_kinds(layer: nn.Module, kind: str) -> None:
    found = traced(layer, channels=8) if next(layer.parameters(), None) is not None else None
    found = found or traced(nn.Sequential(nn.Conv2d(8, 8, 1), layer), channels=8)
    assert of_kind(found, kind)
    assert not found.unknown


def test_batch_norm_passes_twice_over_its_inputs() -> None:
    found = of_kind(traced(nn.BatchNorm2d(8), channels=8), "batch norm")
    one = 8 * 64 * 4
    # Its first input needs no gradient here, but is written by the backward pass all the same.
    assert Counter(k.image_bytes for k in found) == Counter({3 * one: 1, 5 * one: 1})


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "googlenet:noaux"])
def test_operations_are_as_torch_counts_them(name: str) -> None:
    """On real tensors; torch counts forward and both gradients of a product."""
    with building():
        network = build_network(REGISTRY.get(name), 10)
    images = torch.zeros(2, 3, 64, 64)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    with building():
        again = build_network(REGISTRY.get(name), 10)
    recorder = KernelRecorder()
    setting = Setting(64, "sgd", 1e-3, "fp32")
    simulate(again, setting, classes=10, device="cpu", kernels=recorder)
    kernels = recorder.trace().kernels
    counted = sum(k.count * (k.fixed_flops + 2 * k.image_flops) for k in kernels)
    assert counted == pytest.approx(counter.get_total_flops(), rel=1e-6)


@pytest.mark.parametrize(("optimizer", "tensors"), [("adam", 7), ("sgd", 5)])
def test_the_optimizer_reads_all_and_writes_all_but_gradients(optimizer: str, tensors: int) -> None:
    """Adam reads weights, gradients and two moments and writes three of them."""
    with building():
        network = build_network(REGISTRY.get("resnet18"), 10)
    recorder = KernelRecorder()
    setting = Setting(64, optimizer, 1e-3, "fp32")
    simulate(network, setting, classes=10, device="cpu", kernels=recorder)
    found = of_kind(recorder.trace(), "optimizer")
    moved = sum(k.count * k.fixed_bytes for k in found)
    assert moved == pytest.approx(tensors * 4 * 11_181_642, rel=0.01)
    assert not sum(k.image_bytes for k in found)


def test_only_the_last_step_counts() -> None:
    recorder = KernelRecorder()
    recorder.batch_size = 7
    with recorder:
        torch.zeros(7, 2) + 1
        recorder.end_step()
        torch.ones(7, 3) * 2
        recorder.end_step()
    assert {k.image_bytes for k in recorder.trace().kernels} == {3 * 4, 2 * 3 * 4}


def test_an_operator_without_a_rule_is_named_and_moves_its_tensors() -> None:
    @torch.library.custom_op("archbench_test::strange", mutates_args=())
    def strange(images: torch.Tensor) -> torch.Tensor:
        return images.clone()

    @strange.register_fake
    def _(images: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(images)

    class Strange(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 1, 1))

        def forward(self, images: Any) -> Any:
            return strange(images) * self.weight

    found = traced(Strange())
    assert found.unknown == ("archbench_test::strange",)
    (kernel,) = of_kind(found, "unknown")
    assert kernel.image_bytes == 2 * 3 * 64 * 4

"""Simulated steps agree with real ones: torch's own allocator on the CPU is the truth here."""

import functools
import gc
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.errors import TrialFailed
from bench.prediction.cards import find_card
from bench.prediction.memory import predict
from bench.prediction.simulate import building, simulate
from bench.records.memory_trace import Trace
from bench.records.records import DatasetFacts, Setting
from bench.runner.worker.selfcheck_jobs import onednn_workspace, tensor_bytes
from bench.settings import OPTIMIZERS
from bench.training.networks import open_network
from models import REGISTRY
from models.building.network import Network, build_network

SAME_LAYERS = {
    "resnet34": "resnet18",
    "resnet101": "resnet50",
    "resnet152": "resnet50",
    "densenet169": "densenet121",
    "densenet201": "densenet121",
}
"""Networks that are deeper than another one, and nothing else."""

LEFT_OUT = {f"{name}{stem}" for name in SAME_LAYERS for stem in ("", ":cifar")} | {
    "densenet161:cifar",  # the stem of densenet121:cifar, the blocks of densenet161
    "vgg16:1000",  # the head of alexnet:1000
}
"""What would take most of the time, and has no layer that is not in a case."""

CASES = {
    name: (16 if ":cifar" in name else 64, 16 if name.startswith("densenet") else 8)
    for name in REGISTRY
    if name not in LEFT_OUT
} | {"inception_v3": (299, 2), "inception_v3:noaux": (75, 8), "airbench94": (32, 8)}
"""Pixels and images: behind either stem, maps of 16 by 16."""

QUICK = {"lenet", "resnet18", "resnet18:cifar", "googlenet", "airbench94"}


@functools.cache
def simulated(name: str, setting: Setting, dataset: DatasetFacts | None = None) -> Trace:
    with building():
        network = build_network(REGISTRY.get(name), 10)
    return simulate(network, setting, classes=10, dataset=dataset, device="cpu")


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.thorough) for name in CASES],
)
def test_agrees_with_torchs_own_allocator(name: str) -> None:
    """But for a workspace that oneDNN takes for 3x3 convolutions on processors without AVX-512: up
    to four times a layer's weights, which no simulation knows of."""
    size, batch_size = CASES[name]
    setting = Setting(size, "adam", 1e-3, "fp32")
    predicted = simulated(name, setting).peak_bytes(batch_size, block_bytes=1)
    real = tensor_bytes(name, setting, batch_size)
    gc.collect()
    with building():
        workspace = onednn_workspace(build_network(REGISTRY.get(name), 10))
    assert -0.015 * real <= real - predicted <= 0.015 * real + workspace


def layers_of(name: str) -> set[str]:
    """Every kind of layer in a network, without its numbers of channels."""
    with building():
        network = build_network(REGISTRY.get(name), 10)
    channels = re.compile(r"(?<=\()(\d+(, \d+)?|in_features=\d+)")
    parts = (part for part in network.modules() if next(part.children(), None) is None)
    return {channels.sub("", str(part), count=1) for part in parts}


@pytest.mark.parametrize(("deeper", "case"), SAME_LAYERS.items())
def test_what_is_left_out_has_the_layers_of_a_case(deeper: str, case: str) -> None:
    assert case in CASES
    assert layers_of(deeper) == layers_of(case)


COPIES = {"adam": 2, "adamw": 2, "sgd": 1, "sgd-plain": 0, "rmsprop": 1, "adagrad": 1}


@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name != "adam"])
def test_every_optimizer_agrees_with_torchs_own_allocator(optimizer: str) -> None:
    """With two small images, most of the peak is weights and what the optimizer keeps of them."""
    setting = Setting(32, optimizer, 1e-3, "fp32")
    predicted = simulated("resnet18:cifar", setting).peak_bytes(2, block_bytes=1)
    assert predicted == pytest.approx(tensor_bytes("resnet18:cifar", setting, 2), rel=0.015)


@pytest.mark.parametrize(("optimizer", "copies"), COPIES.items())
def test_the_optimizers_state_is_told_apart(optimizer: str, copies: int) -> None:
    trace = simulated("resnet18", Setting(32, optimizer, 1e-3, "fp32"))
    parts = trace.breakdown(1)
    weights = 4 * 11_181_642
    assert COPIES.keys() == OPTIMIZERS.keys()
    assert parts["optimizer state"] == pytest.approx(copies * weights, rel=0.01)
    assert parts["parameters"] == pytest.approx(weights, rel=0.01)
    # Its peak is within the backward pass, when the last layers' gradients are there; that of
    # rmsprop is in its update, which no fused kernel spares the temporaries.
    assert 0.5 * weights < parts["gradients"]
    assert (parts["gradients"] < weights) is (optimizer != "rmsprop")


def test_activations_grow_with_the_batch_and_weights_do_not() -> None:
    trace = simulated("resnet18", Setting(64, "adam", 1e-3, "fp32"))
    few, many = trace.breakdown(64), trace.breakdown(128)
    assert many["activations"] == pytest.approx(2 * few["activations"], rel=0.001)
    assert many["parameters"] == few["parameters"]


def test_parts_of_a_batch_share_its_memory() -> None:
    """Activations are of one part; images are of all, and gradients wait for the last."""
    setting = Setting(64, "sgd", 1e-3, "fp32")
    whole, parts = (simulated("resnet18", replace(setting, accumulate=n)) for n in (1, 4))
    one, four = (trace.breakdown(32) for trace in (whole, parts))
    assert four["activations"] == pytest.approx(one["activations"], rel=0.05)
    assert four["data"] == pytest.approx(4 * one["data"], rel=0.02)
    assert four["gradients"] > one["gradients"]
    card = find_card("1GiB")
    few, many = (
        predict(
            t, model="resnet18", setting=replace(setting, accumulate=n), num_classes=10, card=card
        )
        for t, n in ((whole, 1), (parts, 4))
    )
    assert 3 * few.max_batch < many.max_batch < 4 * few.max_batch
    assert many.bytes_per_image == pytest.approx(few.bytes_per_image / 4, rel=0.15)


def test_ranks_sum_gradients_in_buckets_of_their_size() -> None:
    alone = Setting(32, "adam", 1e-3, "fp32")
    peaks = [
        simulated("resnet18", s).peak_bytes(2) for s in (alone, replace(alone, nproc_per_node=2))
    ]
    assert peaks[1] - peaks[0] == pytest.approx(4 * 11_181_642, rel=0.001)


def test_a_frozen_body_has_no_gradients() -> None:
    setting = Setting(64, "sgd", 1e-3, "fp32", pretrained=True, freeze="body")
    with building():
        network = open_network(REGISTRY.get("resnet18"), 10, setting, fetched=False)
    frozen = simulate(network, setting, classes=10, device="cpu").breakdown(32)
    trained = simulated("resnet18", setting).breakdown(32)
    assert frozen["optimizer state"] == pytest.approx(4 * 5130, abs=1024)
    assert frozen["activations"] < trained["activations"] / 3


def test_a_resident_data_set_takes_its_place() -> None:
    """On the CPU one image stands for all (see `blank_split`); labels are all there."""
    grey = (0.5, 0.5, 0.5)
    facts = DatasetFacts("x", "x", ("a", "b"), 50_000, 10_000, 32, grey, grey, "", True)
    setting = Setting(32, "adam", 1e-3, "fp32")
    without, with_data = simulated("resnet18", setting), simulated("resnet18", setting, facts)
    more = with_data.breakdown(2)["data"] - without.breakdown(2)["data"]
    assert more >= 60_000 * 8


def test_the_module_that_was_simulated_kept_shared_weights_shared() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3 * 8 * 8, 192)
            self.second = nn.Linear(192, 192)
            self.second.weight = self.first.weight

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.second(self.first(images.flatten(1)))
            return out

    trace = simulate(
        Network(Tied(), {}),
        Setting(8, "sgd", 1e-3, "fp32", channels_last=False),
        classes=192,
        device="cpu",
    )
    assert trace.breakdown(1)["parameters"] < 2 * 4 * 192 * 192


def test_what_cannot_be_simulated_says_why() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise ValueError("no such path\nmore")

    with pytest.raises(TrialFailed, match=r"cannot be simulated: ValueError: no such path$"):
        simulate(
            Network(Broken(), {}),
            Setting(8, "sgd", 1e-3, "fp32", channels_last=False),
            classes=2,
            device="cpu",
        )

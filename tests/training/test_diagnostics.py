"""What training did to a network, on one small enough to know the answers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.loader import ResidentSplit, Transform
from bench.training.diagnostics import (
    changes,
    evaluation_modes,
    gradient_norms,
    load_start,
    save_kernels,
    save_start,
    weighted_layers,
)
from bench.training.precision import Precision
from models.building.network import Network

FP32 = Precision("fp32", None, "cpu", None)


def a_network() -> Network:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(5, 2)]
    return Network(nn.Sequential(*layers, *head), {})


def a_batch(count: int = 6) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 8, 8, generator=chance), torch.arange(count) % 2


@pytest.fixture
def start(tmp_path: Path) -> tuple[Network, dict[str, Tensor]]:
    """A network, and its weights as they were read back from disk."""
    network = a_network()
    save_start(tmp_path / "start.pt", network)
    found = load_start(tmp_path / "start.pt")
    assert found is not None
    return network, found


def test_a_network_that_did_not_change(start: tuple[Network, dict[str, Tensor]]) -> None:
    network, weights = start
    found = list(changes(network, weights, a_batch(), FP32))
    assert [c.layer for c in found] == ["0", "3", "7"] == list(weighted_layers(network))
    assert [c.depth for c in found] == [1, 2, 3]
    assert all(c.relative_change == c.changed_share == 0 for c in found)
    assert all(c.gradient_norm_first == c.gradient_norm_last > 0 for c in found)


def test_weights_that_a_layer_computes_are_left_out(tmp_path: Path) -> None:
    network = a_network()
    nn.utils.parametrizations.weight_norm(network.module[3])
    save_start(tmp_path / "start.pt", network)
    found = load_start(tmp_path / "start.pt")
    assert found is not None
    save_kernels(tmp_path / "kernels.npz", network, found)
    assert [c.layer for c in changes(network, found, a_batch(), FP32)] == ["0", "7"]


def test_known_changes(start: tuple[Network, dict[str, Tensor]]) -> None:
    network, weights = start
    first, second, _ = weighted_layers(network).values()
    with torch.no_grad():
        first.mul_(1.5)
        second[0, 0, 0, 0] += second.norm()
    found = list(changes(network, weights, a_batch(), FP32))
    assert found[0].relative_change == pytest.approx(0.5, rel=1e-5)
    assert found[1].relative_change == pytest.approx(1.0, rel=1e-5)
    assert found[1].changed_share == pytest.approx(1 / second.numel())
    assert found[0].changed_share > 0.9
    assert found[0].gradient_norm_first != found[0].gradient_norm_last


def test_the_network_holds_its_initial_weights_afterwards(
    start: tuple[Network, dict[str, Tensor]],
) -> None:
    network, weights = start
    with torch.no_grad():
        next(network.parameters()).zero_()
    list(changes(network, weights, a_batch(), FP32))
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_gradients_are_torchs_own() -> None:
    network = a_network()
    network.module[6].p = 0.0
    images, labels = a_batch()
    norms = gradient_norms(network, (images, labels), FP32)
    nn.functional.cross_entropy(network.train()(images), labels).backward()
    for name, weight in weighted_layers(network).items():
        assert weight.grad is not None
        assert norms[name] == pytest.approx(float(weight.grad.norm()), rel=1e-5)


def test_looking_changes_nothing() -> None:
    network = a_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    gradient_norms(network, a_batch(), FP32)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def a_split(count: int = 30) -> ResidentSplit:
    chance = np.random.default_rng(0)
    labels = np.arange(count) % 2
    pixels = chance.normal(90 + 60 * labels[:, None, None, None], 20, (count, 8, 8, 3))
    grey = (0.5, 0.5, 0.5)
    transform = Transform(8, grey, grey, torch.device("cpu"), False)
    images = torch.from_numpy(pixels.clip(0, 255).astype(np.uint8))
    return ResidentSplit(images, torch.from_numpy(labels), transform)


def test_batch_norm_in_training_mode_depends_on_the_batch() -> None:
    """Bright against dark: whole batches of one class look alike to a batch's own statistics."""
    network, split = a_network(), a_split()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(30):
        for images, labels in split.in_order(30):
            optimizer.zero_grad()
            network.losses(images, labels).total.backward()
            optimizer.step()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = list(evaluation_modes(network, split, 15, FP32))
    found = {(m.mode, m.composition, m.batch_size): m.test_accuracy for m in modes}
    assert found["training", "shuffled", 15] > 0.8
    assert found["training", "sorted by class", 15] < 0.8
    assert found["inference", "shuffled", 15] > found["training", "sorted by class", 15]
    assert [m.images for m in modes] == [30, 30, 30, 30]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_kernels_are_plain_arrays(start: tuple[Network, dict[str, Tensor]], tmp_path: Path) -> None:
    network, weights = start
    with torch.no_grad():
        next(network.parameters()).add_(1)
    save_kernels(tmp_path / "kernels.npz", network, weights)
    with np.load(tmp_path / "kernels.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == ["first_after", "first_before", "second_after", "second_before"]
        assert arrays["first_before"].shape == (4, 3, 3, 3)
        np.testing.assert_allclose(arrays["first_after"] - arrays["first_before"], 1, rtol=1e-5)
        np.testing.assert_array_equal(arrays["second_after"], arrays["second_before"])


@pytest.mark.parametrize("damage", [b"", b"junk", None])
def test_initial_weights_that_are_lost_are_none(tmp_path: Path, damage: bytes | None) -> None:
    if damage is not None:
        (tmp_path / "start.pt").write_bytes(damage)
    assert load_start(tmp_path / "start.pt") is None

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.records.records import ModelDescribed, ModelFacts
from models import REGISTRY, Entry
from models.building.summary import auxiliary_modules, describe


class Tiny(nn.Module):
    """Convolution, batch norm and a head; in training an auxiliary head too."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.aux = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, classes))
        self.fc = nn.Linear(4, classes)

    def forward(self, images: Tensor) -> Any:
        features = self.norm(self.conv(images)).mean((2, 3))
        return (self.fc(features), self.aux(features)) if self.training else self.fc(features)


def tiny(size: int = 8) -> ModelDescribed:
    facts = ModelFacts("tiny", "test", 16, 1, {}, "", None, None)
    return describe(Entry(facts, lambda classes, pretrained: Tiny(classes)), 10, size)


def test_parameters() -> None:
    described = tiny()
    conv, norm, aux, fc = 3 * 4 * 9, 8, 40 + 90, 50
    assert described.params == conv + norm + aux + fc
    assert described.params_aux == aux
    assert described.params_imagenet == conv + norm + 40 + 9_000 + 5_000
    assert described.params_by_kind == {
        "convolution": 108,
        "linear": 180,
        "normalisation": 8,
        "other": 0,
    }


def test_rms_norm_is_a_normalisation() -> None:
    def build(classes: int, pretrained: bool) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.RMSNorm(192), nn.Linear(192, classes))

    facts = ModelFacts("normed", "test", 8, 1, {}, "", None, None)
    kinds = describe(Entry(facts, build), 10, 8).params_by_kind
    assert kinds == {"convolution": 0, "linear": 1_930, "normalisation": 192, "other": 0}


def test_gmacs_are_multiply_adds_of_inference() -> None:
    described = tiny(size=8)
    assert described.gmacs * 1e9 == pytest.approx(8 * 8 * 108 + 40)
    assert described.gmacs_native * 1e9 == pytest.approx(16 * 16 * 108 + 4_000)


def test_layers_in_order() -> None:
    layers = tiny().layers
    assert [layer.layer for layer in layers] == ["conv", "norm", "aux.0", "aux.1", "fc"]
    assert [layer.auxiliary for layer in layers] == [False, False, True, True, False]
    assert [layer.output_shape for layer in layers] == [(4, 8, 8), (4, 8, 8), (8,), (10,), (10,)]
    assert layers[0].gmacs * 1e9 == pytest.approx(8 * 8 * 108)
    assert sum(layer.params for layer in layers) == tiny().params


def test_weight_bytes_are_parameters_and_buffers() -> None:
    assert tiny().weight_bytes == 296 * 4 + 4 * 4 + 4 * 4 + 8


def test_googlenets_layers_add_up_to_the_whole() -> None:
    described = describe(REGISTRY.get("googlenet"), 10, 64)
    used = [layer for layer in described.layers if not layer.auxiliary]
    assert sum(layer.gmacs for layer in used) == pytest.approx(described.gmacs)
    assert sum(layer.params for layer in described.layers) == described.params
    assert sum(described.params_by_kind.values()) == described.params
    assert described.params - described.params_aux == sum(layer.params for layer in used)


def test_of_a_padded_kernel_on_a_small_map_few_weights_are_reached() -> None:
    described = describe(REGISTRY.get("resnet18"), 10, 32)
    shares = {layer.layer: layer.reached_share for layer in described.layers}
    assert shares["conv1"] == 1
    assert shares["layer4.0.conv1"] == pytest.approx(4 / 9)  # 2x2 maps become 1x1
    assert shares["layer4.1.conv2"] == pytest.approx(1 / 9)
    assert shares["layer4.0.downsample.0"] == 1
    assert shares["fc"] is shares["bn1"] is None


def test_auxiliary_modules() -> None:
    with torch.device("meta"):
        assert auxiliary_modules(Tiny(10), 8) == ["aux"]


def test_an_image_that_is_too_small() -> None:
    with pytest.raises((RuntimeError, ValueError)):
        describe(REGISTRY.get("googlenet:noaux"), 10, 14)

"""Residual networks: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2015.

Parameter counts and GMACs are torchvision's, published with its ImageNet weights.
"""

from typing import TYPE_CHECKING

from bench.records.records import ModelFacts
from models.entry import Entry, register

if TYPE_CHECKING:
    from torch import nn

PAPER = "https://arxiv.org/abs/1512.03385"

_PUBLISHED = {
    "resnet18": (11_689_512, 1.814),
    "resnet34": (21_797_672, 3.664),
    "resnet50": (25_557_032, 4.089),
    "resnet101": (44_549_160, 7.801),
    "resnet152": (60_192_808, 11.514),
}


def _entry(name: str, params: int, gmacs: float) -> Entry:
    def build(classes: int, pretrained: bool) -> "nn.Module":
        from models.building.torchvision_models import plain

        return plain(name, classes, pretrained)

    return Entry(ModelFacts(name, "resnet", 224, 1, {}, PAPER, params, gmacs), build)


for _name, (_params, _gmacs) in _PUBLISHED.items():
    register(_entry(_name, _params, _gmacs))

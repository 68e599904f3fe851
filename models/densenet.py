"""Densely connected networks: Huang, Liu, van der Maaten, Weinberger, 2016.

Parameter counts and GMACs are torchvision's, published with its ImageNet weights, as is the
smallest image: four halvings and a 2x2 pooling between blocks leave nothing of fewer than 29 pixels
a side.
"""

from typing import TYPE_CHECKING

from bench.records.records import ModelFacts
from models.entry import Entry, register

if TYPE_CHECKING:
    from torch import nn

PAPER = "https://arxiv.org/abs/1608.06993"

_PUBLISHED = {
    "densenet121": (7_978_856, 2.834),
    "densenet161": (28_681_000, 7.728),
    "densenet169": (14_149_480, 3.36),
    "densenet201": (20_013_928, 4.291),
}


def _entry(name: str, params: int, gmacs: float) -> Entry:
    def build(classes: int, pretrained: bool) -> "nn.Module":
        from models.building.torchvision_models import plain

        return plain(name, classes, pretrained)

    return Entry(ModelFacts(name, "densenet", 224, 29, {}, PAPER, params, gmacs), build)


for _name, (_params, _gmacs) in _PUBLISHED.items():
    register(_entry(_name, _params, _gmacs))

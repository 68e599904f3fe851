"""Keller Jordan's network for CIFAR-10 in seconds: "94% on CIFAR-10 in 3.29 Seconds on a Single
GPU", 2024. Nothing is published for ImageNet. Its own recipe is `airbench94`.

Four halvings, the first by a 2x2 convolution and the last by a 3x3 pooling that must leave one
place, need images of 25 to 48 pixels per side.
"""

from typing import TYPE_CHECKING

from bench.records.records import ModelFacts
from models.entry import Entry, register

if TYPE_CHECKING:
    from torch import nn

PAPER = "https://arxiv.org/abs/2404.00498"


def _build(classes: int, pretrained: bool) -> "nn.Module":
    from models.building.airbench import Airbench

    return Airbench(classes)


_FACTS = ModelFacts(
    "airbench94",
    "airbench",
    native_size=32,
    smallest_size=25,
    aux_weights={},
    paper=PAPER,
    params_imagenet=None,
    gmacs=None,
    published_weights=False,
    largest_size=48,
)
register(Entry(_FACTS, _build))

"""The registry's knowledge of a model: facts, and a function that builds it when called.

Nothing here imports torch before a model is built, so that listing and planning are instant.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.records.records import ModelFacts
from bench.registry import Registry

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Entry:
    """A model that can be trained.

    `build(classes, pretrained)` returns a module for 3-channel images of at least
    `facts.smallest_size` pixels per side, with `classes` outputs of its last layer and of its
    auxiliary heads. In training mode the module returns logits, or a named tuple with `logits` and
    one field per auxiliary head in `facts.aux_weights`.
    """

    facts: ModelFacts
    build: Callable[[int, bool], "nn.Module"]


REGISTRY: Registry[Entry] = Registry("model")

ZOOS = ("torchvision", "timm")
"""Other collections, by the prefix of their names (`models.zoo`)."""


def register(entry: Entry) -> Entry:
    """Add an entry to the registry under its name."""
    return REGISTRY.add(entry.facts.name, entry)

"""What the registry knows of a model: facts, and a function that builds it when called.

Nothing here imports torch before a model is built, so that listing and planning are instant.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.records.records import ModelFacts
from bench.registry import Registry

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Entry:
    """A model that can be trained.

    `build(classes, pretrained)` returns a module for 3-channel images of at least
    `facts.smallest_size` pixels a side with `classes` outputs, its auxiliary heads' too. In
    training mode the module returns logits, or a named tuple with `logits` and one field per
    auxiliary head that `facts.aux_weights` names.
    """

    facts: ModelFacts
    build: Callable[[int, bool], "nn.Module"]


REGISTRY: Registry[Entry] = Registry("model")


def register(entry: Entry) -> Entry:
    """Add an entry to the registry under its name."""
    return REGISTRY.add(entry.facts.name, entry)


def without_aux(
    entry: Entry, build: Callable[[int, bool], "nn.Module"], smallest_size: int
) -> Entry:
    """The `:noaux` variant of an entry: the same network without auxiliary heads.

    Parameters published with the heads do not describe it, so none are stated.
    """
    facts = replace(
        entry.facts,
        name=f"{entry.facts.name}:noaux",
        aux_weights={},
        smallest_size=smallest_size,
        params_imagenet=None,
    )
    return Entry(facts, build)

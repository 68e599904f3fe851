"""Entries for torchvision's networks, which it builds when they are trained."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.records.records import ModelFacts
from models.entry import Entry, register

if TYPE_CHECKING:
    from torch import nn


def register_with_aux(facts: ModelFacts, smallest_without_aux: int) -> None:
    """Register a torchvision model with auxiliary heads, and its `:noaux` variant without them.

    The variant has no published number of parameters, because published figures count the heads.
    """
    register(Entry(facts, torchvision_builder(facts.name, keep_aux=True)))
    variant = replace(
        facts,
        name=f"{facts.name}:noaux",
        aux_weights={},
        smallest_size=smallest_without_aux,
        params_imagenet=None,
    )
    register(Entry(variant, torchvision_builder(facts.name, keep_aux=False)))


def torchvision_builder(
    name: str, *, keep_aux: bool | None = None
) -> Callable[[int, bool], "nn.Module"]:
    """A function that builds torchvision's network of that name; `keep_aux` is None for networks
    that have no auxiliary heads."""

    def build(classes: int, pretrained: bool) -> "nn.Module":
        from models.building.torchvision_models import plain, with_aux

        if keep_aux is None:
            return plain(name, classes, pretrained)
        return with_aux(name, classes, pretrained, keep_aux=keep_aux)

    return build

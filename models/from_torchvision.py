"""Entries for torchvision's networks, which it builds when they are trained."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.records.records import ModelFacts
from models.entry import Entry, register

if TYPE_CHECKING:
    from torch import nn

CIFAR = ":cifar"
"""How the name of a model ends, before `:noaux`, whose stem is for small images."""

CIFAR_SIZE = 32

IMAGENET_CLASSES = 1000


def register_plain(facts: ModelFacts, smallest_with_stem: int) -> None:
    """Register a torchvision model without auxiliary heads, and its `:cifar` variant."""
    register(Entry(facts, torchvision_builder(facts.name)))
    variant = with_cifar_stem(facts, smallest_with_stem)
    register(Entry(variant, torchvision_builder(variant.name)))


def register_with_all_outputs(facts: ModelFacts) -> None:
    """Register a torchvision model, and its `:1000` variant whose last layer is not replaced: the
    data set's classes are the first of its outputs, as in lectures 33 and 34 of
    https://github.com/iitkliv/dlvcnptel."""
    register(Entry(facts, build := torchvision_builder(facts.name)))
    variant = replace(facts, name=f"{facts.name}:{IMAGENET_CLASSES}", params_imagenet=None)
    register(Entry(variant, lambda _classes, pretrained: build(IMAGENET_CLASSES, pretrained)))


def with_cifar_stem(facts: ModelFacts, smallest_size: int) -> ModelFacts:
    """The facts of a model with the stem for small images, of which nothing is published."""
    return replace(
        facts,
        name=f"{facts.name}{CIFAR}",
        native_size=CIFAR_SIZE,
        smallest_size=smallest_size,
        params_imagenet=None,
        gmacs=None,
        published_weights=False,
    )


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
    """A function that builds torchvision's network of that name, with the stem for small images if
    it ends in `:cifar`; `keep_aux` is None for networks that have no auxiliary heads."""
    original, small = name.removesuffix(CIFAR), name.endswith(CIFAR)

    def build(classes: int, pretrained: bool) -> "nn.Module":
        from models.building.stems import replace_stem
        from models.building.torchvision_models import plain, with_aux

        if keep_aux is None:
            module = plain(original, classes, pretrained)
        else:
            module = with_aux(original, classes, pretrained, keep_aux=keep_aux)
        return replace_stem(module) if small else module

    return build

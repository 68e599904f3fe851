"""Networks of the user's own as entries: `mynet.py:Net`, `package.module:Net`, plug-ins.

A worker examines each before anything is trained (`models.building.own_network`). What it finds
then travels with every job, so that a network is examined once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.errors import Refused
from bench.own_code import MODELS, Place, labelled, load, parse_place, plugin, plugins
from bench.records.messages import OwnModel
from bench.registry import matching
from models.entry import REGISTRY, ZOOS, Entry

if TYPE_CHECKING:
    from torch import nn


def named(patterns: Sequence[str]) -> tuple[tuple[str, ...], dict[str, Place]]:
    """The names that patterns mean, each once, and where those of the user's own are. A file's
    network has a short name, and a wildcard of the registry matches plug-ins, too.

    Raises:
        Refused: there is no such model, a name cannot be understood, or two packages offer it.
    """
    written = {pattern: place for pattern in patterns if (place := _written(pattern))}
    labels = labelled(list(written.values()))
    names: list[str] = []
    places = {labels[place]: place for place in written.values()}
    for pattern in patterns:
        names += [labels[written[pattern]]] if pattern in written else _matching(pattern)
    places |= {name: place for name in names if (place := _offered(name))}
    return tuple(dict.fromkeys(names)), places


def _written(name: str) -> Place | None:
    """The place that a name spells out; `googlenet:noaux` is a variant, `timm:vgg11` of a zoo."""
    prefix = name.partition(":")[0]
    return None if prefix in REGISTRY or prefix in ZOOS else parse_place(name)


def _offered(name: str) -> Place | None:
    known = name in REGISTRY or name.partition(":")[0] in ZOOS
    return None if known else plugin(MODELS, name)


def _matching(pattern: str) -> list[str]:
    """Names of the registry, and of plug-ins that have them alone; a zoo's pattern as it is."""
    if pattern in REGISTRY or pattern.partition(":")[0] in ZOOS:
        return [pattern]
    if pattern in plugins(MODELS):
        return [pattern]
    clear = [n for n, places in plugins(MODELS).items() if len(places) == 1 and n not in REGISTRY]
    offered = matching(clear, pattern)
    alone = offered and not matching(REGISTRY, pattern)
    return offered if alone else REGISTRY.match(pattern) + offered


def own_entry(own: OwnModel) -> Entry:
    """An entry of a network that was examined; building it raises Refused if its file changed."""
    place, facts = Place(*own.place), own.facts

    def build(classes: int, pretrained: bool) -> "nn.Module":
        from models.building.own_network import construct

        if pretrained:
            raise Refused(f"{facts.name} has no published weights: leave out --pretrained.")
        if load(place).sha256 != facts.source_sha256:
            raise Refused(f"{place.label} was changed since the run began: start a new run.")
        return construct(place, classes)

    return Entry(facts, build)

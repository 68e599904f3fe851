"""Every network that a name can mean: of the registry, `torchvision:NAME`, `timm:NAME` if timm is
installed, and those of the user's own (`models.own`).

A zoo's names depend on the installed version, so a pattern is looked up when a run is prepared, in
a process that may import torch.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.errors import Refused, TrialFailed, did_you_mean
from bench.own_code import Place
from bench.records.messages import OwnModel
from bench.records.records import ModelFacts
from bench.registry import matching
from models.entry import REGISTRY, ZOOS, Entry
from models.from_torchvision import torchvision_builder
from models.own import named, own_entry

if TYPE_CHECKING:
    from torch import nn


def is_zoo(pattern: str) -> bool:
    """Whether a name such as `timm:resnet18` refers to another collection."""
    return pattern.partition(":")[0] in ZOOS


def resolve(pattern: str, own: Sequence[OwnModel] = ()) -> list[Entry]:
    """The entries that a name or wildcard matches, in the registry or a zoo, which is imported.

    Networks of the user's own that were examined (`own`) are known by the name in their facts; any
    other is imported and examined now.

    Raises:
        Refused: nothing has that name (the message suggests others), timm is not installed, or a
            network of the user's own cannot be trained.
    """
    if known := [own_entry(model) for model in own if model.facts.name == pattern]:
        return known
    if not is_zoo(pattern):
        meant, places = named([pattern])
        found = [_examined(name, place) for name, place in places.items()]
        return [e for n in meant for e in (resolve(n, found) if found else [REGISTRY.get(n)])]
    zoo, _, name = pattern.partition(":")
    names = _torchvision_names() if zoo == "torchvision" else _timm_names()
    matches = matching(names, name)
    if not matches:
        hint = did_you_mean(name, names, cutoff=0.4) or "see its documentation."
        raise Refused(f"{zoo} has no classifier {name!r}: {hint}")
    make = _torchvision_entry if zoo == "torchvision" else _timm_entry
    return [make(match) for match in matches]


def _examined(name: str, place: Place) -> OwnModel:
    from models.building.own_network import examine

    return OwnModel(examine(name, place), (place.where, place.name))


def _torchvision_names() -> list[str]:
    import torchvision

    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names


def _torchvision_entry(name: str) -> Entry:
    if name in REGISTRY:
        return REGISTRY.get(name)
    from torchvision.models import get_model_weights

    weights = list(get_model_weights(name))
    meta: dict[str, Any] = weights[0].meta if weights else {}
    size = weights[0].transforms().crop_size[0] if weights else 224
    facts = ModelFacts(
        f"torchvision:{name}",
        "torchvision",
        size,
        max(meta.get("min_size", (1, 1))),
        {},
        meta.get("recipe", "https://docs.pytorch.org/vision/stable/models.html"),
        meta.get("num_params"),
        meta.get("_ops"),
    )
    return Entry(facts, torchvision_builder(name))


def _timm_names() -> list[str]:
    try:
        import timm
    except ImportError as error:
        raise Refused(
            "timm is not installed: pip install timm, or leave out timm: names."
        ) from error
    names: list[str] = timm.list_models()
    return names


def _timm_entry(name: str) -> Entry:
    import timm

    config = timm.get_pretrained_cfg(name)
    size = int(config.input_size[-1]) if config else 224
    smallest = size if config and config.fixed_input_size else 1
    source = "https://github.com/huggingface/pytorch-image-models"
    facts = ModelFacts(f"timm:{name}", "timm", size, smallest, {}, source, None, None)

    def build(classes: int, pretrained: bool) -> "nn.Module":
        try:
            module: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=classes)
        except (RuntimeError, OSError) as error:
            raise TrialFailed(f"timm cannot build {name}: {error}") from error
        return module

    return Entry(facts, build)

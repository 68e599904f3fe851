"""Every other classifier: `torchvision:NAME`, and `timm:NAME` when timm is installed.

Their names are not listed here, for they change with the installed version; a pattern is looked up
when a run is prepared, in a process that may import torch.
"""

import difflib
import fnmatch
from typing import TYPE_CHECKING, Any

from bench.errors import Refused, TrialFailed
from bench.records.records import ModelFacts
from models.entry import REGISTRY, Entry

if TYPE_CHECKING:
    from torch import nn

ZOOS = ("torchvision", "timm")


def is_zoo(pattern: str) -> bool:
    """Whether a name such as `timm:resnet18` is to be looked up in another collection."""
    return pattern.partition(":")[0] in ZOOS


def resolve(pattern: str) -> list[Entry]:
    """The entries that a name or wildcard means, from the registry or a zoo; imports the zoo.

    Raises:
        Refused: nothing has that name (the nearest are given), or timm is not installed.
    """
    if not is_zoo(pattern):
        return [REGISTRY.get(name) for name in REGISTRY.match(pattern)]
    zoo, _, wanted = pattern.partition(":")
    names = _torchvision_names() if zoo == "torchvision" else _timm_names()
    found = fnmatch.filter(names, wanted)
    if not found:
        near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else "see its documentation."
        raise Refused(f"{zoo} has no classifier {wanted!r}: {hint}")
    make = _torchvision_entry if zoo == "torchvision" else _timm_entry
    return [make(name) for name in found]


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
    smallest = max(meta.get("min_size", (1, 1)))
    facts = ModelFacts(
        f"torchvision:{name}",
        "torchvision",
        size,
        smallest,
        {},
        meta.get("recipe", "https://docs.pytorch.org/vision/stable/models.html"),
        meta.get("num_params"),
        meta.get("_ops"),
    )

    def build(classes: int, pretrained: bool) -> "nn.Module":
        from models.building.torchvision_models import plain

        return plain(name, classes, pretrained)

    return Entry(facts, build)


def _timm_names() -> list[str]:
    try:
        import timm
    except ImportError as error:
        raise Refused(
            'timm is not installed: pip install "archbench[timm]", or leave out timm: names.'
        ) from error
    names: list[str] = timm.list_models()
    return names


def _timm_entry(name: str) -> Entry:
    import timm

    config = timm.get_pretrained_cfg(name)
    size = int(config.input_size[-1]) if config else 224
    smallest = size if config and config.fixed_input_size else 1
    facts = ModelFacts(
        f"timm:{name}",
        "timm",
        size,
        smallest,
        {},
        "https://github.com/huggingface/pytorch-image-models",
        None,
        None,
    )

    def build(classes: int, pretrained: bool) -> "nn.Module":
        try:
            module: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=classes)
        except (RuntimeError, OSError) as error:
            raise TrialFailed(f"timm cannot build {name}: {error}") from error
        return module

    return Entry(facts, build)

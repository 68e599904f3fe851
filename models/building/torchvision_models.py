"""Torchvision's definitions, built for any number of classes.

Pretrained weights come from torchvision's own download, checked by the hash in their name.
"""

import contextlib
import warnings
from collections.abc import Iterator

from torch import nn
from torchvision.models import get_model, get_model_weights

from bench.errors import TrialFailed
from models.building.heads import replace_heads


def plain(name: str, classes: int, pretrained: bool) -> nn.Module:
    """A torchvision classifier without auxiliary heads, its last layer replaced.

    Raises:
        TrialFailed: the pretrained weights do not exist or cannot be fetched.
    """
    with _torchvision(name):
        module: nn.Module = get_model(name, weights=_weights(name, pretrained))
    return replace_heads(module, classes)


def with_aux(name: str, classes: int, pretrained: bool, *, keep_aux: bool) -> nn.Module:
    """GoogLeNet or Inception v3 with or without auxiliary heads; all last layers replaced.

    Raises:
        TrialFailed: the pretrained weights cannot be fetched.
    """
    # Torchvision has weights only for the whole network, so heads are removed afterwards.
    options = {"aux_logits": True} if pretrained else {"aux_logits": keep_aux, "init_weights": True}
    with _torchvision(name):
        module: nn.Module = get_model(name, weights=_weights(name, pretrained), **options)
    if not keep_aux:
        _remove_heads(module)
    return replace_heads(module, classes)


def _remove_heads(module: nn.Module) -> None:
    for name, value in (("aux1", None), ("aux2", None), ("AuxLogits", None), ("aux_logits", False)):
        if hasattr(module, name):
            setattr(module, name, value)


def _weights(name: str, pretrained: bool) -> str | None:
    if pretrained and not list(get_model_weights(name)):
        raise TrialFailed(f"torchvision has no pretrained weights for {name}.")
    return "DEFAULT" if pretrained else None


@contextlib.contextmanager
def _torchvision(name: str) -> Iterator[None]:
    """Silence torchvision's warnings about its defaults, and report failed downloads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except OSError as error:
            raise TrialFailed(f"cannot fetch the pretrained weights of {name}: {error}.") from error

"""Last layers: ImageNet's 1,000 outputs replaced by the data set's classes."""

from collections.abc import Iterable
from typing import cast

from torch import nn

from bench.errors import TrialFailed

IMAGENET_CLASSES = 1000


def replace_heads(module: nn.Module, classes: int) -> nn.Module:
    """Replace every layer with 1,000 outputs by one with `classes`, also in auxiliary heads.

    The new layer has torch's default random weights, as in the lecture, where ResNet-18's 512->1000
    layer became 512->10. Returns `module`, changed in place, or unchanged for 1,000 classes.

    Raises:
        ValueError: no layer has so many outputs.
    """
    if classes == IMAGENET_CLASSES:
        return module
    layers = module.named_modules()
    heads = [name for name, layer in layers if outputs_of(layer) == IMAGENET_CLASSES]
    if not heads:
        raise ValueError(f"no layer with {IMAGENET_CLASSES:,} outputs to replace")
    return _replaced(module, heads, classes)


def replace_last(module: nn.Module, classes: int) -> nn.Module:
    """Replace the last layer of a network that was not made for ImageNet: every linear layer with
    as many outputs, or if there is none, that convolution alone. Returns `module`, changed in
    place, or unchanged if it has so many outputs or no such layer."""
    layers = [(name, layer) for name, layer in module.named_modules() if outputs_of(layer)]
    outputs = outputs_of(layers[-1][1]) if layers else classes
    if outputs == classes:
        return module
    alike = [(name, layer) for name, layer in layers if outputs_of(layer) == outputs]
    linear = [name for name, layer in alike if isinstance(layer, nn.Linear)]
    return _replaced(module, linear or [alike[-1][0]], classes)


def freeze_body(module: nn.Module, classes: int) -> None:
    """Leave only the last layers trainable, those of auxiliary heads among them: linear layers with
    `classes` outputs, or the last such convolution where there are none; of a network that keeps
    its 1,000 outputs, those.

    Raises:
        TrialFailed: there is no such layer.
    """
    layers = list(module.modules())
    ends = [layer for layer in layers if outputs_of(layer) == classes]
    ends = ends or [layer for layer in layers if outputs_of(layer) == IMAGENET_CLASSES]
    heads = [layer for layer in ends if isinstance(layer, nn.Linear)] or ends[-1:]
    if not heads:
        raise TrialFailed(f"it has no last layer with {classes} outputs to train; drop --freeze.")
    module.requires_grad_(False)
    for layer in heads:
        layer.requires_grad_(True)


def outputs_of(layer: nn.Module) -> int | None:
    """Outputs of a linear layer or channels of a convolution; None for any other layer."""
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels if isinstance(layer, nn.Conv2d) else None


def _replaced(module: nn.Module, names: Iterable[str], classes: int) -> nn.Module:
    for name in names:
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, _resized(module.get_submodule(name), classes))
    return module


def _resized(layer: nn.Module, classes: int) -> nn.Module:
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, classes, bias=layer.bias is not None)
    conv = cast(nn.Conv2d, layer)
    size = cast(tuple[int, int], conv.kernel_size)
    return nn.Conv2d(conv.in_channels, classes, size, bias=conv.bias is not None)

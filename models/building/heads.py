"""Last layers: ImageNet's 1,000 outputs replaced by the data set's classes."""

from typing import cast

from torch import nn

from bench.errors import TrialFailed

IMAGENET_CLASSES = 1000


def replace_heads(module: nn.Module, classes: int, outputs: int = IMAGENET_CLASSES) -> nn.Module:
    """Replace every layer with 1,000 outputs by one with `classes`, also in auxiliary heads.

    The new layer has torch's default random weights, as in the lecture, where ResNet-18's 512->1000
    layer became 512->10. Returns `module`, changed in place, or unchanged for 1,000 classes.
    `outputs` is their number in a network that was not made for ImageNet.

    Raises:
        ValueError: no layer has so many outputs.
    """
    if classes == outputs:
        return module
    heads = [name for name, layer in module.named_modules() if outputs_of(layer) == outputs]
    if not heads:
        raise ValueError(f"no layer with {outputs:,} outputs to replace")
    for name in heads:
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, _resized(module.get_submodule(name), classes))
    return module


def freeze_body(module: nn.Module, classes: int) -> None:
    """Leave only the last layers trainable, those of auxiliary heads among them: linear layers with
    `classes` outputs, or the last such convolution where there are none.

    Raises:
        TrialFailed: there is no such layer.
    """
    ends = [layer for layer in module.modules() if outputs_of(layer) == classes]
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


def _resized(layer: nn.Module, classes: int) -> nn.Module:
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, classes, bias=layer.bias is not None)
    conv = cast(nn.Conv2d, layer)
    size = cast(tuple[int, int], conv.kernel_size)
    return nn.Conv2d(conv.in_channels, classes, size, bias=conv.bias is not None)

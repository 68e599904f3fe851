"""First layers for small images: one 3x3 convolution of stride 1 in place of ImageNet's, which
shrinks an image to a quarter of its side before the first block.

As in https://github.com/kuangliu/pytorch-cifar, but for DenseNet's normalisation after the
convolution, which stays as torchvision has it. Weights are drawn as torchvision draws those of the
family's other convolutions.
"""

from typing import Literal

from torch import nn
from torchvision.models import DenseNet, GoogLeNet, ResNet
from torchvision.models.googlenet import BasicConv2d


def replace_stem(module: nn.Module) -> nn.Module:
    """Give a network the stem for small images; returns `module`, changed in place.

    Raises:
        TypeError: it is of a family that has none.
    """
    network: nn.Module = module
    if isinstance(module, ResNet):
        module.conv1 = _convolution(module.conv1, "fan_out")
        module.maxpool = nn.Identity()
    elif isinstance(module, DenseNet):
        module.features.conv0 = _convolution(module.features.conv0, "fan_in")
        module.features.pool0 = nn.Identity()
    elif isinstance(module, GoogLeNet):
        module.conv1 = BasicConv2d(3, 192, kernel_size=3, padding=1)
        nn.init.trunc_normal_(module.conv1.conv.weight, mean=0.0, std=0.01, a=-2, b=2)
        for name in ("maxpool1", "conv2", "conv3", "maxpool2"):
            setattr(module, name, nn.Identity())
    else:
        raise TypeError(f"{type(module).__name__} has no stem for small images")
    return network


def _convolution(replaced: nn.Conv2d, fan: Literal["fan_in", "fan_out"]) -> nn.Conv2d:
    """3x3 of stride 1, to the channels of the one that it replaces."""
    made = nn.Conv2d(3, replaced.out_channels, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(made.weight, mode=fan, nonlinearity="relu")
    return made

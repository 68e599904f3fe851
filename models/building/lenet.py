"""LeNet-5 with three colours; see `models.lenet`."""

from torch import nn


def lenet(classes: int) -> nn.Module:
    """The network for images (batch, 3, height, width) of at least 14 pixels a side; its logits are
    (batch, classes)."""
    return nn.Sequential(
        nn.Conv2d(3, 6, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.ReLU(),
        # Of the 10x10 maps of a 32-pixel image, the same as 2x2 pooling.
        nn.AdaptiveMaxPool2d(5),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, classes),
    )

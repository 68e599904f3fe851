"""The network of airbench94: Keller Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU",
2024, https://arxiv.org/abs/2404.00498; the numbers are those of `legacy/airbench94.py` in
https://github.com/KellerJordan/cifar10-airbench.

It starts with a frozen convolution that whitens patches of 2x2 pixels: its weights are eigenvectors
of their covariance, which training images give it (`initialise_from`).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

WIDTHS = (64, 256, 256)
PATCH = 2
LOGIT_SCALE = 1 / 9
WHITENING_EPS = 5e-4
"""Added to eigenvalues, so that directions without variance are not blown up."""


class Airbench(nn.Module):
    """Logits (batch, classes) of images (batch, 3, side, side), `side` from 25 to 48 pixels."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        patch = 3 * PATCH**2
        self.whiten = _convolution(3, 2 * patch, PATCH, bias=True)
        self.whiten.weight.requires_grad_(False)
        inputs = (2 * patch, *WIDTHS)
        groups = (_group(*channels) for channels in zip(inputs, WIDTHS, strict=False))
        self.body = nn.Sequential(nn.GELU(), *groups, nn.MaxPool2d(3), nn.Flatten())
        self.head = nn.Linear(WIDTHS[-1], classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, scaled down by `LOGIT_SCALE`."""
        logits: Tensor = self.head(self.body(self.whiten(images)))
        return logits * LOGIT_SCALE

    @torch.no_grad()
    def initialise_from(self, batches: Iterable[Tensor]) -> None:
        """Take the whitening from training images as the network sees them, (batch, 3, side, side):
        twice the eigenvectors of their patches' second moments, the second time negative."""
        size = 3 * PATCH**2
        moments, count = torch.zeros(size, size, dtype=torch.float64), 0
        for images in batches:
            patches = images.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
            flat = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, size)
            moments += (flat.T @ flat).cpu()
            count += len(flat)
        values, vectors = torch.linalg.eigh(moments / count)
        scaled = (vectors / (values + WHITENING_EPS).sqrt()).T.flip(0)
        self.whiten.weight.copy_(torch.cat((scaled, -scaled)).view_as(self.whiten.weight))


def _group(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(inputs, outputs, 3),
        nn.MaxPool2d(2),
        _batch_norm(outputs),
        nn.GELU(),
        _convolution(outputs, outputs, 3),
        _batch_norm(outputs),
        nn.GELU(),
    )


def _convolution(inputs: int, outputs: int, side: int, *, bias: bool = False) -> nn.Conv2d:
    """The first of its outputs begin as its inputs, the others at random."""
    made = nn.Conv2d(inputs, outputs, side, padding=(side - 1) // 2, bias=bias)
    nn.init.dirac_(made.weight.detach()[:inputs])
    if made.bias is not None:
        nn.init.zeros_(made.bias)
    return made


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    """With scales that stay 1."""
    made = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    made.weight.requires_grad_(False)
    return made

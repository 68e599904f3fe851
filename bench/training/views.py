"""Test-time augmentation: logits averaged over six views of an image.

As in https://github.com/KellerJordan/cifar10-airbench, `legacy/airbench94.py` with `tta_level` 2.
"""

from torch import Tensor, nn
from torch.nn import functional


class SixViews(nn.Module):
    """A network seen through six views of each image: as it is and shifted by a pixel, up and left
    or down and right, each also mirrored. The two without a shift weigh as much as the other four.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of float images (batch, 3, height, width)."""
        around = functional.pad(images, (1, 1, 1, 1), mode="reflect")
        shifted = self._mirrored(around[:, :, :-2, :-2]) + self._mirrored(around[:, :, 2:, 2:])
        return self._mirrored(images) / 4 + shifted / 8

    def _mirrored(self, images: Tensor) -> Tensor:
        """The sum over an image and its mirror image."""
        logits: Tensor = self.network(images) + self.network(images.flip(-1))
        return logits

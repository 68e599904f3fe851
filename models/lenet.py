"""LeNet-5: LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document
Recognition", 1998, with three colours, ReLU and maximum pooling as lecture 30 of
https://github.com/iitkliv/dlvcnptel has it.

It is made for 32x32 pixels, where its 62,006 parameters for ten classes see 5x5 maps; larger maps
are pooled to that size. There are no weights for ImageNet's 1,000 classes.
"""

from typing import TYPE_CHECKING

from bench.records.records import ModelFacts
from models.entry import Entry, register

if TYPE_CHECKING:
    from torch import nn

PAPER = "https://doi.org/10.1109/5.726791"


def _build(classes: int, pretrained: bool) -> "nn.Module":
    from models.building.lenet import lenet

    return lenet(classes)


register(
    Entry(ModelFacts("lenet", "lenet", 32, 14, {}, PAPER, None, None, None, False), _build),
)

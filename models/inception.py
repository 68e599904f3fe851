"""Inception v3: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015.

Made for 299x299 pixels; the lecture's "GoogLeNet" is this network. Its auxiliary head counts 0.4 in
the training loss, as in torchvision's reference training. That head cannot take a smaller image
than 299 (torchvision's stride there leaves nothing of 298); without it 75 is the smallest.
Parameter count and GMACs are torchvision's.
"""

from typing import TYPE_CHECKING

from bench.records.records import ModelFacts
from models.entry import Entry, register, without_aux

if TYPE_CHECKING:
    from torch import nn

PAPER = "https://arxiv.org/abs/1512.00567"
AUX_WEIGHTS = {"aux_logits": 0.4}


def _build(classes: int, pretrained: bool) -> "nn.Module":
    from models.building.torchvision_models import with_aux

    return with_aux("inception_v3", classes, pretrained, keep_aux=True)


def _build_noaux(classes: int, pretrained: bool) -> "nn.Module":
    from models.building.torchvision_models import with_aux

    return with_aux("inception_v3", classes, pretrained, keep_aux=False)


INCEPTION_V3 = register(
    Entry(
        ModelFacts("inception_v3", "inception", 299, 299, AUX_WEIGHTS, PAPER, 27_161_264, 5.713),
        _build,
    )
)
register(without_aux(INCEPTION_V3, _build_noaux, smallest_size=75))

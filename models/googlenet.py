"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions", 2014.

Its two auxiliary heads count 0.3 each in the training loss (section 5 of the paper). Torchvision
returns logits, aux_logits2, aux_logits1 in that order; heads are named here, never numbered.
Parameters, with both heads, are counted; torchvision publishes 6,624,904 without them, and the
GMACs.
"""

from typing import TYPE_CHECKING

from bench.records.records import ModelFacts
from models.entry import Entry, register, without_aux

if TYPE_CHECKING:
    from torch import nn

PAPER = "https://arxiv.org/abs/1409.4842"
AUX_WEIGHTS = {"aux_logits1": 0.3, "aux_logits2": 0.3}


def _build(classes: int, pretrained: bool) -> "nn.Module":
    from models.building.torchvision_models import with_aux

    return with_aux("googlenet", classes, pretrained, keep_aux=True)


def _build_noaux(classes: int, pretrained: bool) -> "nn.Module":
    from models.building.torchvision_models import with_aux

    return with_aux("googlenet", classes, pretrained, keep_aux=False)


GOOGLENET = register(
    Entry(
        ModelFacts("googlenet", "googlenet", 224, 15, AUX_WEIGHTS, PAPER, 13_004_888, 1.498), _build
    )
)
register(without_aux(GOOGLENET, _build_noaux, smallest_size=15))

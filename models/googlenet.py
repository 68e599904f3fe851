"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions", 2014.

Its two auxiliary heads count 0.3 each in the training loss (section 5 of the paper). Torchvision
returns logits, aux_logits2, aux_logits1 in that order; heads are named here, never numbered. The
number of parameters, with both heads, was counted: torchvision publishes 6,624,904 without them,
and the GMACs.
"""

from bench.records.records import ModelFacts
from models.from_torchvision import register_with_aux, with_cifar_stem

PAPER = "https://arxiv.org/abs/1409.4842"
AUX_WEIGHTS = {"aux_logits1": 0.3, "aux_logits2": 0.3}

_facts = ModelFacts("googlenet", "googlenet", 224, 15, AUX_WEIGHTS, PAPER, 13_004_888, 1.498)
register_with_aux(_facts, smallest_without_aux=15)
register_with_aux(with_cifar_stem(_facts, 2), smallest_without_aux=2)

"""Inception v3: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015.

It is made for 299x299 pixels; the lecture's "GoogLeNet" is this network. Its auxiliary head counts
0.4 in the training loss, as in torchvision's reference training. The head needs images of 299
pixels (torchvision's stride leaves nothing of 298); without it, 75 is the smallest size. Number of
parameters and GMACs are torchvision's.
"""

from bench.records.records import ModelFacts
from models.from_torchvision import register_with_aux

PAPER = "https://arxiv.org/abs/1512.00567"
AUX_WEIGHTS = {"aux_logits": 0.4}

register_with_aux(
    ModelFacts("inception_v3", "inception", 299, 299, AUX_WEIGHTS, PAPER, 27_161_264, 5.713),
    smallest_without_aux=75,
)

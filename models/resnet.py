"""Residual networks: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2015.

Parameter counts and GMACs are torchvision's, published with its ImageNet weights.
"""

from bench.records.records import ModelFacts
from models.from_torchvision import register_plain

PAPER = "https://arxiv.org/abs/1512.03385"

for _name, _params, _gmacs in (
    ("resnet18", 11_689_512, 1.814),
    ("resnet34", 21_797_672, 3.664),
    ("resnet50", 25_557_032, 4.089),
    ("resnet101", 44_549_160, 7.801),
    ("resnet152", 60_192_808, 11.514),
):
    _facts = ModelFacts(_name, "resnet", 224, 1, {}, PAPER, _params, _gmacs)
    register_plain(_facts, smallest_with_stem=1)

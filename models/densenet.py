"""Densely connected networks: Huang, Liu, van der Maaten, Weinberger, 2016.

Parameter counts and GMACs are torchvision's, published with its ImageNet weights. Four halvings
and a 2x2 pooling between blocks need images of at least 29 pixels per side; with the stem for small
images, three halvings need 8.
"""

from bench.records.records import ModelFacts
from models.from_torchvision import register_plain

PAPER = "https://arxiv.org/abs/1608.06993"

for _name, _params, _gmacs in (
    ("densenet121", 7_978_856, 2.834),
    ("densenet161", 28_681_000, 7.728),
    ("densenet169", 14_149_480, 3.36),
    ("densenet201", 20_013_928, 4.291),
):
    _facts = ModelFacts(_name, "densenet", 224, 29, {}, PAPER, _params, _gmacs)
    register_plain(_facts, smallest_with_stem=8)

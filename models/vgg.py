"""VGG: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
2014. The `:1000` variant keeps its 1,000 outputs, whatever the classes.

Number of parameters and GMACs are torchvision's. Five halvings need images of 32 pixels a side.
"""

from bench.records.records import ModelFacts
from models.from_torchvision import register_with_all_outputs

register_with_all_outputs(
    ModelFacts("vgg16", "vgg", 224, 32, {}, "https://arxiv.org/abs/1409.1556", 138_357_544, 15.47)
)

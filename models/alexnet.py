"""AlexNet: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, as
torchvision has it. The `:1000` variant keeps its 1,000 outputs, whatever the classes.

Number of parameters and GMACs are torchvision's, which also publishes 63 pixels as the smallest
size.
"""

from bench.records.records import ModelFacts
from models.from_torchvision import register_with_all_outputs

register_with_all_outputs(
    ModelFacts(
        "alexnet", "alexnet", 224, 63, {}, "https://arxiv.org/abs/1404.5997", 61_100_840, 0.714
    )
)

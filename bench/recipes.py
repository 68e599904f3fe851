"""Recipes: how networks are trained, as rows of data. A new recipe is a row of `RECIPES`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

AUGMENTATIONS = {
    "none": "images as they are",
    "shift": "flip, and shift by up to an eighth of the side; the edge is repeated",
    "crop": "flip, and crop from the image with an eighth of its side added in black all around "
    "(4 of 32 pixels)",
    "cutout": "flip, crop with an eighth added as a reflection, and blank a square of a quarter of "
    "the side (8 of 32 pixels) with the mean colour (in black where pixels are not normalised)",
    "alternate": "flip half of the images in one epoch and the other half in the next, and shift "
    "by up to a sixteenth of the side (2 of 32 pixels); the outside is a reflection",
}
"""What `--augment` takes, and what each does to training images."""


@dataclass(frozen=True)
class Schedule:
    """The learning rate over training, as a share of its peak.

    `knots` are pairs (share of all updates done, share of the peak), ascending from 0 to 1. Between
    two of them the rate is a straight line, or with `cosine` half a wave.
    """

    words: str
    knots: tuple[tuple[float, float], ...]
    cosine: bool = False

    def factor(self, progress: float) -> float:
        """The share of the peak once `progress` (0 to 1) of the updates are done."""
        for (start, low), (end, high) in pairwise(self.knots):
            if progress <= end:
                way = (progress - start) / (end - start)
                if self.cosine:
                    way = (1 - math.cos(math.pi * way)) / 2
                return low + (high - low) * way
        return self.knots[-1][1]

    @property
    def warmup(self) -> float:
        """The share of all updates in which the rate rises to its peak."""
        return max(self.knots, key=lambda knot: knot[1])[0]

    def warmed(self, share: float) -> "Schedule":
        """The same with another warm-up: from 0 to the peak in a `share` (0 to below 1) of the
        updates, and what follows the peak stretched or squeezed over the rest."""
        rest = (1 - share) / (1 - self.warmup)
        after = [(1 - (1 - at) * rest, part) for at, part in self.knots if at >= self.warmup]
        rise = [(0.0, 0.0)] if after[0][0] > 0 else []
        return replace(self, knots=(*rise, *after))


CONSTANT = Schedule("constant", ((0, 1), (1, 1)))


@dataclass(frozen=True)
class Decoupled:
    """SGD with Nesterov's momentum whose rate and decay are independent of momentum, of batch size
    and of each other: per 1,024 images, of a loss that is summed over the batch. The rate of batch
    norm's biases is `bias_scale` times that of all else; their decay is the same.

    As in https://github.com/KellerJordan/cifar10-airbench, `legacy/airbench94.py`.
    """

    momentum: float
    bias_scale: float

    def group(self, rate: float, decay: float, batch_size: int, *, bias: bool) -> dict[str, float]:
        """Rate and decay as `torch.optim.SGD` takes them, for batch norm's biases or all else."""
        scale = 1024 * (1 + 1 / (1 - self.momentum))
        lr = rate / scale * (self.bias_scale if bias else 1)
        return {"lr": lr, "weight_decay": decay * batch_size / scale / lr}


@dataclass(frozen=True)
class Lookahead:
    """Every so many updates, the network's state becomes its running average, whose decay rises to
    `decay` with the cube of progress; after the last update, the average as it stands.

    https://arxiv.org/abs/1907.08610
    """

    every: int
    decay: float

    def decay_at(self, progress: float) -> float:
        """The decay once `progress` (0 to 1) of the updates are done."""
        return self.decay * progress**3


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, apart from what is compared.

    `learning_rate` is the peak, and `weight_decay` the decay of all parameters, biases and
    normalisation included; None is the optimizer's own. `family_decay` has the decay for families
    of models that differ. Without a `schedule` the rate is constant. With `normalised` off, pixels
    stay in [0, 1]. `aux_weight` is the weight of each auxiliary loss, None for the paper's.
    `epochs` and `batch_size` are what it was made for, None for any. `published` is the test
    accuracy that its source reports, of CIFAR-10's own files.

    A recipe with a `model` is for that one alone. Of its parameters, those in `first_epochs` train
    only in so many epochs. With `decoupled`, rate and decay of its optimizer are in those units.
    With `views`, the test after the last epoch is repeated with so many views of each image.
    """

    source: str
    optimizer: str
    learning_rate: float | None = None
    weight_decay: float | None = None
    family_decay: Mapping[str, float] = field(default_factory=dict)
    schedule: Schedule | None = None
    label_smoothing: float = 0.0
    augment: str = "none"
    normalised: bool = True
    aux_weight: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    published: str | None = None
    model: str | None = None
    decoupled: Decoupled | None = None
    lookahead: Lookahead | None = None
    first_epochs: Mapping[str, int] = field(default_factory=dict)
    views: int = 0

    def trains(self, model: str) -> bool:
        """Whether it is for a model of that name."""
        return self.model in (None, model)

    @property
    def trains_alone(self) -> bool:
        """Whether one process has to train it: its losses are summed over a batch, or some of its
        parameters stop training."""
        return self.decoupled is not None or bool(self.first_epochs)

    def decoupled_with(self, optimizer: str) -> Decoupled | None:
        """The units of rate and decay, if they are not torch's for that optimizer."""
        return self.decoupled if optimizer == self.optimizer else None

    @property
    def warmup(self) -> float:
        """The share of all updates in which the rate rises to its peak."""
        return self.schedule.warmup if self.schedule else 0.0

    def decay_of(self, family: str) -> float | None:
        """The weight decay for a family of models."""
        return self.family_decay.get(family, self.weight_decay)

    def made_for(self, epochs: int, batch_size: int | None) -> str | None:
        """What a trial does otherwise than the recipe was made for, in words; None if nothing."""
        wanted = []
        if self.epochs not in (None, epochs):
            wanted.append(f"{self.epochs} epochs")
        if self.batch_size not in (None, batch_size):
            wanted.append(f"batches of {self.batch_size} images")
        return " and ".join(wanted) or None


RECIPES: dict[str, Recipe] = {
    "constant": Recipe("this harness: the same for every model, nothing tuned", "adam"),
    "lecture": Recipe(
        "https://github.com/iitkliv/dlvcnptel, lectures 37, 39 and 40",
        "adam",
        1e-4,
        normalised=False,
        aux_weight=1.0,
        epochs=10,
    ),
    "onecycle": Recipe(
        "rates as in https://github.com/kuangliu/pytorch-cifar, annealed to zero over the given "
        "epochs as in https://arxiv.org/abs/1905.04753; DenseNet's decay as in "
        "https://github.com/bearpaw/pytorch-classification",
        "sgd",
        0.1,
        5e-4,
        {"densenet": 1e-4},
        Schedule("linear to the peak, linear to 0", ((0, 0), (0.25, 1), (1, 0))),
        augment="crop",
    ),
    "adamw-cosine": Recipe(
        "https://github.com/benchopt/benchmark_resnet_classif",
        "adamw",
        1e-3,
        0.02,
        schedule=Schedule("cosine to 0", ((0, 1), (1, 0)), cosine=True),
        augment="crop",
        batch_size=128,
    ),
    "fast70": Recipe(
        "https://github.com/WeihaoZhuang/cifar10-100-fast-training",
        "sgd",
        0.4,
        5e-4,
        schedule=Schedule(
            "linear to the peak, linear to 1/400 of it, linear to 1/4000",
            ((0, 0), (18.5 / 70, 1), (67 / 70, 1 / 400), (1, 1 / 4000)),
        ),
        augment="cutout",
        epochs=70,
        batch_size=512,
        published="with stems for 32 px and without auxiliary heads: ResNet-18 95.32 %, GoogLeNet "
        "95.35 %, Inception v3 95.55 %, DenseNet-121 95.1 %",
    ),
    "airbench94": Recipe(
        "https://github.com/KellerJordan/cifar10-airbench, legacy/airbench94.py; "
        "https://arxiv.org/abs/2404.00498",
        "sgd",
        11.5,
        0.0153,
        schedule=Schedule(
            "linear from 0.2 of the peak, linear to 0.07 of it", ((0, 0.2), (0.23, 1), (1, 0.07))
        ),
        label_smoothing=0.2,
        augment="alternate",
        epochs=10,
        batch_size=1024,
        published="94.01 % with test-time augmentation, the mean of 1,000 runs of 9.9 epochs",
        model="airbench94",
        decoupled=Decoupled(momentum=0.85, bias_scale=64),
        lookahead=Lookahead(every=5, decay=0.95**5),
        first_epochs={"whiten.bias": 3},
        views=6,
    ),
}
"""Every recipe by the name that `--recipe` takes."""

"""How a step may be trained: a row per optimizer and per precision. Needs no torch: names only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class OptimizerFacts:
    """A class of `torch.optim`, its default learning rate, and its other keyword arguments."""

    torch_name: str
    learning_rate: float
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PrecisionFacts:
    """The torch dtype of autocast (None: no autocast), whether CUDA may round the inputs of matrix
    products to TF32 and the loss is scaled (small gradients of fp16 vanish), and what it needs."""

    autocast: str | None = None
    tf32: bool = False
    scales_loss: bool = False
    needs_cuda: bool = False
    compute_capability: tuple[int, int] = (0, 0)


OPTIMIZERS = {
    "adam": OptimizerFacts("Adam", 1e-3),  # the lecture's
    "adamw": OptimizerFacts("AdamW", 1e-3),
    "sgd": OptimizerFacts("SGD", 1e-2, {"momentum": 0.9, "nesterov": True}),
}
PRECISIONS = {
    "fp32": PrecisionFacts(),
    "tf32": PrecisionFacts(tf32=True, needs_cuda=True, compute_capability=(8, 0)),
    "bf16": PrecisionFacts("bfloat16"),
    "fp16": PrecisionFacts("float16", scales_loss=True, needs_cuda=True),
}

"""What a setting is made of, and what it comes to where it leaves that to its recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bench.recipes import CONSTANT, RECIPES, Schedule
from bench.records.records import Setting
from bench.search_spaces import DECOUPLED


@dataclass(frozen=True)
class OptimizerFacts:
    """A class of `torch.optim`, its default learning rate, its other keyword arguments, its default
    weight decay, and the kinds of device that every supported torch has its fused kernel on."""

    torch_name: str
    learning_rate: float
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weight_decay: float = 0.0
    fused_on: tuple[str, ...] = ("cpu", "cuda", "mps")


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
    "adamw": OptimizerFacts("AdamW", 1e-3, weight_decay=0.01),  # torch's decay
    "sgd": OptimizerFacts("SGD", 1e-2, {"momentum": 0.9, "nesterov": True}),
    "sgd-plain": OptimizerFacts("SGD", 1e-1),  # as far as sgd's 1e-2 gets with momentum 0.9
    # Rates as in https://arxiv.org/abs/1609.04747, sections 4.3 and 4.5.
    "rmsprop": OptimizerFacts("RMSprop", 1e-3, fused_on=()),
    # torch's fused kernel for CUDA is of 2026 (pytorch pull request 177672).
    "adagrad": OptimizerFacts("Adagrad", 1e-2, fused_on=("cpu",)),
}
PRECISIONS = {
    "fp32": PrecisionFacts(),
    "tf32": PrecisionFacts(tf32=True, needs_cuda=True, compute_capability=(8, 0)),
    "bf16": PrecisionFacts("bfloat16"),
    "fp16": PrecisionFacts("float16", scales_loss=True, needs_cuda=True),
}


def make_setting(
    pixels: int,
    *,
    family: str = "",
    recipe: str | None = None,
    optimizer: str | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    augment: str | None = None,
    channels_last: str | None = None,
    pretrained: str | None = None,
    freeze: str | None = None,
    accumulate: int | None = None,
    warmup: float | None = None,
    label_smoothing: float | None = None,
    nproc_per_node: int | None = None,
    sync_batch_norm: str | None = None,
    nnodes: int | None = None,
    scale_lr: str = "none",
    precision: str | None = None,
) -> Setting:
    """A setting: what is None is as the recipe has it for a model of that family, and the recipe
    `constant`. Rate and decay belong to an optimizer: another than the recipe's brings its own.
    The rate is of one process; it grows with their number as `scale_lr` says."""
    ranks = (nproc_per_node or 1) * (nnodes or 1)
    recipe = recipe or "constant"
    row = RECIPES[recipe]
    optimizer = optimizer or row.optimizer
    own = OPTIMIZERS[optimizer].learning_rate
    rate, decay = (row.learning_rate or own, row.decay_of(family))
    if optimizer != row.optimizer:
        rate, decay = own, None
    scale = {"none": 1.0, "linear": float(ranks), "sqrt": ranks**0.5}[scale_lr]
    return Setting(
        pixels,
        optimizer,
        (rate if lr is None else lr) * scale,
        precision or "fp32",
        recipe,
        decay if weight_decay is None else weight_decay,
        augment or row.augment,
        channels_last != "no",
        pretrained == "yes",
        freeze or "none",
        accumulate or 1,
        warmup,
        label_smoothing,
        nproc_per_node or 1,
        sync_batch_norm == "yes" and ranks > 1,
        nnodes or 1,
    )


def decay_of(setting: Setting) -> float:
    """The weight decay that a setting comes to."""
    own = OPTIMIZERS[setting.optimizer].weight_decay
    return own if setting.weight_decay is None else setting.weight_decay


def warmup_of(setting: Setting) -> float:
    """The share of all updates in which the rate rises to its peak."""
    return RECIPES[setting.recipe].warmup if setting.warmup is None else setting.warmup


def label_smoothing_of(setting: Setting) -> float:
    """The label smoothing that a setting comes to."""
    own = RECIPES[setting.recipe].label_smoothing
    return own if setting.label_smoothing is None else setting.label_smoothing


def space_of(setting: Setting) -> str:
    """The name of the search space that a setting is tuned in."""
    decoupled = RECIPES[setting.recipe].decoupled_with(setting.optimizer)
    return DECOUPLED if decoupled else setting.optimizer


def schedule_of(setting: Setting) -> Schedule | None:
    """The schedule of a setting's rate; None where it is constant."""
    schedule = RECIPES[setting.recipe].schedule
    if setting.warmup is None or setting.warmup == warmup_of(replace(setting, warmup=None)):
        return schedule
    return (schedule or CONSTANT).warmed(setting.warmup)

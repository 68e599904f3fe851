"""Optimizers and schedules; a new one is a row of `bench.config.OPTIMIZERS` or of
`bench.recipes.RECIPES`."""

from collections.abc import Callable, Iterable

import torch
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from bench.config import OPTIMIZERS
from bench.errors import Refused
from bench.recipes import Schedule
from bench.records.records import Setting


def open_optimizer(
    name: str, parameters: Iterable[Parameter], lr: float, weight_decay: float | None = None
) -> Optimizer:
    """An optimizer over parameters on one device, with torch's fused kernel where there is one, and
    the optimizer's own weight decay where none is given."""
    if name not in OPTIMIZERS:
        raise Refused(f"unknown optimizer {name!r}: there are {', '.join(OPTIMIZERS)}.")
    facts = OPTIMIZERS[name]
    trained = [p for p in parameters if p.requires_grad]
    fused = all(
        p.device.type in ("cpu", "cuda", "mps") and p.dtype == torch.float32 for p in trained
    )
    decay = facts.weight_decay if weight_decay is None else weight_decay
    kind: Callable[..., Optimizer] = getattr(torch.optim, facts.torch_name)
    return kind(trained, lr=lr, weight_decay=decay, fused=fused, **facts.arguments)


def optimizer_of(setting: Setting, parameters: Iterable[Parameter]) -> Optimizer:
    """The optimizer of a setting, at the peak of its rate."""
    return open_optimizer(
        setting.optimizer, parameters, setting.learning_rate, setting.weight_decay
    )


def open_schedule(optimizer: Optimizer, schedule: Schedule, updates: int) -> LambdaLR:
    """A schedule of the optimizer's rate over so many updates; step it after each of them.

    An update takes the rate at its middle, so that neither a first one at 0 nor a last one is lost.
    """
    return LambdaLR(optimizer, lambda update: schedule.factor(min(1, (update + 0.5) / updates)))

"""Optimizers and schedules; a new one is a row of `bench.settings.OPTIMIZERS` or of
`bench.recipes.RECIPES`."""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from bench.errors import Refused
from bench.recipes import RECIPES, Schedule
from bench.records.records import Setting
from bench.settings import OPTIMIZERS, OptimizerFacts, schedule_of
from bench.training.lookahead import LookaheadState
from bench.training.loop import Stepped
from models.building.network import BATCH_NORMS


def open_optimizer(
    name: str, parameters: Iterable[Parameter], lr: float, weight_decay: float | None = None
) -> Optimizer:
    """An optimizer over parameters on one device, with the optimizer's own weight decay where none
    is given; torch's kernel for it is fused where there is one, else foreach on CUDA."""
    if name not in OPTIMIZERS:
        raise Refused(f"unknown optimizer {name!r}: there are {', '.join(OPTIMIZERS)}.")
    facts = OPTIMIZERS[name]
    trained = [p for p in parameters if p.requires_grad]
    decay = facts.weight_decay if weight_decay is None else weight_decay
    kind: Callable[..., Optimizer] = getattr(torch.optim, facts.torch_name)
    kernel = _kernel(facts, trained)
    return kind(trained, lr=lr, weight_decay=decay, **kernel, **facts.arguments)


def optimizer_of(setting: Setting, network: nn.Module, batch_size: int) -> Optimizer:
    """The optimizer of a setting, at the peak of its rate."""
    name, rate, decay = setting.optimizer, setting.learning_rate, setting.weight_decay
    how = RECIPES[setting.recipe].decoupled_with(name)
    if how is None:
        return open_optimizer(name, network.parameters(), rate, decay)
    biases = {id(part.bias) for part in network.modules() if isinstance(part, BATCH_NORMS)}
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if (id(p) in biases) is bias]}
        | how.group(rate, decay or 0.0, batch_size, bias=bias)
        for bias in (True, False)
    ]
    kernel = _kernel(OPTIMIZERS[name], trained)
    return torch.optim.SGD(groups, momentum=how.momentum, nesterov=True, **kernel)


def _kernel(facts: OptimizerFacts, parameters: Iterable[Parameter]) -> dict[str, bool]:
    """What chooses the kernel of an update. torch itself would choose foreach on CUDA, but for the
    fake parameters of a simulation, whose memory must be that of real ones."""
    on = {(p.device.type, p.dtype) for p in parameters}
    if facts.fused_on and on <= {(kind, torch.float32) for kind in facts.fused_on}:
        return {"fused": True}
    foreach = all(kind == "cuda" for kind, _ in on)
    return {"foreach": foreach} | ({"fused": False} if facts.fused_on else {})


def open_schedule(optimizer: Optimizer, schedule: Schedule, updates: int) -> LambdaLR:
    """A schedule of the optimizer's rate over so many updates; step it after each of them.

    An update takes the rate at its middle, so that neither a first one at 0 nor a last one is lost.
    """
    return LambdaLR(optimizer, lambda update: schedule.factor(min(1, (update + 0.5) / updates)))


def open_updates(
    setting: Setting, network: nn.Module, optimizer: Optimizer, updates: int
) -> Stepped | None:
    """What follows each of so many updates by a setting's recipe; None if nothing does."""
    recipe = RECIPES[setting.recipe]
    schedule = schedule_of(setting)
    rates = open_schedule(optimizer, schedule, updates) if schedule else None
    how = recipe.lookahead
    return LookaheadState(network, how, updates, rates) if how else rates

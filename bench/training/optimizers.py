"""Optimizers by name; a new one is a row here and a name in `bench.config.OptimizerName`."""

from collections.abc import Callable, Iterable

import torch
from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer

from bench.errors import Refused


def _adam(parameters: list[Parameter], lr: float, fused: bool) -> Optimizer:
    return Adam(parameters, lr=lr, fused=fused)


def _adamw(parameters: list[Parameter], lr: float, fused: bool) -> Optimizer:
    return AdamW(parameters, lr=lr, fused=fused)


def _sgd(parameters: list[Parameter], lr: float, fused: bool) -> Optimizer:
    return SGD(parameters, lr=lr, momentum=0.9, nesterov=True, fused=fused)


_OPTIMIZERS: dict[str, Callable[[list[Parameter], float, bool], Optimizer]] = {
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
}


def open_optimizer(name: str, parameters: Iterable[Parameter], lr: float) -> Optimizer:
    """An optimizer over parameters on one device, with torch's fused kernel where there is one."""
    if name not in _OPTIMIZERS:
        raise Refused(f"unknown optimizer {name!r}: there are {', '.join(_OPTIMIZERS)}.")
    trained = [p for p in parameters if p.requires_grad]
    fused = all(
        p.device.type in ("cpu", "cuda", "mps") and p.dtype == torch.float32 for p in trained
    )
    return _OPTIMIZERS[name](trained, lr, fused)

"""Optimizers by name; a new one is a row of `bench.config.OPTIMIZERS`."""

from collections.abc import Callable, Iterable

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from bench.config import OPTIMIZERS
from bench.errors import Refused


def open_optimizer(name: str, parameters: Iterable[Parameter], lr: float) -> Optimizer:
    """An optimizer over parameters on one device, with torch's fused kernel where there is one."""
    if name not in OPTIMIZERS:
        raise Refused(f"unknown optimizer {name!r}: there are {', '.join(OPTIMIZERS)}.")
    facts = OPTIMIZERS[name]
    trained = [p for p in parameters if p.requires_grad]
    fused = all(
        p.device.type in ("cpu", "cuda", "mps") and p.dtype == torch.float32 for p in trained
    )
    kind: Callable[..., Optimizer] = getattr(torch.optim, facts.torch_name)
    return kind(trained, lr=lr, fused=fused, **facts.arguments)

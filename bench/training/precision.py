"""Arithmetic precision of a training step: fp32, tf32, bf16 or fp16 (with loss scaling)."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from bench.errors import Refused
from bench.settings import PRECISIONS


@dataclass(frozen=True)
class Precision:
    """How a step computes. `scaler` multiplies the loss of fp16 so that gradients do not vanish."""

    name: str
    autocast_dtype: torch.dtype | None
    device_type: str
    scaler: torch.amp.GradScaler | None

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The context that forward passes and losses run in."""
        if self.autocast_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device_type, dtype=self.autocast_dtype)

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss, scaled where the precision needs it."""
        (self.scaler.scale(loss) if self.scaler else loss).backward()  # type: ignore[no-untyped-call]

    def step(self, optimizer: Optimizer) -> None:
        """One update of the parameters."""
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()


def open_precision(name: str, device_type: str, deterministic: bool = False) -> Precision:
    """Set this process to a precision; fp32 means full float32, without TF32 in convolutions.

    Unless it is to be `deterministic`, cuDNN tries its algorithms and takes the fastest.

    Raises:
        Refused: the device cannot compute in it.
    """
    check_precision(name, device_type)
    facts = PRECISIONS[name]
    if device_type == "cuda":
        torch.backends.cudnn.benchmark = not deterministic
        torch.backends.cuda.matmul.allow_tf32 = facts.tf32
        torch.backends.cudnn.allow_tf32 = facts.tf32
    scaler = torch.amp.GradScaler(device_type) if facts.scales_loss else None
    return Precision(name, autocast_dtype(name), device_type, scaler)


@contextlib.contextmanager
def kept_switches() -> Iterator[None]:
    """What `open_precision` sets is after the block as it was before.

    torch 2.9 has new switches for TF32, and cannot read the old ones in a script that sets those.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    old = (cudnn, "benchmark"), (cudnn, "allow_tf32"), (matmul, "allow_tf32")
    parts = matmul, getattr(cudnn, "conv", None), getattr(cudnn, "rnn", None)
    kept = []
    for place, name in (*old, *((part, "fp32_precision") for part in parts)):
        with contextlib.suppress(AttributeError, RuntimeError):
            kept.append((place, name, getattr(place, name)))
    try:
        yield
    finally:
        for place, name, value in kept:  # the new ones last: the old ones set them, too
            setattr(place, name, value)


def autocast_dtype(name: str) -> torch.dtype | None:
    """What autocast computes in; None where the precision needs no autocast."""
    dtype = PRECISIONS[name].autocast
    return None if dtype is None else getattr(torch, dtype)


def check_precision(name: str, device_type: str) -> None:
    """Raises Refused if the kind of device cannot compute in that precision."""
    facts = PRECISIONS[name]
    if facts.needs_cuda and device_type != "cuda":
        others = " and ".join(k for k, v in PRECISIONS.items() if not v.needs_cuda)
        raise Refused(f"--precision {name} needs a CUDA card; {others} run on {device_type}.")
    least = facts.compute_capability
    if any(least) and torch.cuda.get_device_capability() < least:
        raise Refused(
            f"--precision {name} needs a card of compute capability {least[0]}.{least[1]}; "
            "use fp32 or fp16."
        )

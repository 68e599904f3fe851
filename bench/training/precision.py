"""Arithmetic precision of a training step: fp32, tf32, bf16 or fp16 (with loss scaling)."""

import contextlib
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from bench.errors import Refused


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
    if device_type == "cuda":
        torch.backends.cudnn.benchmark = not deterministic
        torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        torch.backends.cudnn.allow_tf32 = name == "tf32"
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(name)
    scaler = torch.amp.GradScaler(device_type) if name == "fp16" else None
    return Precision(name, dtype, device_type, scaler)


def check_precision(name: str, device_type: str) -> None:
    """Raises Refused if the kind of device cannot compute in that precision."""
    if name in ("tf32", "fp16") and device_type != "cuda":
        raise Refused(f"--precision {name} needs a CUDA card; fp32 and bf16 run on {device_type}.")
    if name == "tf32" and torch.cuda.get_device_capability() < (8, 0):
        raise Refused("--precision tf32 needs a card of compute capability 8.0; use fp32 or fp16.")

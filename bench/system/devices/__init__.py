"""Devices: what differs between CUDA, the CPU and MPS.

A new kind of device is one file here with one class, added to `DEVICES` under its name, its name in
`bench.config.Device`, and its errors for full memory in `memory_errors`.
"""

from typing import Any

import torch

from bench.registry import discover
from bench.system.devices.base import DEVICES, Device, Mark
from bench.system.devices.card_support import has_card
from bench.system.devices.memory_errors import is_ambiguous, is_out_of_memory

__all__ = ["Device", "Mark", "is_ambiguous", "is_out_of_memory", "open_device", "torch_facts"]

discover(__name__)


def open_device(name: str) -> Device:
    """The device of that name: auto, or a kind that may have a number, such as cpu or cuda:1.

    Raises:
        Refused: there is no such device here, or torch cannot use it.
    """
    if name == "auto":
        # A card that cannot be used is refused: a run on the CPU by surprise would take days.
        name = "cuda" if has_card() else "cpu"
    return DEVICES.get(name.partition(":")[0])(name)


def torch_facts() -> dict[str, Any]:
    """Threads of torch's intra-op pool, and the versions of CUDA and cuDNN (None without)."""
    has_cudnn = torch.cuda.is_available()
    return {
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if has_cudnn else None,  # type: ignore[no-untyped-call]
    }

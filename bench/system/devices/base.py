"""What every device can do: synchronise, mark moments, measure peak memory and hold a limit."""

import contextlib
import gc
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch

from bench.records.records import DeviceFacts
from bench.registry import Registry

Mark = Any
"""A moment on a device's own time line: an event on a GPU, seconds of a clock on the CPU."""


class Device(ABC):
    """One device of this process. `torch` is the torch.device that tensors go to.

    `matmul_size` is the number of rows and columns of the reference matrix product: large enough to
    keep a device of this kind busy, small enough to take only milliseconds.
    """

    kind: ClassVar[str]
    matmul_size: ClassVar[int]

    def __init__(self, device: torch.device) -> None:
        self.torch = device

    @abstractmethod
    def facts(self) -> DeviceFacts:
        """What results say about the device."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until the device has finished all its work."""

    def mark(self) -> Mark:
        """The present moment; a device that can note it without waiting does."""
        self.synchronize()
        return time.perf_counter()

    def elapsed(self, start: Mark, end: Mark) -> float:
        """Seconds between two marks; synchronise first."""
        return float(end - start)

    @abstractmethod
    def limit_memory(self, budget_bytes: int | None) -> int | None:
        """Limit this process, for good, to `budget_bytes`: on the CPU more than it uses now, on a
        card in all, with what it holds there already.

        Returns the bytes that peaks are measured against (without a budget, all that this process
        could have), or None if that is unknown.
        """

    @abstractmethod
    def reset_peak(self) -> None:
        """Start a new measurement of peak memory."""

    @abstractmethod
    def peak_memory(self) -> int | None:
        """The most bytes in tensors since `reset_peak`; None where it cannot be measured."""

    @contextlib.contextmanager
    def unlimited(self) -> Iterator[None]:
        """Lift the limit of `limit_memory` within the block, where that is possible."""
        yield

    @contextlib.contextmanager
    def kept_limit(self) -> Iterator[None]:
        """Restore the present limit after the block, where `limit_memory` can be undone."""
        yield

    def reserved_memory(self) -> int | None:
        """The most bytes held by a caching allocator since `reset_peak`; None if there is none."""
        return None

    def pci_bus_id(self) -> str | None:
        """The card's address, by which NVML identifies it; None without one."""
        return None

    def allocation_retries(self) -> int:
        """Allocations of this process that succeeded only after the cache was released."""
        return 0

    def spilled_bytes(self) -> int:
        """Bytes held beyond the device's own memory since `reset_peak`: some drivers (WSL, Windows)
        move tensors to the host's memory instead of failing, which is very slow."""
        return 0

    def available_memory(self) -> int:
        """Bytes that data may take on the device."""
        return self.facts().memory_bytes

    def release(self) -> None:
        """Release what dead tensors held; call it outside any `except` block."""
        gc.collect()


DEVICES: Registry[Callable[[str], Device]] = Registry("device")
"""How to open a device of each kind by its name, such as `cuda:1`; it may raise Refused."""

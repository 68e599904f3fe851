"""Apple's GPU."""

import contextlib
from collections.abc import Iterator

import torch

from bench.errors import Refused
from bench.records.records import DeviceFacts
from bench.system.devices.base import DEVICES, Device
from bench.system.host import cpu_name

_USUAL, _NO_LIMIT = 1.7, 0.0
"""Fractions of the recommended maximum: torch's own (`PYTORCH_MPS_HIGH_WATERMARK_RATIO`), and none
(https://docs.pytorch.org/docs/stable/mps_environment_variables.html)."""


class MpsDevice(Device):
    """Apple's GPU: synchronised at every mark, as its events cannot be compared across queues."""

    kind = "mps"
    matmul_size = 2048

    def __init__(self, name: str = "mps") -> None:
        if not torch.backends.mps.is_available():
            raise Refused("--device mps: there is no MPS device here; use --device cpu.")
        super().__init__(torch.device(name))
        self._peak = 0
        self._fraction = _USUAL

    def facts(self) -> DeviceFacts:
        """Memory is the most that Metal recommends to use."""
        memory = int(torch.mps.recommended_max_memory())
        return DeviceFacts("mps", "mps", cpu_name(), memory, None)

    def synchronize(self) -> None:
        """Waits for the GPU, and samples its memory."""
        torch.mps.synchronize()
        self._peak = max(self._peak, int(torch.mps.current_allocated_memory()))

    def limit_memory(self, budget_bytes: int | None) -> int | None:
        """A budget is a fraction of the recommended maximum."""
        maximum = int(torch.mps.recommended_max_memory())
        if budget_bytes is not None:
            self._limit(min(1.0, budget_bytes / maximum))
        return min(maximum, budget_bytes or maximum)

    @contextlib.contextmanager
    def unlimited(self) -> Iterator[None]:
        """Lifts the fraction."""
        with self.kept_limit():
            self._limit(_NO_LIMIT)
            yield

    @contextlib.contextmanager
    def kept_limit(self) -> Iterator[None]:
        """Restores the fraction that was set here last, or else torch's own."""
        before = self._fraction
        try:
            yield
        finally:
            if self._fraction != before:
                self._limit(before)

    def _limit(self, fraction: float) -> None:
        torch.mps.set_per_process_memory_fraction(fraction)
        self._fraction = fraction

    def reset_peak(self) -> None:
        """Forgets the peak."""
        self._peak = 0

    def peak_memory(self) -> int | None:
        """The most seen at a mark; peaks between marks are missed."""
        self.synchronize()
        return self._peak

    def release(self) -> None:
        """Empties the cache."""
        super().release()
        torch.mps.empty_cache()


DEVICES.add("mps", MpsDevice)

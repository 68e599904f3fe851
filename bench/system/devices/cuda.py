"""NVIDIA's cards."""

import contextlib
import gc
import platform
import sys
from collections.abc import Iterator
from typing import Any

import torch

from bench.records.records import DeviceFacts
from bench.system.devices.base import DEVICES, Device, Mark
from bench.system.devices.card_support import check_card
from bench.system.gpu_telemetry import pci_bus_id_of

_SPILLS = sys.platform == "win32" or "microsoft" in platform.uname().release.lower()
"""Whether the driver may move tensors to the host's memory: on Windows and in WSL."""


class CudaDevice(Device):
    """A CUDA card: events instead of clocks, memory as the caching allocator counts it."""

    kind = "cuda"
    matmul_size = 4096

    def __init__(self, name: str = "cuda") -> None:
        super().__init__(torch.device("cuda", int(name.partition(":")[2] or 0)))
        self._own_bytes: int | None = None
        check_card(name, self.torch)

    def facts(self) -> DeviceFacts:
        """The card's name and memory."""
        properties = torch.cuda.get_device_properties(self.torch)
        return DeviceFacts(str(self.torch), "cuda", properties.name, properties.total_memory, None)

    def available_memory(self) -> int:
        """Memory that is free on the card now, whoever uses the rest."""
        return int(torch.cuda.mem_get_info(self.torch)[0])

    def synchronize(self) -> None:
        """Waits for the card."""
        torch.cuda.synchronize(self.torch)

    def mark(self) -> Mark:
        """An event in the stream; takes microseconds and waits for nothing."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def elapsed(self, start: Mark, end: Mark) -> float:
        """Seconds between two events."""
        return float(start.elapsed_time(end)) / 1e3

    def limit_memory(self, budget_bytes: int | None) -> int | None:
        """A budget is the allocator's fraction of the card, what this process holds included."""
        free, total = torch.cuda.mem_get_info(self.torch)
        own = int(free) + int(torch.cuda.memory_reserved(self.torch))
        if _SPILLS:
            self._own_bytes = own
        if budget_bytes is None:
            return own
        torch.cuda.set_per_process_memory_fraction(min(1.0, budget_bytes / total), self.torch)
        return min(own, budget_bytes)

    @contextlib.contextmanager
    def unlimited(self) -> Iterator[None]:
        """Lifts the allocator's fraction; the card's own size remains."""
        with self.kept_limit():
            torch.cuda.set_per_process_memory_fraction(1.0, self.torch)
            yield

    @contextlib.contextmanager
    def kept_limit(self) -> Iterator[None]:
        """Restores the allocator's fraction."""
        before = torch.cuda.get_per_process_memory_fraction(self.torch)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(before, self.torch)

    def pci_bus_id(self) -> str | None:
        """From CUDA's properties of the card, or before torch 2.8 from NVML."""
        card: Any = torch.cuda.get_device_properties(self.torch)
        if not hasattr(card, "pci_domain_id"):
            return pci_bus_id_of(f"GPU-{card.uuid}")
        return f"{card.pci_domain_id:08x}:{card.pci_bus_id:02x}:{card.pci_device_id:02x}.0"

    def reset_peak(self) -> None:
        """Resets the allocator's peaks."""
        torch.cuda.reset_peak_memory_stats(self.torch)

    def peak_memory(self) -> int | None:
        """The most bytes allocated."""
        return int(torch.cuda.max_memory_allocated(self.torch))

    def reserved_memory(self) -> int | None:
        """The most bytes reserved."""
        return int(torch.cuda.max_memory_reserved(self.torch))

    def spilled_bytes(self) -> int:
        """Bytes that the allocator has reserved beyond the card's memory, or beyond what of it was
        free for this process where a driver spills."""
        total = int(torch.cuda.get_device_properties(self.torch).total_memory)
        own = total if self._own_bytes is None else min(total, self._own_bytes)
        return max(0, int(torch.cuda.max_memory_reserved(self.torch)) - own)

    def allocation_retries(self) -> int:
        """The allocator's count of retries."""
        return int(torch.cuda.memory_stats(self.torch).get("num_alloc_retries", 0))

    def release(self) -> None:
        """Empties the cache."""
        gc.collect()
        torch.cuda.synchronize(self.torch)
        torch.cuda.empty_cache()


DEVICES.add("cuda", CudaDevice)

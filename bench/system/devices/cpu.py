"""The CPU as a card: with `RLIMIT_DATA` at the present size plus a budget (on Linux), torch meets
real allocation failures."""

import contextlib
import ctypes
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from bench.errors import Refused
from bench.records.records import DeviceFacts
from bench.system.devices.base import DEVICES, Device
from bench.system.host import container_memory_bytes, cpu_name

try:
    import resource
except ImportError:  # Windows has none, and no limit is held there
    resource = None  # type: ignore[assignment]


class CpuDevice(Device):
    """The CPU: clocks are read directly, memory is the process's own."""

    kind = "cpu"
    matmul_size = 768

    def __init__(self, name: str = "cpu") -> None:
        super().__init__(torch.device(name))
        self._base = 0

    def facts(self) -> DeviceFacts:
        """Memory is that of the machine, or the container's limit if that is lower."""
        total = min(psutil.virtual_memory().total, container_memory_bytes())
        return DeviceFacts("cpu", "cpu", cpu_name(), total, torch.get_num_threads())

    def available_memory(self) -> int:
        """Memory that is free now."""
        return min(psutil.virtual_memory().available, container_memory_bytes())

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def limit_memory(self, budget_bytes: int | None) -> int | None:
        """Sets RLIMIT_DATA; raises Refused for a budget where there is no Linux to enforce it."""
        self.release()
        if not Path("/proc/self/status").exists():
            if budget_bytes is None:
                return None
            raise Refused("a memory budget on the CPU needs Linux; leave it out elsewhere.")
        self._base = _status_bytes("VmSize")
        if budget_bytes is None:
            return None
        limit = _status_bytes("VmData") + budget_bytes
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]  # no process may raise it
        soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        return budget_bytes

    @contextlib.contextmanager
    def unlimited(self) -> Iterator[None]:
        """Lifts the soft limit, which any process may do."""
        if resource is None:
            yield
            return
        before = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (before[1], before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)

    def reset_peak(self) -> None:
        """Nothing: the kernel's record of a process's largest size cannot be reset."""

    def peak_memory(self) -> int | None:
        """How much larger the process has been than before the model was built.

        Its size, not its resident memory: the limit counts size, compiled kernels included.
        """
        with contextlib.suppress(OSError):
            return max(0, _status_bytes("VmPeak") - self._base)
        return None

    def release(self) -> None:
        """Collects cycles and returns freed heap to the system."""
        super().release()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _status_bytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {key} in /proc/self/status")


DEVICES.add("cpu", CpuDevice)

"""Devices: the only room that knows CUDA from the CPU from MPS.

A `Device` synchronises, marks moments, measures peak memory, holds a memory limit, and knows what
counts as running out of memory. On Linux the CPU is treated as a card: with `RLIMIT_DATA` at the
present size plus a budget, torch meets real allocation failures.
"""

import contextlib
import ctypes
import gc
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import psutil
import torch

from bench.errors import Refused
from bench.records.records import DeviceFacts

try:
    import resource
except ImportError:  # Windows has none, and no limit is held there
    resource = None  # type: ignore[assignment]

Mark = Any
"""A moment on a device's own time line: an event on a GPU, seconds of a clock on the CPU."""


class Device(ABC):
    """One device of this process. `torch` is the torch.device that tensors go to."""

    kind: ClassVar[Literal["cpu", "cuda", "mps"]]

    def __init__(self, device: torch.device) -> None:
        self.torch = device

    @abstractmethod
    def facts(self) -> DeviceFacts:
        """What results say about where they were measured."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until everything given to the device is done."""

    @abstractmethod
    def mark(self) -> Mark:
        """This moment, without waiting for the device."""

    @abstractmethod
    def elapsed(self, start: Mark, end: Mark) -> float:
        """Seconds between two marks; synchronise first."""

    @abstractmethod
    def limit_memory(self, budget_bytes: int | None) -> int | None:
        """Hold this process to `budget_bytes` more than it has now, for good.

        Returns the bytes that a model may take (what is free, where no budget is given), or None if
        that cannot be told.
        """

    @abstractmethod
    def reset_peak(self) -> None:
        """Start measuring peak memory anew."""

    @abstractmethod
    def peak_memory(self) -> int | None:
        """Bytes in tensors at most since `reset_peak`; None where it cannot be measured."""

    @contextlib.contextmanager
    def unlimited(self) -> Iterator[None]:
        """Lift the limit of `limit_memory` for a while; where it cannot be lifted, nothing
        changes."""
        yield

    @contextlib.contextmanager
    def kept_limit(self) -> Iterator[None]:
        """Give the process its present limit back at the end, where `limit_memory` changes it."""
        yield

    def reserved_memory(self) -> int | None:
        """Bytes held by the allocator at most since `reset_peak`, where there is a caching one."""
        return None

    def pci_bus_id(self) -> str | None:
        """The card's address, by which NVML knows it; None without one."""
        return None

    def allocation_retries(self) -> int:
        """Allocations that succeeded only after the cache was given back, since the process
        began."""
        return 0

    def spilled_bytes(self) -> int:
        """Bytes held beyond the device's own memory since `reset_peak`: some drivers move them to
        the host's (WSL, Windows) instead of failing, at a large cost in speed."""
        return 0

    def available_memory(self) -> int:
        """Bytes that data may take on the device."""
        return self.facts().memory_bytes

    def release(self) -> None:
        """Give back what dead tensors held; call it outside of any `except` block."""
        gc.collect()


class CpuDevice(Device):
    """The CPU: clocks are read directly, memory is the process's own."""

    kind = "cpu"

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self._base = 0

    def facts(self) -> DeviceFacts:
        """Memory is what the machine, or the container's limit, gives to this process."""
        total = min(psutil.virtual_memory().total, container_limit())
        return DeviceFacts("cpu", "cpu", cpu_name(), total, torch.get_num_threads())

    def available_memory(self) -> int:
        """Memory free now."""
        return min(psutil.virtual_memory().available, container_limit())

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def mark(self) -> Mark:
        """Seconds of the performance counter."""
        return time.perf_counter()

    def elapsed(self, start: Mark, end: Mark) -> float:
        """Seconds between two readings of the counter."""
        return float(end - start)

    def limit_memory(self, budget_bytes: int | None) -> int | None:
        """Sets RLIMIT_DATA; where that is not Linux's, a budget cannot be held and is Refused."""
        self.release()
        if not Path("/proc/self/status").exists():
            if budget_bytes is None:
                return None
            raise Refused("a memory budget on the CPU needs Linux; use --no-fit elsewhere.")
        self._base = _status_bytes("VmSize")
        if budget_bytes is None:
            return None
        limit = _status_bytes("VmData") + budget_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
        return budget_bytes

    @contextlib.contextmanager
    def unlimited(self) -> Iterator[None]:
        """Lifts the soft limit, which a process may."""
        before = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (before[1], before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)

    def reset_peak(self) -> None:
        """Nothing: the kernel's mark of a process's size only ever rises."""

    def peak_memory(self) -> int | None:
        """How much larger the process has been than it was before the model was built.

        Its size, not what is resident: that is what the limit counts, compiled kernels included.
        """
        try:
            return max(0, _status_bytes("VmPeak") - self._base)
        except OSError:
            return None

    def release(self) -> None:
        """Collects cycles and returns freed heap to the system."""
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


class CudaDevice(Device):
    """A CUDA card: events instead of clocks, the caching allocator's own counts."""

    kind = "cuda"

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        torch.cuda.set_device(device)

    def facts(self) -> DeviceFacts:
        """The card's name and memory."""
        properties = torch.cuda.get_device_properties(self.torch)
        return DeviceFacts(str(self.torch), "cuda", properties.name, properties.total_memory, None)

    def available_memory(self) -> int:
        """Memory free on the card now, whoever holds the rest."""
        return int(torch.cuda.mem_get_info(self.torch)[0])

    def synchronize(self) -> None:
        """Waits for the card."""
        torch.cuda.synchronize(self.torch)

    def mark(self) -> Mark:
        """An event in the stream; costs microseconds and waits for nothing."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def elapsed(self, start: Mark, end: Mark) -> float:
        """Seconds between two events."""
        return float(start.elapsed_time(end)) / 1e3

    def limit_memory(self, budget_bytes: int | None) -> int | None:
        """A budget is the allocator's own fraction of the card."""
        free, total = torch.cuda.mem_get_info(self.torch)
        if budget_bytes is None:
            return int(free)
        torch.cuda.set_per_process_memory_fraction(min(1.0, budget_bytes / total), self.torch)
        return min(int(free), budget_bytes)

    @contextlib.contextmanager
    def unlimited(self) -> Iterator[None]:
        """Lifts the allocator's fraction; the card's own size stays."""
        with self.kept_limit():
            torch.cuda.set_per_process_memory_fraction(1.0, self.torch)
            yield

    @contextlib.contextmanager
    def kept_limit(self) -> Iterator[None]:
        """Of the allocator's fraction."""
        before = torch.cuda.get_per_process_memory_fraction(self.torch)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(before, self.torch)

    def pci_bus_id(self) -> str | None:
        """From CUDA's own properties of the card."""
        card: Any = torch.cuda.get_device_properties(self.torch)
        return f"{card.pci_domain_id:08x}:{card.pci_bus_id:02x}:{card.pci_device_id:02x}.0"

    def reset_peak(self) -> None:
        """Resets the allocator's peaks."""
        torch.cuda.reset_peak_memory_stats(self.torch)

    def peak_memory(self) -> int | None:
        """Bytes allocated at most."""
        return int(torch.cuda.max_memory_allocated(self.torch))

    def reserved_memory(self) -> int | None:
        """Bytes reserved at most."""
        return int(torch.cuda.max_memory_reserved(self.torch))

    def spilled_bytes(self) -> int:
        """What the allocator has reserved beyond what the card has."""
        total = torch.cuda.get_device_properties(self.torch).total_memory
        return max(0, int(torch.cuda.max_memory_reserved(self.torch)) - int(total))

    def allocation_retries(self) -> int:
        """The allocator's count of retries."""
        return int(torch.cuda.memory_stats(self.torch).get("num_alloc_retries", 0))

    def release(self) -> None:
        """Empties the cache."""
        gc.collect()
        torch.cuda.synchronize(self.torch)
        torch.cuda.empty_cache()


class MpsDevice(Device):
    """Apple's GPU: synchronised at every mark, for its events cannot be compared across queues."""

    kind = "mps"

    def __init__(self) -> None:
        super().__init__(torch.device("mps"))
        self._peak = 0

    def facts(self) -> DeviceFacts:
        """Memory is what Metal recommends to use at most."""
        memory = int(torch.mps.recommended_max_memory())
        return DeviceFacts("mps", "mps", cpu_name(), memory, None)

    def synchronize(self) -> None:
        """Waits for the GPU, and looks at its memory."""
        torch.mps.synchronize()
        self._peak = max(self._peak, int(torch.mps.current_allocated_memory()))

    def mark(self) -> Mark:
        """Seconds of the performance counter, after waiting for the GPU."""
        self.synchronize()
        return time.perf_counter()

    def elapsed(self, start: Mark, end: Mark) -> float:
        """Seconds between two readings."""
        return float(end - start)

    def limit_memory(self, budget_bytes: int | None) -> int | None:
        """A budget is a fraction of the recommended maximum."""
        maximum = int(torch.mps.recommended_max_memory())
        if budget_bytes is not None:
            torch.mps.set_per_process_memory_fraction(min(1.0, budget_bytes / maximum))
        return min(maximum, budget_bytes or maximum)

    def reset_peak(self) -> None:
        """Forgets the peak."""
        self._peak = 0

    def peak_memory(self) -> int | None:
        """The most seen at a mark; peaks between marks are missed."""
        self.synchronize()
        return self._peak

    def release(self) -> None:
        """Empties the cache."""
        gc.collect()
        torch.mps.empty_cache()


def open_device(name: str) -> Device:
    """The device of that name: auto, cpu, cuda, cuda:N or mps.

    Raises:
        Refused: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return CpuDevice()
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise Refused("--device mps: there is no MPS device here; use --device cpu.")
        return MpsDevice()
    count = torch.cuda.device_count()
    index = int(name.partition(":")[2] or 0)
    if not torch.cuda.is_available() or index >= count:
        cards = (
            f"the cards here are cuda:0 to cuda:{count - 1}" if count else "no CUDA card is here"
        )
        raise Refused(f"--device {name}: {cards}; use one there is, or cpu.")
    return CudaDevice(torch.device("cuda", index))


_OUT_OF_MEMORY = re.compile(
    r"out of memory"
    r"|can't allocate memory"  # torch's CPU allocator on Linux
    r"|not enough memory"  # torch's CPU allocator on Windows
    r"|bad_?alloc"
    r"|could not create a memory"  # oneDNN's memory object
    r"|(CUDNN|CUBLAS|CUSOLVER)_STATUS_(INTERNAL_ERROR_HOST_)?ALLOC(ATION)?_FAILED"
    r"|Unable to find a valid cuDNN algorithm"
    r"|unable to find an engine"
    r"|Cannot allocate memory"
    r"|Failed to allocate private MTLBuffer|Invalid buffer size",  # Metal
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, and nothing else.

    The types first; of other runtime errors, the messages of allocators and libraries that report
    it only in words.
    """
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and bool(_OUT_OF_MEMORY.search(str(error)))


def is_ambiguous(message: str) -> bool:
    """Whether a message is oneDNN's "could not create a primitive" and the like, which may mean
    that memory ran out or that it has no such kernel; or that of a process that crashed, which may
    mean that a library did not check for a failed allocation, or a fault."""
    return bool(
        re.search(r"could not (create|execute) a primitive|process ended with SIG(?!KILL)", message)
    )


def _status_bytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {key} in /proc/self/status")


def container_limit() -> int:
    """Bytes of memory that a container's limit gives to all its processes; huge without one."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            return int(Path(path).read_text())
    return 2**63


def cpu_name() -> str:
    """The processor's name, as its maker writes it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    import platform

    return platform.processor() or platform.machine() or os.name

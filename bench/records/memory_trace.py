"""What one training step does to memory: every allocation and release, for any batch size.

A trace is recorded on fake tensors (`bench.prediction.simulate`) and read without torch. An
allocation is either fixed or proportional to the batch, so one trace serves every batch size.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

Category = Literal[
    "parameters", "gradients", "optimizer state", "data", "activations", "temporaries"
]

BLOCK_BYTES = 512
"""CUDA's caching allocator rounds requests up to multiples of this (kMinBlockSize in
CUDACachingAllocator.cpp)."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Allocation:
    """One tensor's storage: `fixed_bytes`, and `image_bytes` for every image of the batch."""

    fixed_bytes: int
    image_bytes: int
    category: Category


@dataclass(frozen=True)
class Trace:
    """The allocations of some training steps, in order.

    Event `i` makes allocation `i`, event `~i` frees it.
    """

    allocations: tuple[Allocation, ...]
    events: tuple[int, ...]

    def sizes(self, batch_size: int, block_bytes: int = BLOCK_BYTES) -> Integers:
        """Bytes of every allocation, rounded up to whole blocks (of one byte on the CPU)."""
        exact = self._fixed + self._per_image * batch_size
        return -(-exact // block_bytes) * block_bytes

    def live_bytes(self, batch_size: int, block_bytes: int = BLOCK_BYTES) -> Integers:
        """Bytes allocated after each event."""
        sizes, events = self.sizes(batch_size, block_bytes), self._events
        return np.cumsum(np.where(events >= 0, sizes[events], -sizes[~events]))

    def peak_bytes(self, batch_size: int, block_bytes: int = BLOCK_BYTES) -> int:
        """Bytes allocated at most; what `torch.cuda.max_memory_allocated` reports."""
        return int(self.live_bytes(batch_size, block_bytes).max(initial=0))

    def line(self, batch_size: int) -> tuple[int, int]:
        """Fixed bytes and bytes per image of the peak at that batch size: peak = fixed + n * image.

        The peak is the maximum of many such lines; this is the one that is highest there.
        """
        alive = self._alive_at_peak(batch_size)
        return int(self._fixed[alive].sum()), int(self._per_image[alive].sum())

    def breakdown(self, batch_size: int) -> dict[Category, int]:
        """What the peak is made of, in bytes by category."""
        sizes, parts = self.sizes(batch_size), dict.fromkeys(Category.__args__, 0)  # type: ignore[attr-defined]
        for i in self._alive_at_peak(batch_size):
            parts[self.allocations[i].category] += int(sizes[i])
        return parts

    def _alive_at_peak(self, batch_size: int) -> list[int]:
        if not self.events:
            return []
        events = self.events[: int(self.live_bytes(batch_size).argmax()) + 1]
        return sorted({e for e in events if e >= 0} - {~e for e in events if e < 0})

    @cached_property
    def _fixed(self) -> Integers:
        return np.array([a.fixed_bytes for a in self.allocations], dtype=np.int64)

    @cached_property
    def _per_image(self) -> Integers:
        return np.array([a.image_bytes for a in self.allocations], dtype=np.int64)

    @cached_property
    def _events(self) -> Integers:
        return np.array(self.events, dtype=np.int64)

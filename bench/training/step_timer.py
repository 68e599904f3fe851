"""The rules of timing.

Clocks are read only after the device was synchronised. Within an epoch nothing waits for the
device; marks are left on its own time line instead (events on a GPU). The parts of a step are
marked on a sample of steps only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from time import perf_counter, process_time
from typing import TypeVar

from bench.system.devices import Device, Mark

T = TypeVar("T")

PARTS = ("data", "forward", "backward", "optimizer")
SAMPLED_STEPS = 64


@dataclass(frozen=True)
class Timed:
    """The time of a call: wall-clock seconds, and processor seconds of all threads."""

    seconds: float
    cpu_seconds: float

    def plus(self, seconds: float, cpu_seconds: float) -> "Timed":
        """The sum with time that was spent earlier."""
        return Timed(self.seconds + seconds, self.cpu_seconds + cpu_seconds)


def timed(device: Device, call: Callable[[], T]) -> tuple[T, Timed]:
    """Synchronise, start, call, synchronise, stop."""
    device.synchronize()
    start, cpu = perf_counter(), process_time()
    result = call()
    device.synchronize()
    return result, Timed(perf_counter() - start, process_time() - cpu)


@dataclass
class StepTimer:
    """Marks the steps of one epoch; read it after the epoch, once the device is synchronised.

    The parts of every `every`-th step are marked as well, each mark ending one of the `PARTS`.
    """

    device: Device
    steps: int
    _ends: list[Mark] = field(default_factory=list)
    _samples: list[list[Mark]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.every = max(1, self.steps // SAMPLED_STEPS)

    def start(self) -> None:
        """The epoch begins, and its first step."""
        self.step()

    def step(self) -> None:
        """A step has ended; the next one begins."""
        self._ends.append(self.device.mark())
        if self._sampling():
            self._samples.append([self._ends[-1]])

    def part(self) -> None:
        """The next of the `PARTS` of this step has ended."""
        if self._sampling():
            self._samples[-1].append(self.device.mark())

    def again(self) -> None:
        """Another forward pass of the same step begins; it is told from the number of marks."""

    def step_seconds(self) -> list[float]:
        """Seconds of every step, in order."""
        pairs = zip(self._ends, self._ends[1:], strict=False)
        return [self.device.elapsed(a, b) for a, b in pairs]

    def part_seconds(self, train_seconds: float) -> dict[str, float]:
        """Seconds of the epoch in each part: the mean of the sampled steps times the steps.

        Scaled down if they exceed `train_seconds` together, so that the rest is never negative.
        """
        parts = {part: self._mean_part(i) * self.steps for i, part in enumerate(PARTS)}
        scale = min(1.0, train_seconds / max(sum(parts.values()), 1e-12))
        return {part: seconds * scale for part, seconds in parts.items()}

    def _sampling(self) -> bool:
        return (len(self._ends) - 1) % self.every == 0

    def _mean_part(self, index: int) -> float:
        """Seconds of a part in the mean sampled step, whose forward and backward may be several."""
        times = []
        for marks in self._samples:
            if len(marks) > len(PARTS):
                spans = [*pairwise(marks)]
                own = {0: spans[:1], 1: spans[1:-1:2], 2: spans[2:-1:2], 3: spans[-1:]}[index]
                times.append(sum(self.device.elapsed(start, end) for start, end in own))
        return fmean(times) if times else 0.0

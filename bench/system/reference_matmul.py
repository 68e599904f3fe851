"""The machine's own speed, by which its drift is told: a fixed matrix product, the same every time.

Timed before and after every trial, outside of all that is compared. If it changes by more than a
difference between two models or two runs, that difference may be the machine's.
"""

from itertools import pairwise

import torch

from bench.choices import PRECISIONS
from bench.records.records import Calibrated
from bench.system.devices import Device

SIZES = {"cpu": 768, "cuda": 4096, "mps": 2048}
"""Rows and columns: large enough to keep a device of that kind busy, small enough for some
milliseconds."""

UNTIMED = 3
LEAST, MOST = 15, 200
SECONDS = 0.3
"""For about so long the product is timed, again and again within these numbers: a neighbour's burst
of a twentieth of a second must not look like another machine."""


def calibrate(device: Device, trial: str, epochs: int, precision: str) -> Calibrated:
    """Time the product in a trial's precision; `open_precision` must have set the process to it."""
    size = SIZES[device.kind]
    dtype = getattr(torch, PRECISIONS[precision].autocast or "float32")
    seconds = _seconds(device, size, dtype)
    device.release()
    return Calibrated(trial, epochs, precision, size, tuple(round(s, 7) for s in seconds))


def _seconds(device: Device, size: int, dtype: torch.dtype) -> list[float]:
    # Zeros would draw less power, and a card would run at another clock.
    chance = torch.Generator().manual_seed(0)
    a, b = (torch.rand(size, size, generator=chance).to(device.torch, dtype) for _ in range(2))
    product = torch.empty_like(a)

    def timed(count: int) -> list[float]:
        device.synchronize()
        marks = [device.mark()]
        for _ in range(count):
            torch.mm(a, b, out=product)
            marks.append(device.mark())
        device.synchronize()
        return [device.elapsed(x, y) for x, y in pairwise(marks)]

    one = min(timed(UNTIMED))
    return timed(min(MOST, max(LEAST, round(SECONDS / max(one, 1e-6)))))

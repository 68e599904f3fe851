"""The machine's own speed: the time of a fixed matrix product, to detect drift.

It is measured before and after every trial, outside of everything that is compared; after one is
before the next. If it changes by more than two models or two runs differ, that difference may come
from the machine.
"""

from dataclasses import replace
from itertools import pairwise

import torch

from bench.records.records import Calibrated
from bench.system.devices import Device

UNTIMED = 3
LEAST, MOST = 15, 200
SECONDS = 0.3
"""The product is repeated for about this long, `LEAST` to `MOST` times: a burst of another process
that lasts a twentieth of a second must not look like a slower machine."""

COPIED_BYTES, COPIES = 128 * 2**20, 5
"""The size of the array that is copied, well above what caches hold, and how often it is timed."""


def calibrate(
    device: Device,
    trial: str,
    epochs: int,
    precision: str,
    dtype: torch.dtype | None = None,
    known: Calibrated | None = None,
) -> Calibrated:
    """Time the product in a trial's precision, after `open_precision` has set the process to it;
    `dtype` is what autocast computes in, None for float32.

    What was measured just now is `known` and not measured again; the product only runs, so that the
    memory that libraries take for it is there in every trial.
    """
    size = device.matmul_size
    seconds = _seconds(device, size, dtype or torch.float32, timed=known is None)
    device.release()
    if known is not None:
        return replace(known, trial=trial, epochs=epochs, shared=True)
    return Calibrated(trial, epochs, precision, size, tuple(round(s, 7) for s in seconds))


def _seconds(device: Device, size: int, dtype: torch.dtype, *, timed: bool) -> list[float]:
    # Random numbers: zeros would draw less power, and a card would run at another clock.
    random = torch.Generator().manual_seed(0)
    a, b = (torch.rand(size, size, generator=random).to(device.torch, dtype) for _ in range(2))
    product = torch.empty_like(a)

    def products(count: int) -> list[float]:
        device.synchronize()
        marks = [device.mark()]
        for _ in range(count):
            torch.mm(a, b, out=product)
            marks.append(device.mark())
        device.synchronize()
        return [device.elapsed(x, y) for x, y in pairwise(marks)]

    fastest = min(products(UNTIMED))
    repetitions = min(MOST, max(LEAST, round(SECONDS / max(fastest, 1e-6))))
    return products(repetitions) if timed else []


def machine_peaks(device: Device) -> tuple[float, float]:
    """What a device computes and moves, where nobody has published it: operations a second of the
    product in float32, and bytes a second that a large copy reads and writes. Of each the fastest,
    because what else the machine does at the moment says nothing about the hours to come."""
    product = calibrate(device, "", 0, "fp32")
    source = torch.ones(COPIED_BYTES // 4, device=device.torch)
    target = torch.empty_like(source)
    marks = [device.mark()]
    for _ in range(1 + COPIES):
        target.copy_(source)
        marks.append(device.mark())
    device.synchronize()
    _, *seconds = (device.elapsed(start, end) for start, end in pairwise(marks))
    return product.peak_gflops * 1e9, 2 * COPIED_BYTES / min(seconds)

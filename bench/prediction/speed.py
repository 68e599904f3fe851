"""Seconds of a training step on a card that need not be here, from its kernels, without torch.

A roofline: a kernel takes as long as its arithmetic or its memory traffic, whichever takes longer,
each at a share of the card's peak, and a fixed time besides. Shares and time, ten figures by
layout, were fitted on one card's published table and are carried over to others by their peaks
alone (`constants.csv`; `tests/benchmarks/predicted_speed.py` fits and judges them). A step takes at
least what the host needs to launch its kernels.
"""

import csv
import functools
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.prediction.cards import Card, Peaks
from bench.records.kernel_trace import Kernel, KernelTrace
from bench.records.records import Predicted, PredictedSpeed, Setting, SpeedLimit

LAUNCH_SECONDS = 6e-6
"""What a fast host needs to launch a kernel. Not fitted: nothing in the table is bound by it."""

SLOW_LAUNCH_SECONDS = (30e-6, 60e-6)
"""What others need, from and to, as steps of small batches on several machines show."""

OWN_CARD, OTHER_CARD, UNCERTAIN = 1.3, 1.5, 2.0
"""Factors within which the true time is expected: on the card whose table gave the constants, on
others, and where predictions were bad; measured by `tests/benchmarks/predicted_speed.py`."""

_TILE = 32
"""Channels in and out that dense products are padded to; images' few channels to 8. Not fitted."""

_UNALIGNED = 2.0
"""Times the bytes that 16-bit products move whose widths are no multiples of 8. Not fitted."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Constants:
    """Shares of a card's peaks that kernels reach, and the time that each takes besides."""

    convolution_arithmetic: float
    product_arithmetic: float
    grouped_arithmetic: float
    depthwise_arithmetic: float
    attention_arithmetic: float
    convolution_traffic: float
    depthwise_traffic: float
    norm_traffic: float
    other_traffic: float
    kernel_microseconds: float


@dataclass(frozen=True)
class Fit:
    """Constants as they stand in `constants.csv`: fitted on this card, layout and source."""

    card: str
    layout: str
    source: str
    constants: Constants


_NAMES = [field.name for field in fields(Constants)]
_ARITHMETIC = {
    "convolution": "convolution_arithmetic",
    "grouped convolution": "grouped_arithmetic",
    "depthwise convolution": "depthwise_arithmetic",
    "attention": "attention_arithmetic",
}
"""All else is `product_arithmetic`."""

_TRAFFIC = {
    "convolution": "convolution_traffic",
    "1x1 convolution": "convolution_traffic",
    "grouped convolution": "convolution_traffic",
    "depthwise convolution": "depthwise_traffic",
    "batch norm": "norm_traffic",
}
"""All else is `other_traffic`."""

_DENSE = ("convolution", "1x1 convolution", "matrix product", "attention")


@functools.cache
def fits() -> tuple[Fit, ...]:
    """Every row of `constants.csv`."""
    with (Path(__file__).parent / "constants.csv").open(newline="", encoding="utf-8") as file:
        return tuple(
            Fit(
                row["card"],
                row["layout"],
                row["source"],
                Constants(**{name: float(row[name]) for name in _NAMES}),
            )
            for row in csv.DictReader(file)
        )


def fit_for(card: str, channels_last: bool) -> Fit:
    """The constants of the card itself (`cpu`: of processors), or else the first of that layout."""
    layout = "nhwc" if channels_last else "nchw"
    of_layout = [fit for fit in fits() if fit.layout == layout]
    return next((fit for fit in of_layout if fit.card == card), of_layout[0])


class Workload:
    """The kernels of a step at one number of images as arrays, a row per group of equal ones."""

    def __init__(
        self,
        kernels: Sequence[Kernel],
        images: int,
        *,
        channels_last: bool,
        tile: int = _TILE,
    ) -> None:
        work = [_work(kernel, images, tile) for kernel in kernels]
        self._flops = np.array([flops for flops, _ in work], float)
        self._bytes = np.array([moved for _, moved in work], float)
        self._count = np.array([kernel.count for kernel in kernels], float)
        names = [(_arithmetic(k, channels_last), _traffic(k)) for k in kernels]
        self._arithmetic = np.array([_NAMES.index(name) for name, _ in names], int)
        self._traffic = np.array([_NAMES.index(name) for _, name in names], int)
        # Depthwise convolutions do not use tensor cores.
        self._rate = np.array(
            [0 if k.kind == "depthwise convolution" else 2 if k.half else 1 for k in kernels], int
        )

    @property
    def launches(self) -> int:
        """Kernels of the step."""
        return int(self._count.sum())

    def split(
        self, constants: Constants, rates: Sequence[float], bandwidth: float
    ) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Seconds of each row, and whether its arithmetic takes longer than its traffic.

        `rates` are operations a second of fp32 outside tensor cores, of fp32 products, and of
        16-bit products; `bandwidth` is in bytes a second.
        """
        shares = np.array(astuple(constants))
        arithmetic = self._flops / (shares[self._arithmetic] * np.array(rates)[self._rate])
        traffic = self._bytes / (shares[self._traffic] * bandwidth)
        each = np.maximum(arithmetic, traffic) + constants.kernel_microseconds * 1e-6
        return each * self._count, arithmetic > traffic

    def seconds(self, constants: Constants, rates: Sequence[float], bandwidth: float) -> float:
        """Seconds of the step: of its kernels, or of launching them if that takes longer."""
        gpu = self.split(constants, rates, bandwidth)[0].sum()
        return float(max(gpu, self.launches * LAUNCH_SECONDS))


def rates_of(peaks: Peaks, precision: str) -> tuple[float, float, float] | None:
    """Operations a second as `Workload.split` takes them, in a training precision; None if the card
    has no such arithmetic, or its rate is not known."""
    if precision == "fp32":
        return peaks.fp32, peaks.fp32, peaks.fp32
    rate: float | None = asdict(peaks)[precision]
    if rate is None:
        return None
    return (peaks.fp32, rate, rate) if precision == "tf32" else (peaks.fp32, peaks.fp32, rate)


def why_no_speed(card: Card, precision: str) -> str | None:
    """Why there is no figure for a card in a training precision; None if there is one."""
    if card.peaks is None:
        return "its memory bandwidth is not known"
    if rates_of(card.peaks, precision) is None:
        return f"its rate in {precision} is not known"
    return None


def predict_speed(
    trace: KernelTrace,
    *,
    setting: Setting,
    card: Card,
    batch_size: int,
    images: int | None = None,
    scale: float = 1.0,
) -> PredictedSpeed | None:
    """The time of a step at a batch size, and of an epoch of so many images; None if there is no
    figure, because the card's peaks are not known or nothing fits.

    The trace is of one of the parts that the setting trains a batch in. `scale` multiplies times:
    the ratio of a known time to what is predicted for it.
    """
    rates = None if card.peaks is None else rates_of(card.peaks, setting.precision)
    if card.peaks is None or rates is None or batch_size < 1:
        return None
    fit = fit_for(card.name, setting.channels_last)
    part = setting.part_of(batch_size)
    work = Workload(trace.kernels, part, channels_last=setting.channels_last)
    seconds, computing = work.split(fit.constants, rates, card.peaks.bandwidth)
    host, device = work.launches * LAUNCH_SECONDS, float(seconds.sum())
    limit: SpeedLimit = "memory traffic"
    if host > device:
        limit = "kernel launches"
    elif seconds[computing].sum() > device / 2:
        limit = "arithmetic"
    by_kind: dict[str, float] = {}
    for kernel, taken in zip(trace.kernels, seconds, strict=True):
        by_kind[kernel.kind] = by_kind.get(kernel.kind, 0.0) + scale * float(taken)
    known = OWN_CARD if fit.card == card.name or scale != 1 else OTHER_CARD
    shares = {kind: taken / (scale * device) for kind, taken in by_kind.items()}
    step = scale * max(host, device)
    start, end = (scale * work.launches * each for each in SLOW_LAUNCH_SECONDS)
    held_up = start > step
    factor = _factor(known, shares, setting, trace.kernels, held_up=held_up)
    return PredictedSpeed(
        batch_size=batch_size,
        step_seconds=step,
        factor=factor,
        slowest_seconds=max(step * factor, end if held_up else 0.0),
        limit=limit,
        kind_seconds=by_kind,
        epoch_seconds=None if images is None else step * images / batch_size,
        unknown=trace.unknown,
    )


def with_speeds(
    predicted: Predicted,
    trace: KernelTrace | None,
    *,
    card: Card,
    batch_sizes: Sequence[int] = (),
    images: int | None = None,
    scale: float = 1.0,
) -> Predicted:
    """The prediction with its speeds: at the largest batch, and at other sizes that fit."""
    if trace is None:
        return predicted
    sizes = dict.fromkeys((predicted.max_batch, *batch_sizes))
    speeds = (
        predict_speed(
            trace,
            setting=predicted.setting,
            card=card,
            batch_size=size,
            images=images,
            scale=scale,
        )
        for size in sizes
        if size <= predicted.max_batch
    )
    return replace(predicted, speeds=tuple(speed for speed in speeds if speed is not None))


def _factor(
    known: float,
    shares: dict[str, float],
    setting: Setting,
    kernels: Sequence[Kernel],
    *,
    held_up: bool,
) -> float:
    """Within which factor the truth is expected, by the class of network, and of a step that a host
    may hold up."""
    full = setting.precision in ("fp32", "tf32")
    slow = any(k.kind == "grouped convolution" and not _fast_grouped(k) for k in kernels)
    uncertain = (
        held_up
        # cuDNN has fast NHWC kernels for some grouped convolutions only, and nobody says which.
        or (setting.channels_last and slow and shares["grouped convolution"] > 0.1)
        or (full and shares.get("depthwise convolution", 0.0) > 0.2)
        # Winograd's algorithm does with fewer operations than are counted here.
        or (setting.precision == "fp32" and shares.get("convolution", 0.0) > 0.6)
    )
    return (UNCERTAIN if uncertain else known) * (1 + shares.get("unknown", 0.0))


def _work(kernel: Kernel, images: int, tile: int) -> tuple[float, float]:
    """Operations and bytes of one kernel, as a card has them."""
    flops = float(kernel.fixed_flops + kernel.image_flops * images)
    moved = float(kernel.fixed_bytes + kernel.image_bytes * images)
    inputs, outputs = kernel.inputs, kernel.outputs
    if kernel.kind not in _DENSE or not (flops and inputs and outputs):
        return flops, moved
    images_in = kernel.kind == "convolution" and inputs <= 4
    tile_in = min(8, tile) if images_in else tile
    padded = math.ceil(inputs / tile_in) * tile_in * math.ceil(outputs / tile) * tile
    if kernel.half and not images_in and (inputs % 8 or outputs % 8):
        moved *= _UNALIGNED
    return flops * padded / (inputs * outputs), moved


def _arithmetic(kernel: Kernel, channels_last: bool) -> str:
    if channels_last and kernel.kind == "grouped convolution" and _fast_grouped(kernel):
        return "convolution_arithmetic"
    return _ARITHMETIC.get(kernel.kind, "product_arithmetic")


def _traffic(kernel: Kernel) -> str:
    return _TRAFFIC.get(kernel.kind, "other_traffic")


def _fast_grouped(kernel: Kernel) -> bool:
    """Whether cuDNN 8 has an NHWC kernel for tensor cores, as the table of the RTX 3090 shows."""
    groups, width = kernel.groups, kernel.inputs
    return (
        width == kernel.outputs
        and width in (4, 8, 16, 32, 64)
        and (groups >= 32 or (width != 16 and groups >= 8 and groups * width % 32 == 0))
    )

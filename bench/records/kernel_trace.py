"""The kernels of one training step, for any batch size: what they compute and what they move.

Recorded on fake tensors (`bench.prediction.kernels`) and read without torch
(`bench.prediction.speed`).
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "convolution",
    "1x1 convolution",
    "grouped convolution",
    "depthwise convolution",
    "matrix product",
    "attention",
    "batch norm",
    "layer norm",
    "pooling",
    "copy",
    "pointwise",
    "optimizer",
    "unknown",
]
"""`unknown` are operators that the tracer has no rule for: memory traffic, as far as is known."""


@dataclass(frozen=True)
class Kernel:
    """Equal kernels, `count` of them; each takes `fixed_flops + images * image_flops` operations,
    and so for the bytes that it reads and writes.

    A product of matrices has `inputs` and `outputs`, the widths of its sides that do not grow with
    the batch: channels per group of a convolution with so many `groups`; 0 where they do not count.
    `half` is whether it computes with 16 bits.
    """

    kind: Kind
    half: bool
    fixed_flops: int
    image_flops: int
    fixed_bytes: int
    image_bytes: int
    inputs: int = 0
    outputs: int = 0
    groups: int = 1
    count: int = 1


@dataclass(frozen=True)
class KernelTrace:
    """All kernels of a step, and the names of operators that the tracer does not know."""

    kernels: tuple[Kernel, ...]
    unknown: tuple[str, ...] = ()

"""Seconds of a training step on the processor here, from its kernels, before any step is timed.

The roofline of `bench.prediction.speed`. Nobody publishes the peaks of so many threads of a
processor in such a machine, so they are measured: by the fixed matrix product, and by a large copy
(`bench.system.reference_matmul.machine_peaks`). The constants, a row of `constants.csv`, were
fitted on steps of one machine (`tests/benchmarks/predicted_cpu.py`), in float32 and channels-last
memory; there is no figure for anything else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.prediction.cards import Peaks
from bench.prediction.speed import Workload, fit_for
from bench.records.kernel_trace import Kernel, KernelTrace
from bench.records.records import Setting

FACTOR = 1.5
"""The factor within which the true time is expected; measured by that benchmark."""

_TILE = 8
"""Channels that products are padded to: a register of AVX2. Not fitted."""

_CALL_FLOPS = 5000
"""What a product of matrices costs besides its arithmetic, in operations, as profiles show of
depthwise convolutions, which make one for each image and channel. Not fitted."""


def cpu_step_seconds(
    trace: KernelTrace, *, setting: Setting, batch_size: int, peaks: Peaks
) -> float | None:
    """Seconds of a step at a batch size, from a trace of one of the parts that the setting trains a
    batch in; None in an arithmetic or a layout that no constants were fitted for, and with a frozen
    body, whose kernels are not those of a step."""
    fitted = setting.precision == "fp32" and setting.channels_last
    if not fitted or setting.freeze != "none":
        return None
    work = cpu_work(trace.kernels, setting.part_of(batch_size))
    constants = fit_for("cpu", channels_last=True).constants
    return work.seconds(constants, (peaks.fp32,) * 3, peaks.bandwidth)


def cpu_work(kernels: Sequence[Kernel], images: int) -> Workload:
    """The kernels of a step as a processor has them, by none of cuDNN's rules for layouts."""
    ours = [one for kernel in kernels for one in _on_cpu(kernel)]
    return Workload(ours, images, channels_last=False, tile=_TILE)


def _on_cpu(kernel: Kernel) -> Iterator[Kernel]:
    """How oneDNN 3 computes a convolution on AVX2, where that is not how a card does.

    Of the three kernels of a layer, one is the gradient of its weights, which is summed image by
    image: each of them reads and writes all of it. With groups, both gradients are a product of
    matrices for each image and group.
    """
    if kernel.groups > 1:
        calls = kernel.groups * _CALL_FLOPS * 2 // 3
        yield replace(kernel, image_flops=kernel.image_flops + calls)
    elif kernel.kind.endswith("convolution") and kernel.count > 1:
        gradients = -(-kernel.count // 3)
        summed = kernel.image_bytes + 2 * kernel.fixed_bytes
        yield replace(kernel, count=kernel.count - gradients)
        yield replace(kernel, count=gradients, image_bytes=summed)
    else:
        yield kernel

"""The kernels of a simulated training step: what each computes and moves, without any device.

Every operation that would launch a kernel on a card is one `Kernel`, with the bytes of the tensors
that it reads and writes and, for products of matrices, its arithmetic. As in
`bench.prediction.simulate` the batch has a prime number of images, so what is a multiple of it
grows with the batch and one trace serves every batch size.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bench.prediction.torch_private import TorchDispatchMode, tree_iter
from bench.records.kernel_trace import Kernel, KernelTrace, Kind

OPTIMIZER = 3
"""The part of a step, from 0, in which every kernel is the optimizer's."""


def _words(*lines: str) -> tuple[str, ...]:
    return tuple(word for line in lines for word in line.split())


_FREE = _words(
    "_unsafe_view _reshape_alias reshape lift_fresh detach detach_ alias empty empty_like",
    "empty_strided new_empty new_empty_strided as_strided_ set_ resize_ _local_scalar_dense",
)
"""Operations that launch nothing, besides those that only view."""

_FILLS = _words(
    "zero_ fill_ zeros ones full zeros_like ones_like full_like new_zeros new_ones new_full arange",
    "scalar_tensor bernoulli_ uniform_ normal_ rand rand_like randn randperm",
)
"""What writes a tensor without reading any."""

_POOLING = _words("max_pool avg_pool adaptive_ _adaptive")
_COPIES = _words(
    "_to_copy clone copy_ cat constant_pad roll index gather scatter stack pixel_ reflection_pad",
    "replication_pad repeat flip embedding upsample _upsample grid_sampler slice_ select_ im2col",
    "col2im tril triu unfold",
)
_POINTWISE = _words(
    "sum mean var std linalg_vector_norm norm amax amin max min cumsum argmax argmin any all topk",
    "sort _softmax _log_softmax nll_loss native_dropout hardswish hardsigmoid hardtanh leaky_relu",
    "elu silu gelu mish threshold softplus prelu _prelu glu mse_loss smooth_l1 logsumexp lerp",
    "where binary_cross_entropy _amp_ _foreach_ linspace masked_fill",
)
_RULES: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("pooling", _POOLING),
    ("copy", _COPIES),
    ("pointwise", _POINTWISE),
)
"""Kinds by how the names of operations begin; other elementwise ones are known by torch's tag."""

_NORMS = ("native_batch_norm", "cudnn_batch_norm", "batch_norm", "_batch_norm", "native_group_norm")
_LAYER_NORMS = ("native_layer_norm", "_fused_rms_norm", "rms_norm")
_PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}
"""Products of matrices, and where the first of the two stands among the arguments."""


class KernelRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the kernels of a step, while it is the active mode.

    `batch_size` is the prime number of images at once; `part` the part of the step, from 0, as
    `bench.prediction.simulate` enters it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.batch_size = 1
        self.part = 0
        self._kernels: Counter[Kernel] = Counter()
        self._last: Counter[Kernel] = Counter()
        self._unknown: set[str] = set()

    def end_step(self) -> None:
        """A step has ended: it is the one that counts, unless another follows."""
        self._last, self._kernels = self._kernels, Counter()

    def trace(self) -> KernelTrace:
        """The kernels of the last whole step, or of all that was recorded if none has ended."""
        kernels = (self._last or self._kernels).items()
        return KernelTrace(
            tuple(replace(kernel, count=count) for kernel, count in kernels),
            tuple(sorted(self._unknown)),
        )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation, and record the kernels it would launch."""
        out = func(*args, **(kwargs or {}))
        library, _, name = func._schema.name.partition("::")
        if library not in ("prim", "profiler") and not func.is_view and name not in _FREE:
            self._record(func, name, args, kwargs or {}, out)
        return out

    def _record(self, func: Any, name: str, args: Any, kwargs: dict[str, Any], out: Any) -> None:
        if name == "convolution":
            self._convolution(args[0], args[1], out, args[8], transposed=args[6])
            if args[2] is not None:
                self._add("pointwise", [out, out])
            return
        if name == "convolution_backward":
            grad, images, weight = args[:3]
            for wanted in args[10][:2]:
                if wanted:
                    self._convolution(images, weight, grad, args[9], transposed=args[7])
            if args[10][2]:
                self._add("pointwise", [grad])
            return
        if name in _PRODUCTS:
            first, second = args[_PRODUCTS[name] :][:2]
            self._product(first, second, out)
            return
        inputs, outputs = _tensors((args, kwargs)), _tensors(out)
        if "scaled_dot_product" in name:
            self._attention(args, inputs + outputs, backward="backward" in name)
        elif name.startswith((*_NORMS, *_LAYER_NORMS)):
            self._norm(name, inputs, outputs)
        elif name.startswith("_fused_") and name.endswith("_"):
            # Weights, gradients and state: all are read, and all but the gradients written.
            gradients = [t for t in args[1] if isinstance(t, Tensor)]
            launches = math.ceil(len(gradients) / _TENSORS_A_LAUNCH)
            self._add("optimizer", [*inputs, *inputs], less=gradients, count=launches)
        else:
            if name.endswith("_"):
                outputs = _tensors(args[:1])
                inputs = inputs[1:] if name == "copy_" else inputs
            self._add(self._kind(func, name), [] if name in _FILLS else inputs, outputs)

    def _kind(self, func: Any, name: str) -> Kind:
        for kind, starts in _RULES:
            if name.startswith(starts):
                return kind
        if name in _FILLS or torch.Tag.pointwise in func.tags:
            return "pointwise"
        self._unknown.add(str(func._schema.name))
        return "unknown"

    def _convolution(
        self, images: Tensor, weight: Tensor, out: Tensor, groups: int, *, transposed: bool
    ) -> None:
        if transposed:  # it is the gradient of a convolution from its output to its input
            images, out = out, images
        outputs, inputs, *window = weight.shape
        taps = math.prod(window)
        kind: Kind = "convolution" if taps > 1 or inputs <= 4 else "1x1 convolution"
        if groups > 1:
            one_each = inputs == 1 and outputs == groups
            kind = "depthwise convolution" if one_each else "grouped convolution"
        flops = 2 * out.numel() * inputs * taps
        widths = (inputs, outputs // groups, groups)
        self._add(kind, [images, weight, out], flops=flops, widths=widths)

    def _product(self, first: Tensor, second: Tensor, out: Tensor) -> None:
        rows, shared, columns = *first.shape[-2:], second.shape[-1]
        many = first.shape[0] if first.ndim == 3 else 1
        kind: Kind = "attention" if many > 1 else "matrix product"
        fixed = sorted(side for side in (rows, shared, columns) if side % self.batch_size)
        inputs, outputs = (columns, shared) if many > 1 else (*fixed, 1, 1)[:2]
        flops = 2 * many * rows * shared * columns
        self._add(kind, [first, second, out], flops=flops, widths=(inputs, outputs, 1))

    def _attention(self, args: Any, tensors: Sequence[Tensor], *, backward: bool) -> None:
        query, key = args[1:3] if backward else args[:2]
        images, heads, length, width = query.shape
        flops = 4 * images * heads * length * key.shape[2] * width
        moved = [t for t in tensors if t.ndim == 4]
        # Backward recomputes the scores: five products where forward has two.
        self._add("attention", moved, flops=flops * 5 // 2 if backward else flops)

    def _norm(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Batch norm passes twice over its inputs, once for statistics; so does backward."""
        layer, backward = name.startswith(_LAYER_NORMS), "backward" in name
        read = [t for t in inputs if t.ndim >= 2][: 2 if backward else 1]
        written = [t for t in outputs if t.ndim >= 2][:1]
        passes = 1 if layer and not backward else 2
        self._add("layer norm" if layer else "batch norm", [*read * passes, *written])

    def _add(
        self,
        kind: Kind,
        moved: Iterable[Tensor],
        written: Iterable[Tensor] = (),
        *,
        less: Iterable[Tensor] = (),
        flops: int = 0,
        count: int = 1,
        widths: tuple[int, int, int] = (0, 0, 1),
    ) -> None:
        """Count one operation of `count` launches, which moves each tensor as often as it stands
        there, but for `less`."""
        moved = [*moved, *written]
        if not moved:
            return
        fixed = image = 0
        for sign, tensors in ((1, moved), (-1, less)):
            for tensor in tensors:
                size = _bytes(tensor)
                if size % self.batch_size:
                    fixed += sign * size
                else:
                    image += sign * size // self.batch_size
        grows = flops % self.batch_size == 0
        kernel = Kernel(
            "optimizer" if self.part == OPTIMIZER else kind,
            all(t.element_size() == 2 for t in moved if t.is_floating_point()),
            fixed_flops=0 if grows else flops // count,
            image_flops=flops // self.batch_size // count if grows else 0,
            fixed_bytes=fixed // count,
            image_bytes=image // count,
            inputs=widths[0],
            outputs=widths[1],
            groups=widths[2],
        )
        self._kernels[kernel] += count


_TENSORS_A_LAUNCH = 30
"""Tensors per launch of a fused optimizer with five lists of them (`depth_to_max_tensors` in
torch's `aten/src/ATen/native/cuda/MultiTensorApply.cuh`)."""


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_iter(value) if isinstance(leaf, Tensor)]


def _bytes(tensor: Tensor) -> int:
    """What reading or writing a tensor moves: of an expanded one, only what is there."""
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(size for size, stride in pairs if stride) * tensor.element_size()

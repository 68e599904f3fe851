"""CUDA tensors without a GPU: torch's own rules for them, and no numbers.

torch's `FakeTensorMode` gives tensors a CUDA device without any memory, and picks
autocast types, cuDNN's batch norm and layouts as on a card. Three things do not work without a
card. They are patched here for the whole process, so call `install` only in a process that does
nothing else; what depends on torch's version is in `bench.prediction.torch_private`:

- The backward pass asks CUDA for its streams. A dummy accelerator keeps autograd from asking. Its
  engine sees fake tensors on the CPU; the operations that it calls see them on the card.
- `torch.autocast("cuda")` switches itself off; `autocast` here sets the same state directly.
- `scaled_dot_product_attention` falls back to the kernel that stores all scores; `_attention` here
  makes the choice of a current card.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.prediction.torch_private import (
    DEVICE_HANDLERS,
    EFFICIENT_ATTENTION,
    FLASH_ATTENTION,
    FakeTensor,
    FakeTensorMode,
    do_without_card,
)

_ask_device = torch.ops.prim.device.default
_engine_runs = False
"""Whether autograd's engine is running and no operation that it called: it must see the CPU."""


def install() -> None:
    """Let autograd run on fake CUDA tensors for the rest of this process; may be called again.

    Raises:
        Refused: this torch is too old for it on this system.
    """
    if DEVICE_HANDLERS.get(_ask_device) is _device_of:
        return
    do_without_card()
    # The engine would start a thread per device, in which no fake mode is active.
    torch.autograd.set_multithreading_enabled(False)
    mode: Any = FakeTensorMode
    # As without any accelerator, of which the dummy is one: no device may be initialised.
    mode.avoid_device_init = property(lambda self: True)
    on_tensor, on_mode = FakeTensor.__torch_dispatch__.__func__, mode.dispatch  # type: ignore[attr-defined]
    backward: Any = Tensor.backward

    def tensor_dispatch(cls: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is _ask_device:
            return _device_of(args)
        return on_tensor(cls, func, types, args, kwargs or {})

    def mode_dispatch(self: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is _ask_device:
            return _device_of(args)
        kwargs = _on_card(kwargs or {}) if _engine_runs else kwargs
        # Kernels choose layouts and types by device, so an operation must see the card again.
        with _engine_state(False):
            return on_mode(self, func, types, args, kwargs)

    def engine_backward(*args: Any, **options: Any) -> None:
        with _engine_state(True):
            backward(*args, **options)

    # A fake tensor is asked for its device in three places; all must give the same answer.
    DEVICE_HANDLERS[_ask_device] = _device_of
    FakeTensor.__torch_dispatch__ = classmethod(tensor_dispatch)  # type: ignore[assignment]
    mode.dispatch = mode_dispatch
    Tensor.backward = engine_backward  # type: ignore[method-assign]
    functional.scaled_dot_product_attention = _attention


@contextlib.contextmanager
def autocast(dtype: torch.dtype | None) -> Iterator[None]:
    """`torch.autocast("cuda", dtype)` that works without a card; None is full precision."""
    if dtype is None:
        yield
        return
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", dtype)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])


def _batch_norm(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    epsilon: float,
) -> tuple[Tensor, ...]:
    statistics = weight.new_empty(weight.shape if training else 0)
    reserve = images.new_empty(0, dtype=torch.uint8)
    return torch.empty_like(images), statistics, torch.empty_like(statistics), reserve


def _batch_norm_backward(images: Tensor, grad: Tensor, weight: Tensor, *_: Any) -> Any:
    return torch.empty_like(images), torch.empty_like(weight), torch.empty_like(weight)


def _native_batch_norm(images: Tensor, *rest: Any) -> Any:
    if images.device.type != "cpu" or images.dtype != torch.float32:
        return torch.ops.aten.native_batch_norm.default(images, *rest)
    *_, training, _momentum, _epsilon = rest
    statistics = images.new_empty(images.shape[1] if training else 0)
    return torch.empty_like(images), statistics, torch.empty_like(statistics)


def _native_batch_norm_backward(
    grad: Tensor, images: Tensor, weight: Tensor | None, *others: Any
) -> Any:
    if images.dtype != torch.float32:
        return torch.ops.aten.native_batch_norm_backward.default(grad, images, weight, *others)
    wanted, channels = others[-1], images.new_empty(images.shape[1])
    rest = (torch.empty_like(channels) if want else None for want in wanted[1:])
    return torch.empty_like(grad), *rest


SHAPE_RULES: dict[Any, Any] = {
    torch.ops.aten.cudnn_batch_norm.default: _batch_norm,
    torch.ops.aten.cudnn_batch_norm_backward.default: _batch_norm_backward,
    torch.ops.aten.native_batch_norm.default: _native_batch_norm,
    torch.ops.aten.native_batch_norm_backward.default: _native_batch_norm_backward,
}
"""What batch norm returns: cuDNN's, and that of the CPU in float32. torch would derive it
from a decomposition, half the time of a DenseNet's simulation on a card, a quarter on the CPU."""


def _device_of(args: Any) -> torch.device:
    if args[0].fake_mode.in_kernel_invocation:
        return torch.device("meta")  # as torch's own handler: shapes are computed on meta tensors
    device: torch.device = args[0].fake_device
    return torch.device("cpu") if _engine_runs and device.type == "cuda" else device


def _on_card(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Put on the card what the engine creates for a tensor that it sees on the CPU."""
    device = kwargs.get("device")
    if device is not None and torch.device(device).type == "cpu":
        return kwargs | {"device": torch.device("cuda", 0)}
    return kwargs


@contextlib.contextmanager
def _engine_state(running: bool) -> Iterator[None]:
    global _engine_runs
    before, _engine_runs = _engine_runs, running
    try:
        yield
    finally:
        _engine_runs = before


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Flash attention where its conditions hold, else the memory-efficient kernel."""
    if torch.is_autocast_enabled("cuda") and query.dtype == torch.float32:
        dtype = torch.get_autocast_dtype("cuda")
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    half = query.dtype in (torch.float16, torch.bfloat16)
    if half and attn_mask is None and query.shape[-1] % 8 == 0 and query.shape[-1] <= 256:
        out: Tensor = FLASH_ATTENTION(query, key, value, dropout_p, is_causal, scale=scale)[0]
        return out
    bias = None
    if attn_mask is not None:
        # The kernel adds its mask to the scores, so a mask of booleans becomes one of numbers.
        if attn_mask.dtype == torch.bool:
            bias = torch.zeros(attn_mask.shape, dtype=query.dtype, device=query.device)
        else:
            bias = attn_mask.to(query.dtype)
        bias = bias.expand(*query.shape[:3], key.shape[2])
    out = EFFICIENT_ATTENTION(query, key, value, bias, True, dropout_p, is_causal, scale=scale)[0]
    return out

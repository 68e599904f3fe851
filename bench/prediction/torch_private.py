"""Names that torch keeps to itself and a simulation needs: the only place that knows them.

| Name | From torch | Before |
| --- | --- | --- |
| `FakeTensorMode` and its handlers, `TorchDispatchMode`, `tree_iter` | 2.6, the oldest tried | – |
| the two kernels of `scaled_dot_product_attention` | 2.6, the oldest tried | – |
| `_setup_privateuseone_for_python_backend` | 2.10 | `_swap_guards` |
| `_select_conv_backend` | 2.6, the oldest tried | – |
"""

import ctypes
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.utils.backend_registration as backends
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from bench.errors import Refused

__all__ = [
    "DEVICE_HANDLERS",
    "EFFICIENT_ATTENTION",
    "FLASH_ATTENTION",
    "FakeTensor",
    "FakeTensorMode",
    "TorchDispatchMode",
    "do_without_card",
    "tree_iter",
]

DEVICE_HANDLERS: dict[Any, Any] = fake_tensor._DISPATCH_META_HANDLERS
"""What a fake tensor answers to questions that are no computation, such as its device."""

FLASH_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention
EFFICIENT_ATTENTION = torch.ops.aten._scaled_dot_product_efficient_attention

_DUMMY = "nogpu"
_GUARDS = "_ZN3c104impl26device_guard_impl_registryE"
"""`c10::impl::device_guard_impl_registry`: a pointer per kind of device, to the object that asks it
for streams (torch 2.6 to 2.9, `c10/core/impl/DeviceGuardImplInterface.h`)."""


def do_without_card() -> None:
    """Keep autograd and convolutions from asking a CUDA card, for the rest of this process.

    An accelerator is registered that has no streams, so that autograd asks CUDA for none.

    Raises:
        Refused: this torch has no way to do so.
    """
    register = getattr(backends, "_setup_privateuseone_for_python_backend", None)
    if register is not None:
        register(_DUMMY)
    else:
        _swap_guards()
    torch._C._select_conv_backend = _select_as_float16


def _swap_guards() -> None:
    """Register that accelerator before torch 2.10, when only C++ could.

    The dummy gets CUDA's guard, which counts no cards once they are hidden; CUDA gets the CPU's,
    which does nothing. A build without CUDA has no accelerator, so it needs no dummy.
    """
    kinds: Any = torch._C._autograd.DeviceType
    cpu, cuda, dummy = int(kinds.CPU), int(kinds.CUDA), int(kinds.PrivateUse1)
    suffix = "dylib" if sys.platform == "darwin" else "so"
    library = Path(torch.__file__).parent / "lib" / f"libc10.{suffix}"
    try:
        guards = (ctypes.c_void_p * (dummy + 1)).in_dll(ctypes.CDLL(str(library)), _GUARDS)
    except (OSError, ValueError) as error:  # Windows gives its symbols other names
        raise Refused(
            f"memory prediction needs torch 2.10 or newer here; this is torch {torch.__version__}."
        ) from error
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # read by CUDA when it first counts its cards
    if guards[cuda]:
        backends.rename_privateuse1_backend(_DUMMY)
        module: Any = ModuleType(_DUMMY)
        module.is_available, module.device_count = lambda: False, lambda: 0
        torch._register_device_module(_DUMMY, module)
        guards[dummy] = guards[cuda]
    guards[cuda] = guards[cpu]


_select_conv_backend: Any = torch._C._select_conv_backend


def _select_as_float16(*tensors: Any, **options: Any) -> Any:
    """Which library convolves. For bfloat16 cuDNN is taken only if the card is new enough, so not
    without one; for float16 it is on every card."""

    def half(value: Any) -> Any:
        is_bfloat16 = isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16
        return value.to(torch.float16) if is_bfloat16 else value

    as_float16 = {name: half(value) for name, value in options.items()}
    return _select_conv_backend(*map(half, tensors), **as_float16)

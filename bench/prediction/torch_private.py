"""Names that torch keeps to itself and a simulation needs: the only place that knows them.

| Name | From torch | Before |
| --- | --- | --- |
| `FakeTensorMode` and its handlers, `TorchDispatchMode`, `tree_iter` | 2.6, the oldest tried | – |
| the two kernels of `scaled_dot_product_attention` | 2.6, the oldest tried | – |
| `_select_conv_backend`, `_conv_determine_backend_memory_format` | 2.6, the oldest tried | – |
| `_setup_privateuseone_for_python_backend` | 2.10 | `_swap_guards` |
"""

import ctypes
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.utils.backend_registration as backends
from torch._prims_common import suggest_memory_format
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
    if register is None or not (torch.version.cuda or torch.version.hip):
        _swap_guards()
    core: Any = torch._C
    core._select_conv_backend = lambda *_, **__: core._ConvBackend.Cudnn
    core._conv_determine_backend_memory_format = _cudnn_layout


def _swap_guards() -> None:
    """Where only C++ can register an accelerator (before torch 2.10), or CUDA has no guard (a build
    without CUDA).

    CUDA gets the CPU's guard, which does nothing. Autograd would take CUDA as the accelerator of a
    build with CUDA; a dummy goes before it, whose guard, CUDA's own, counts no cards once they are
    hidden.
    """
    kinds: Any = torch._C._autograd.DeviceType
    cpu, cuda, dummy = int(kinds.CPU), int(kinds.CUDA), int(kinds.PrivateUse1)
    suffix = "dylib" if sys.platform == "darwin" else "so"
    library = Path(torch.__file__).parent / "lib" / f"libc10.{suffix}"
    try:
        guards = (ctypes.c_void_p * (dummy + 1)).in_dll(ctypes.CDLL(str(library)), _GUARDS)
    except (OSError, ValueError) as error:  # Windows gives its symbols other names
        raise Refused(
            f"memory prediction does not work with torch {torch.__version__} on this system; "
            "install torch 2.10 or newer, built with CUDA."
        ) from error
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # read by CUDA when it first counts its cards
    if guards[cuda]:
        backends.rename_privateuse1_backend(_DUMMY)
        module: Any = ModuleType(_DUMMY)
        module.is_available, module.device_count = lambda: False, lambda: 0
        torch._register_device_module(_DUMMY, module)
        guards[dummy] = guards[cuda]
    guards[cuda] = guards[cpu]


def _cudnn_layout(images: Any, weight: Any, _backend: object) -> torch.memory_format:
    """The memory format of a convolution's results on a card, which torch would ask a card (for
    bfloat16) or cuDNN for (`aten/src/ATen/native/ConvUtils.h`)."""
    formats = (suggest_memory_format(images), suggest_memory_format(weight))
    return torch.channels_last if torch.channels_last in formats else torch.contiguous_format

"""A whole training step on fake CUDA tensors, on a machine without a GPU.

`python tests/fake_cuda.py` trains and evaluates every model of `CASES` and prints one JSON object:
"" for a case that works, else its error. No figure is computed, but every operation checks that its
tensors are on one device, as CUDA would; the cases of `FAULTS` prove it.

To run the backward pass, two parts of torch are patched for this whole process (torch 2.14): a
dummy accelerator keeps autograd from asking CUDA for its streams, and its engine, but no operation
that it calls, is told that fake tensors are on the CPU. So run this as a process of its own.
"""

import contextlib
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
import torch._subclasses.fake_tensor as fake
import torch.utils.backend_registration as backends
from torch import Tensor, nn

from bench.data.batches import ResidentSplit, Transform
from bench.device import Device
from bench.records import DeviceFacts
from bench.train import loop
from bench.train.clock import StepClock
from bench.train.optimizers import open_optimizer
from bench.train.precision import Precision
from models.building.network import build_network
from models.zoo import resolve

CUDA = torch.device("cuda", 0)
CASES = {"resnet18": 32, "googlenet": 64, "densenet121": 32, "inception_v3": 299}
"""Models and image sizes."""

IMAGES, BATCH = 5, 2


class FakeCuda(Device):
    """A card whose moments are step numbers."""

    kind = "cuda"
    marks = 0

    def facts(self) -> DeviceFacts:
        return DeviceFacts("cuda:0", "cuda", "fake", 2**30, None)

    def synchronize(self) -> None: ...

    def mark(self) -> int:
        self.marks += 1
        return self.marks

    def elapsed(self, start: int, end: int) -> float:
        return float(end - start)

    def limit_memory(self, budget_bytes: int | None) -> int | None:
        return budget_bytes

    def reset_peak(self) -> None: ...

    def peak_memory(self) -> int | None:
        return None


def works(model: str, size: int, fault: "Callable[[Parts], None]" = lambda parts: None) -> None:
    """Two training steps and an evaluation; a batch of one is dropped from the training."""
    with fake.FakeTensorMode():
        parts = Parts(model, size)
        fault(parts)
        order = torch.Generator().manual_seed(0)
        batches = parts.split.shuffled(BATCH, order, augment=True)
        precision = Precision("fp32", None, "cuda", None)
        clock = StepClock(parts.device, 2)
        trained = loop.train_pass(parts.network, batches, parts.optimizer, precision, clock)
        assert trained.images == IMAGES - 1
        tests = parts.split.in_order(BATCH)
        tested = loop.evaluation_pass(parts.network, tests, precision, CUDA)
        assert tested.images == IMAGES


class Parts:
    """What a trial has on its card."""

    def __init__(self, model: str, size: int) -> None:
        grey = (0.5, 0.5, 0.5)
        self.device = FakeCuda(CUDA)
        self.network = build_network(resolve(model)[0], 10)
        move(self.network, CUDA)
        self.optimizer = open_optimizer("adam", self.network.parameters(), 1e-3)
        self.split = ResidentSplit(
            torch.zeros((IMAGES, 32, 32, 3), dtype=torch.uint8),
            torch.zeros(IMAGES, dtype=torch.int64),
            Transform(size, grey, grey, CUDA, channels_last=True),
        )


def move(module: nn.Module, device: torch.device) -> None:
    """As `Module.to` does in `make_network`, which fake tensors refuse."""
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    layout = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
                    moved = tensor.detach().to(device, memory_format=layout)
                    tensors[name] = nn.Parameter(moved) if tensor.requires_grad else moved


def labels_on_cpu(parts: Parts) -> None:
    parts.split.labels = torch.zeros(IMAGES, dtype=torch.int64)


def one_layer_on_cpu(parts: Parts) -> None:
    move(parts.network.module.get_submodule("fc"), torch.device("cpu"))


def constants_on_cpu(parts: Parts) -> None:
    make: Any = Transform._constant
    stay = mock.patch.object(Transform, "_constant", lambda *args: make(*args).cpu())
    stay.start()
    mocks.callback(stay.stop)


FAULTS = {f.__name__: f for f in (labels_on_cpu, one_layer_on_cpu, constants_on_cpu)}
mocks = contextlib.ExitStack()


def sums_on_the_card(sums: Any) -> loop.Pass:
    """Instead of `Sums.result`: fake sums have no value, but a device."""
    tensors: dict[str, Tensor] = {"correct": sums._correct, **sums._losses}
    assert {t.device for t in tensors.values()} == {CUDA}, tensors
    return loop.Pass(sums._images, 0.0, 0.0, {})


def patch_torch() -> None:
    """Let autograd run on fake CUDA tensors; for good."""
    backends._setup_privateuseone_for_python_backend("nogpu")
    torch.autograd.set_multithreading_enabled(False)
    fake.FakeTensorMode.avoid_device_init = property(lambda self: True)
    ask_device = torch.ops.prim.device.default
    on_tensor, on_mode = fake.FakeTensor.__torch_dispatch__.__func__, fake.FakeTensorMode.dispatch
    backward = Tensor.backward
    to_engine = False

    def device_of(args: Any) -> torch.device:
        if args[0].fake_mode.in_kernel_invocation:
            return torch.device("meta")
        return torch.device("cpu") if to_engine else args[0].fake_device

    def answered(cls: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is ask_device:
            return device_of(args)
        return on_tensor(cls, func, types, args, kwargs or {})

    def dispatched(mode: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is ask_device:
            return device_of(args)
        with said_to_be_on_the_cpu(False):
            return on_mode(mode, func, types, args, kwargs)

    def patched_backward(*args: Any, **options: Any) -> None:
        with said_to_be_on_the_cpu(True):
            backward(*args, **options)

    @contextlib.contextmanager
    def said_to_be_on_the_cpu(value: bool) -> Iterator[None]:
        nonlocal to_engine
        before, to_engine = to_engine, value
        try:
            yield
        finally:
            to_engine = before

    fake._DISPATCH_META_HANDLERS[ask_device] = device_of
    fake.FakeTensor.__torch_dispatch__ = classmethod(answered)
    fake.FakeTensorMode.dispatch = dispatched
    Tensor.backward = patched_backward
    loop.Sums.result = sums_on_the_card
    nn.init.trunc_normal_ = lambda tensor, *_args, **_options: tensor  # it looks at its values


def error_of(call: Callable[[], None]) -> str:
    try:
        call()
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return f"{type(error).__name__}: {error}"
    finally:
        mocks.close()
    return ""


def main() -> None:
    patch_torch()
    found = {m: error_of(lambda m=m: works(m, CASES[m])) for m in CASES}
    for name, fault in FAULTS.items():
        found[name] = error_of(lambda fault=fault: works("resnet18", 32, fault))
    print(json.dumps(found))


if __name__ == "__main__":
    main()

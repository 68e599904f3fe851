"""A training step on fake tensors: the memory that it allocates and frees, without any device.

The step is the training loop's (`bench.training.loop`), with a timer that records phases instead of
times. The batch has a prime number of images: an allocation whose size is a multiple of it grows
with the batch, any other does not, so one simulation serves every batch size. Two steps are taken,
because the first has no optimizer state in its forward pass.

Not simulated: workspaces of cuDNN and cuBLAS, and the CUDA context, for which
`bench.prediction.memory` keeps a reserve.
"""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.data.loader import Split, Transform, blank_split
from bench.errors import TrialFailed, first_line
from bench.prediction import fake_cuda
from bench.prediction.kernels import KernelRecorder
from bench.prediction.torch_private import FakeTensorMode, TorchDispatchMode, tree_iter
from bench.records.memory_trace import Allocation, Category, Trace
from bench.records.records import DatasetFacts, Setting
from bench.training.loop import Batch, train_pass
from bench.training.optimizers import open_updates, optimizer_of
from bench.training.precision import Precision, autocast_dtype
from models.building.network import Network

BUCKET_BYTES = 25 * 2**20

Steps = Callable[[nn.Module, "MemoryTrace", int], None]
"""Trains a fake module for some steps at a batch size, and sets the trace's category by phase."""

_CONVOLUTION_BACKWARD = torch.ops.aten.convolution_backward.default

_PHASES: tuple[Category, ...] = ("data", "activations", "temporaries", "temporaries", "temporaries")
"""The category of allocations in each part of a step: data, forward, backward, optimizer, rest."""


def simulate(
    network: Network,
    setting: Setting,
    *,
    classes: int,
    dataset: DatasetFacts | None = None,
    device: str = "cuda",
    kernels: KernelRecorder | None = None,
) -> Trace:
    """The memory of the harness's own training step, for any batch size: of one of the parts, where
    the setting has a batch trained in several.

    Args:
        network: built on the CPU (see `building`); it cannot be used afterwards.
        setting: image size, optimizer, precision, and memory format of weights and images.
        classes: outputs of the network.
        dataset: if given, its images take what they take of the device in a run.
        device: `cuda`, or `cpu` to compare with real steps.
        kernels: if given, records the kernels of the second step.

    Raises:
        TrialFailed: the model cannot be simulated; the message says why.
    """
    place, channels_last = _place(device), setting.channels_last

    def steps(module: nn.Module, memory: MemoryTrace, batch_size: int) -> None:
        memory.category = "data"
        images_of_update = batch_size * setting.accumulate
        splits = [] if dataset is None else _resident(dataset, setting, place)

        def batch() -> Batch:
            if splits:
                return splits[0].first(images_of_update)
            shape = (images_of_update, 3, setting.image_size, setting.image_size)
            layout = torch.channels_last if channels_last else torch.contiguous_format
            images = torch.empty(shape, device=place).contiguous(memory_format=layout)
            return images, torch.zeros(images_of_update, dtype=torch.int64, device=place)

        optimizer = optimizer_of(setting, module, batch_size)
        memory.category = "gradients"
        buckets = _buckets(module, place) if setting.ranks > 1 else []
        memory.category = "optimizer state"
        after = open_updates(setting, module, optimizer, updates=1000)
        memory.watch(optimizer)
        batches = (batch() for _ in range(2))
        precision = FakePrecision(
            setting.precision, autocast_dtype(setting.precision), device, None
        )
        timer = PhaseTimer(memory, kernels)
        parts = setting.accumulate
        train_pass(network, batches, optimizer, precision, timer, schedule=after, accumulate=parts)
        buckets.clear()

    return trace(
        network,
        steps,
        channels_last=channels_last,
        classes=classes,
        device=device,
        kernels=kernels,
    )


def _buckets(module: nn.Module, place: torch.device) -> list[Tensor]:
    """What ranks sum their gradients in: torch's DistributedDataParallel copies them, the last
    layers first, into buckets of 25 MiB (https://docs.pytorch.org/docs/stable/notes/ddp.html)."""
    sizes = [0]
    for parameter in reversed(list(module.parameters())):
        sizes[-1] += parameter.numel() * parameter.requires_grad
        if sizes[-1] * 4 >= BUCKET_BYTES:
            sizes.append(0)
    return [torch.empty(size, device=place) for size in sizes if size]


def _place(device: str) -> torch.device:
    # With a number: on some builds a fake CUDA device without one would become the CPU.
    return torch.device("cuda", 0) if device == "cuda" else torch.device(device)


def _resident(dataset: DatasetFacts, setting: Setting, place: torch.device) -> list[Split]:
    layout = setting.channels_last
    transform = Transform(setting.image_size, dataset.mean, dataset.std, place, layout)
    return [blank_split(count, dataset, transform) for count in dataset.parts.values()]


def trace(
    module: nn.Module,
    steps: Steps,
    *,
    channels_last: bool,
    classes: int,
    device: str = "cuda",
    kernels: KernelRecorder | None = None,
) -> Trace:
    """The memory that `steps` of a module take, and their kernels if something records them; raises
    TrialFailed if they cannot be simulated."""
    if device == "cuda":
        fake_cuda.install()
    # A prime that does not divide the number of classes: the last layer must not seem to grow.
    batch_size = next(prime for prime in (1009, 1013) if classes % prime)
    if kernels is not None:
        kernels.batch_size = batch_size
    try:
        with (
            FakeTensorMode(allow_non_fake_inputs=True),
            MemoryTrace(_place(device)) as memory,
            kernels or contextlib.nullcontext(),
        ):
            memory.category = "parameters"
            _make_fake(module, _place(device), channels_last)
            steps(module, memory, batch_size)
            allocations: Trace = memory.trace(batch_size)
            return allocations
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise TrialFailed(f"its step cannot be simulated: {reason}") from error


@contextlib.contextmanager
def building() -> Iterator[None]:
    """Build modules on the CPU quickly within the block: weights stay uninitialised."""
    names = [name for name in dir(nn.init) if name.endswith("_") and not name.startswith("_")]
    initialisers: dict[str, Any] = dict.fromkeys(names, _unchanged)
    with mock.patch.multiple(nn.init, **initialisers), _SkipInitialisers():  # type: ignore[no-untyped-call]
        yield


class MemoryTrace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records allocation and release of every storage on a device, while it is the active mode.

    Allocations count as `category` until they turn out to be gradients or optimizer state.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.category: Category = "temporaries"
        self._device = device
        self._bytes: list[int] = []
        self._categories: list[Category] = []
        self._events: list[int] = []
        self._alive: dict[int, tuple[int, weakref.ref[Any]]] = {}
        self._optimizer: Optimizer | None = None

    def watch(self, optimizer: Optimizer) -> None:
        """Recognise this optimizer's state, and its parameters' gradients."""
        self._optimizer = optimizer

    def settle(self) -> None:
        """Give gradients and optimizer state that exist now their own category."""
        if self._optimizer is None:
            return
        for group in self._optimizer.param_groups:
            for parameter in group["params"]:
                self._recategorise(parameter.grad, "gradients")
        for state in self._optimizer.state.values():
            for value in state.values():
                self._recategorise(value, "optimizer state")

    def trace(self, batch_size: int) -> Trace:
        """The recorded steps, whose batch had that prime size."""
        allocations = (
            Allocation(0, size // batch_size, category)
            if size % batch_size == 0
            else Allocation(size, 0, category)
            for size, category in zip(self._bytes, self._categories, strict=True)
        )
        return Trace(tuple(allocations), tuple(self._events))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation, and record its outputs."""
        name = func._schema.name
        if name.startswith("aten::_fused_") and name.endswith("_"):
            return None  # an optimizer's fused kernel works in place, and not all have fake ones
        out = fake_cuda.SHAPE_RULES.get(func, func)(*args, **(kwargs or {}))
        for value in tree_iter(out):
            if isinstance(value, Tensor):
                self._record(value)
        if func is _CONVOLUTION_BACKWARD and self._device.type == "cpu" and out[1] is not None:
            # oneDNN computes the weights' gradient in its own layout, and torch copies it twice.
            self._record_workspace(2 * out[1].untyped_storage().nbytes())
        return out

    def _record_workspace(self, size: int) -> None:
        """Bytes that a kernel takes while it runs."""
        self._events.append(len(self._bytes))
        self._events.append(~len(self._bytes))
        self._bytes.append(size)
        self._categories.append("temporaries")

    def _record(self, tensor: Tensor) -> None:
        if tensor.device.type != self._device.type:
            return
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        alive = self._alive.get(key)
        # Views and in-place operations return storages that are recorded already. The identity is
        # checked as well, because an id is reused once its object is gone.
        if alive is not None and alive[1]() is storage:
            if self._bytes[alive[0]] == size:
                return
            self._events.append(~alive[0])  # resized in place
        number = len(self._bytes)
        self._bytes.append(size)
        self._categories.append(self.category)
        self._events.append(number)
        # The storage's Python object lives as long as the storage does.
        self._alive[key] = (number, weakref.ref(storage, lambda _: self._freed(key, number)))

    def _freed(self, key: int, number: int) -> None:
        alive = self._alive.get(key)
        if alive is not None and alive[0] == number:  # else it was resized since
            del self._alive[key]
            self._events.append(~number)

    def _recategorise(self, value: Any, category: Category) -> None:
        if isinstance(value, Tensor):
            alive = self._alive.get(id(value.untyped_storage()))
            if alive is not None:
                self._categories[alive[0]] = category


class PhaseTimer:
    """A `bench.training.loop.Timer` that tells those who record which phase of the step begins."""

    def __init__(self, memory: MemoryTrace, kernels: KernelRecorder | None = None) -> None:
        self._memory = memory
        self._kernels = kernels
        self._part = 0

    def start(self) -> None:
        """The first step begins."""
        self._enter(0)

    def part(self) -> None:
        """A part of a step has ended."""
        self._enter(self._part + 1)

    def again(self) -> None:
        """Another forward pass of the same step begins."""
        self._enter(1)

    def step(self) -> None:
        """A step has ended; the next one begins."""
        if self._kernels is not None:
            self._kernels.end_step()
        self._enter(0)

    def _enter(self, part: int) -> None:
        self._part = part
        if self._kernels is not None:
            self._kernels.part = part
        # Gradients and state were created in the phase that ends, under its category.
        self._memory.settle()
        self._memory.category = _PHASES[part]


class FakePrecision(Precision):
    """Autocast that needs no card. Loss scaling is left out: a scale takes no memory."""

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The context that forward passes and losses run in."""
        if self.device_type == "cuda":
            return fake_cuda.autocast(self.autocast_dtype)
        return super().autocast()


class _SkipInitialisers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Skips operations that fill large tensors in place, so that their pages are never touched."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        first = args[0] if args else None
        in_place = func._schema.name.endswith("_")
        if in_place and isinstance(first, Tensor) and first.numel() > 4096:
            return first
        return func(*args, **(kwargs or {}))


def _unchanged(tensor: Tensor, *_args: Any, **_options: Any) -> Tensor:
    return tensor


def _make_fake(module: nn.Module, device: torch.device, channels_last: bool) -> None:
    """Give a real module fake weights on a device; shared weights stay shared."""
    fakes: dict[int, Tensor] = {}
    originals: list[Tensor] = []  # kept alive, so that no id is reused

    def fake(tensor: Tensor) -> Tensor:
        if id(tensor) not in fakes:
            originals.append(tensor)
            layout = torch.channels_last if channels_last and tensor.ndim == 4 else None
            strides = _strides(tensor, layout)
            empty = torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype, device=device)
            is_parameter = isinstance(tensor, nn.Parameter)
            fakes[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if is_parameter else empty
        return fakes[id(tensor)]

    for part in module.modules():
        parameters = part.named_parameters(recurse=False, remove_duplicate=False)
        buffers = part.named_buffers(recurse=False, remove_duplicate=False)
        for name, tensor in (*parameters, *buffers):
            setattr(part, name, fake(tensor))


def _strides(tensor: Tensor, layout: torch.memory_format | None) -> tuple[int, ...]:
    if layout is None:
        return tensor.stride()
    return torch.empty(tensor.shape, device="meta").contiguous(memory_format=layout).stride()

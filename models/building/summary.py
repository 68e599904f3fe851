"""Parameters, GMACs and layers of a model, counted on the meta device without running it.

GMACs are half of the floating-point operations that torch's `FlopCounterMode` counts in
convolutions and matrix products, for one image, in inference (no auxiliary heads). This is
torchvision's convention; its published figures are the check.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.records.records import Layer, ModelDescribed
from models.building.heads import IMAGENET_CLASSES
from models.building.network import BATCH_NORMS, build_network
from models.entry import Entry

Shapes = tuple[tuple[int, ...], tuple[int, ...]]
"""Of a part's first input and of its output, without the batch."""

_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_KINDS: tuple[tuple[str, tuple[type[nn.Module], ...]], ...] = (
    ("convolution", (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)),
    ("linear", (nn.Linear,)),
    ("normalisation", (*BATCH_NORMS, *_INSTANCE_NORMS, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)),
)


def describe(entry: Entry, classes: int, image_size: int) -> ModelDescribed:
    """Count a model for `classes` at `image_size` pixels per side, and in its original form.

    Raises:
        Exception: whatever the model raises when an image of that size is too small for it.
    """
    with torch.device("meta"):
        original = build_network(entry, IMAGENET_CLASSES).module
        trained = build_network(entry, classes).module
    shapes = _shapes(trained, image_size, training=True)
    with _recorded_shapes(trained) as in_inference:
        by_layer, total = _flops(trained, image_size)
    auxiliary = _only_in_training(trained, shapes, in_inference)
    params_aux = sum(_params(trained.get_submodule(name)) for name in auxiliary)
    return ModelDescribed(
        model=entry.facts.name,
        image_size=image_size,
        params=_params(trained),
        params_aux=params_aux,
        params_imagenet=_params(original),
        params_by_kind=_by_kind(trained),
        gmacs=total / 2e9,
        gmacs_native=_flops(original, entry.facts.native_size)[1] / 2e9,
        weight_bytes=sum(t.nbytes for t in (*trained.parameters(), *trained.buffers())),
        layers=tuple(_layers(trained, shapes, by_layer, auxiliary)),
    )


def auxiliary_modules(module: nn.Module, image_size: int) -> list[str]:
    """Names of the top-level parts that run in training but not in inference: auxiliary heads."""
    shapes = (_shapes(module, image_size, training) for training in (True, False))
    return _only_in_training(module, *shapes)


def _only_in_training(
    module: nn.Module, training: dict[str, Shapes], inference: dict[str, Shapes]
) -> list[str]:
    with_weights = [
        n for n, child in module.named_children() if next(child.parameters(), None) is not None
    ]
    return [n for n in with_weights if n in training and n not in inference]


def _params(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _by_kind(module: nn.Module) -> dict[str, int]:
    counts = {kind: 0 for kind, _ in _KINDS} | {"other": 0}
    for part in module.modules():
        kind = next((kind for kind, types in _KINDS if isinstance(part, types)), "other")
        counts[kind] += sum(p.numel() for p in part.parameters(recurse=False))
    return counts


def _flops(module: nn.Module, image_size: int) -> tuple[dict[str, int], int]:
    """Floating-point operations of one inference, by dotted module name and in total."""
    root = type(module).__name__
    with FlopCounterMode(display=False) as counter:
        _infer(module, image_size)
    counts = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    prefix = f"{root}."
    by_layer = {n.removeprefix(prefix): c for n, c in counts.items() if n.startswith(prefix)}
    return by_layer, counter.get_total_flops()


def _infer(module: nn.Module, image_size: int) -> None:
    module.eval()
    with torch.no_grad():
        module(torch.empty(1, 3, image_size, image_size, device="meta"))


def _shapes(module: nn.Module, image_size: int, training: bool) -> dict[str, Shapes]:
    """Shapes of what goes into and comes out of every part in a forward pass, by name."""
    module.train(training)
    with _recorded_shapes(module) as shapes, torch.no_grad():
        module(torch.empty(2, 3, image_size, image_size, device="meta"))
    return shapes


@contextmanager
def _recorded_shapes(module: nn.Module) -> Iterator[dict[str, Shapes]]:
    """The same of every forward pass within the block."""
    shapes: dict[str, Shapes] = {}

    def recorder(name: str) -> Any:
        def hook(_module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                given = inputs[0].shape[1:] if inputs and isinstance(inputs[0], Tensor) else ()
                shapes[name] = tuple(given), tuple(output.shape[1:])

        return hook

    handles = [part.register_forward_hook(recorder(n)) for n, part in module.named_modules() if n]
    yield shapes
    for handle in handles:
        handle.remove()


def _layers(
    module: nn.Module, shapes: dict[str, Shapes], flops: dict[str, int], auxiliary: list[str]
) -> Iterator[Layer]:
    for name, part in module.named_modules():
        params = sum(p.numel() for p in part.parameters(recurse=False))
        if params and name:
            given, made = shapes.get(name, ((), ()))
            yield Layer(
                layer=name,
                type=type(part).__name__,
                params=params,
                gmacs=flops.get(name, 0) / 2e9,
                output_shape=made,
                auxiliary=name.partition(".")[0] in auxiliary,
                reached_share=_reached_share(part, given, made),
            )


def _reached_share(part: nn.Module, given: tuple[int, ...], made: tuple[int, ...]) -> float | None:
    """The share of a convolution's weights that meet a pixel, not only padding, at any place."""
    if not isinstance(part, nn.Conv2d) or len(given) != 3:
        return None
    if part.padding_mode != "zeros" or isinstance(part.padding, str):
        return 1.0
    share = 1.0
    for axis, kernel in enumerate(part.kernel_size):
        starts = [n * part.stride[axis] - part.padding[axis] for n in range(made[1 + axis])]
        steps = [tap * part.dilation[axis] for tap in range(kernel)]
        met = sum(any(0 <= start + step < given[1 + axis] for start in starts) for step in steps)
        share *= met / kernel
    return share

"""What training did to a network: weights and gradients before and after, and the effect of batch
norm's mode on accuracy.

All of it runs after the last epoch, where it disturbs no timing; before training, only the initial
weights are saved. They are restored at the end to compute the gradients at the start.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.loader import Split
from bench.records.files import atomic_file
from bench.records.records import EvaluationMode, HeldOut, LayerChange
from bench.training.checkpoint import write_state
from bench.training.loop import Batch, Sums
from bench.training.precision import Precision
from models.building.network import BATCH_NORMS, Network

CHANGED = 0.01
"""A weight counts as changed if it moved by more than this share of its layer's initial
root mean square."""

MODE_IMAGES = 1000
"""Evaluations in several modes use at most this many images."""

SMALL_BATCH = 4
"""A batch size whose own statistics are poor."""

_LOSS_SCALE = 1024.0
"""Keeps float16 gradients from vanishing in the one backward pass that is inspected."""

Weights = dict[str, Tensor]


def weighted_layers(network: Network) -> Weights:
    """The weights of convolutions and linear layers by name, in the order of the module tree, but
    for those that a layer computes, as with `weight_norm`."""
    return {
        name: part.weight
        for name, part in network.module.named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear) and isinstance(part.weight, nn.Parameter)
    }


def save_start(path: Path, network: Network) -> None:
    """Save the initial weights; raises Unsaved if they cannot be written."""
    write_state(path, {"weights": network.state_dict()})


def load_start(path: Path) -> Weights | None:
    """What `save_start` wrote, on the CPU; None if it is missing or unreadable."""
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        weights: Weights = values["weights"]
    except Exception:  # whatever is wrong with it, there is nothing to compare to
        return None
    return weights


def changes(network: Network, start: Weights, batch: Batch, precision: Precision) -> Iterator[Any]:
    """A `LayerChange` per layer, in order. Afterwards the network holds its initial weights.

    Args:
        network: after training.
        start: its initial state, from `load_start`.
        batch: images and labels for the gradients.
        precision: as in training.
    """
    layers = weighted_layers(network).items()
    moved = {name: _moved(weight, start[f"module.{name}.weight"]) for name, weight in layers}
    last = gradient_norms(network, batch, precision)
    network.load_state_dict(start)
    first = gradient_norms(network, batch, precision)
    for depth, (name, (relative, share)) in enumerate(moved.items(), 1):
        yield LayerChange(name, depth, relative, share, first[name], last[name])


def _moved(now: Tensor, before: Tensor) -> tuple[float, float]:
    """‖w - w₀‖ / ‖w₀‖, and the share of weights that moved by more than `CHANGED`."""
    after, start = now.detach().float().cpu(), before.float()
    step = (after - start).abs()
    scale = start.square().mean().sqrt()
    norm = float(start.norm())
    relative = float(step.norm()) / norm if norm else float("inf")
    return relative, float((step > CHANGED * scale).float().mean())


def gradient_norms(network: Network, batch: Batch, precision: Precision) -> dict[str, float]:
    """The Euclidean norm of each layer's gradient of the training loss (auxiliary heads included)
    on one batch. Weights, running statistics and random states are as before."""
    images, labels = batch
    scale = _LOSS_SCALE if precision.scaler else 1.0
    with torch.random.fork_rng(), _kept_buffers(network):
        network.train()
        network.zero_grad(set_to_none=True)
        with precision.autocast():
            loss = network.losses(images, labels).total
        (loss * scale).backward()  # type: ignore[no-untyped-call]
        norms = {
            name: float(weight.grad.float().norm()) / scale if weight.grad is not None else 0.0
            for name, weight in weighted_layers(network).items()
        }
        network.zero_grad(set_to_none=True)
    return norms


def evaluation_modes(
    network: Network,
    split: Split,
    batch_size: int,
    precision: Precision,
    of: HeldOut = "test",
) -> Iterator[EvaluationMode]:
    """Accuracy on the same images, which are `of` the test or of validation, with batch norm in
    inference mode, and with each batch's own statistics: shuffled batches, small batches, and
    batches sorted by class."""
    random = torch.Generator().manual_seed(0)
    shuffled = torch.randperm(len(split), generator=random)[:MODE_IMAGES]
    by_class = shuffled[torch.argsort(split.labels.cpu()[shuffled], stable=True)]
    size = min(batch_size, len(shuffled))
    for mode, composition, order, images in (
        ("inference", "shuffled", shuffled, size),
        ("training", "shuffled", shuffled, size),
        ("training", "shuffled", shuffled, min(SMALL_BATCH, size)),
        ("training", "sorted by class", by_class, size),
    ):
        # Batch norm cannot normalise a last batch of one image.
        kept = order[: len(order) - (len(order) % images == 1)]
        with _kept_buffers(network), torch.inference_mode():
            network.eval()
            for part in network.modules():
                if isinstance(part, BATCH_NORMS):
                    part.train(mode == "training")
            sums = Sums()
            for pixels, labels in split.ordered(kept, images):
                with precision.autocast():
                    logits = network(pixels)
                sums.add(logits, labels, {"main": logits.new_zeros(())})
        accuracy = sums.result().accuracy
        figures = (accuracy, None) if of == "test" else (None, accuracy)
        yield EvaluationMode(mode, composition, images, len(kept), *figures)


@contextmanager
def _kept_buffers(network: Network) -> Iterator[None]:
    """Restore batch norm's running statistics, which a forward pass changes."""
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                buffer.copy_(before[name])


def save_kernels(path: Path, network: Network, start: Weights) -> None:
    """The first two convolutions' weights before and after training, float32, as an NPZ file of
    `first_before`, `first_after`, `second_before`, `second_after`: (out, in, height, width)."""
    convolutions = [(n, w) for n, w in weighted_layers(network).items() if w.ndim == 4][:2]
    arrays: dict[str, Any] = {}
    for which, (name, weight) in zip(("first", "second"), convolutions, strict=False):
        arrays[f"{which}_before"] = start[f"module.{name}.weight"].float().numpy()
        arrays[f"{which}_after"] = weight.detach().float().cpu().contiguous().numpy()
    with atomic_file(path) as file:
        np.savez_compressed(file, **arrays)

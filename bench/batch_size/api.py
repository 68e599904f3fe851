"""The search and the prediction as functions to call from your own training script.

Your module is copied, never trained itself. On the CPU everything happens in forked children, so
that a search leaves nothing behind.
"""

import contextlib
import copy
import ctypes
import sys
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from bench.batch_size.certificate import SMALLEST_BATCH, searched
from bench.batch_size.forked import message_from_child, probe_in_child, settled
from bench.batch_size.predicted import predicted_trace, simulated
from bench.batch_size.probe import ProbeSetup
from bench.config import Options
from bench.data.loader import Split, Transform
from bench.errors import Refused
from bench.options import options_of
from bench.prediction.cards import DEFAULT_RESERVE_BYTES, find_card
from bench.prediction.memory import predict
from bench.prediction.speed import with_speeds
from bench.records.messages import Conditions, Ready, SearchJob, Simulated
from bench.records.records import (
    DatasetFacts,
    LargestBatch,
    ModelFacts,
    Predicted,
    Probe,
    Setting,
)
from bench.settings import make_setting
from bench.system.devices import Device, open_device
from bench.training.precision import kept_switches, open_precision
from bench.units import parse_bytes
from models.entry import Entry
from models.zoo import resolve

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # of mallopt in glibc's malloc.h


def find_max_batch(
    model: nn.Module | str,
    *,
    image_size: int = 224,
    num_classes: int = 10,
    optimizer: str = "adam",
    precision: str = "fp32",
    channels_last: bool = True,
    device: str = "auto",
    memory_budget: str | None = None,
    cap: int = 50_000,
) -> LargestBatch:
    """Measure the largest batch that trains on a device here, with real training steps.

    Args:
        model: a classifier of float images (batch, 3, image_size, image_size), or a name that
            `--models` accepts. A module is copied and left unchanged; to be measured on the CPU it
            must be there.
        image_size: pixels per side.
        num_classes: outputs of a model given by name.
        optimizer: `adam`, `adamw`, `sgd`, `sgd-plain`, `rmsprop` or `adagrad`.
        precision: `fp32`, `tf32`, `bf16` or `fp16`.
        channels_last: memory format of weights and images.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        memory_budget: memory that the model may take, such as `2GiB`, on a card with what this
            process holds there already; by default the card's. Required on the CPU, where probes
            run in children of this process with one thread each: oneDNN's kernels, and so the
            result, depend on the number of threads.
        cap: the largest batch that makes sense, such as the number of training images.

    Returns:
        The result with its certificate: what ran at `max_batch`, and how one more failed.

    Raises:
        Refused: an argument cannot work.
        TrialFailed: training failed for a reason that is not memory.
    """
    options_of(Options)["device"].checked(device)
    entry, place = _entry(model), open_device(device)
    setting = _setting(entry, image_size, num_classes, optimizer, precision, channels_last)
    if cap < SMALLEST_BATCH:
        raise Refused(
            f"cap {cap} must be {SMALLEST_BATCH} or more: batch norm cannot train on one."
        )
    if place.kind == "cpu":
        if memory_budget is None:
            raise Refused("memory_budget is needed on the CPU: the memory that the model may take.")
        _check_forked(model)
        if sys.platform != "linux":
            raise Refused(
                "measuring on the CPU needs Linux, which alone limits the memory of a process; use "
                "a card elsewhere."
            )
    budget = None if memory_budget is None else parse_bytes(memory_budget, "memory_budget")
    conditions = Conditions(place.torch.type, _nothing_resident(num_classes), budget, 0)
    trace = predicted_trace(entry, setting, conditions)
    job = SearchJob(entry.facts.name, setting, conditions)
    with _unchanged(place):
        arithmetic = open_precision(precision, place.kind)
        images = BlankImages(cap, setting.image_size, channels_last, place)
        setup = ProbeSetup(entry, setting, conditions, images, (images,), place, arithmetic)
        limit = budget if place.kind == "cpu" else place.limit_memory(budget)

        def probe(batch_size: int, brief: bool) -> Probe:
            if place.kind != "cpu":
                return setup.probe(batch_size, brief=brief)

            def isolated(limited: bool) -> Probe:
                limit = budget if limited else None
                in_child = partial(_probe, setup, limit, batch_size, brief)
                return probe_in_child(job, batch_size, in_child)

            return settled(isolated)

        return searched(job, Ready(limit, {"torch": torch.__version__}, trace), cap, probe)


def predict_max_batch(
    model: nn.Module | str,
    *,
    card: str,
    image_size: int = 224,
    num_classes: int = 10,
    optimizer: str = "adam",
    precision: str = "fp32",
    channels_last: bool = True,
    reserve: str | None = None,
) -> Predicted:
    """Predict the largest batch on a card that need not be here, and the speed of training at it
    (`speeds`, where the card's peaks are known); arguments as for `find_max_batch`.

    Args:
        model: a module on the CPU, or a name; a module is copied.
        card: a name in `bench/prediction/cards.csv`, or the memory for tensors, such as `21.6GiB`.
        image_size: pixels per side.
        num_classes: outputs of a model given by name.
        optimizer: as in training.
        precision: as in training.
        channels_last: as in training.
        reserve: memory of a named card that context and workspaces take, such as `512MiB`.

    Raises:
        Refused: an argument cannot work.
        TrialFailed: the model's step cannot be simulated.
    """
    entry, gpu = _entry(model), find_card(card)
    setting = _setting(entry, image_size, num_classes, optimizer, precision, channels_last)
    _check_forked(model)
    reserve_bytes = DEFAULT_RESERVE_BYTES if reserve is None else parse_bytes(reserve, "reserve")

    def simulation() -> Simulated:
        torch.set_num_threads(1)  # see `_probe`
        return simulated(entry, setting, num_classes, kernels=True)

    answer = message_from_child(simulation)
    predicted = predict(
        answer.trace,
        model=entry.facts.name,
        setting=setting,
        num_classes=num_classes,
        card=gpu,
        reserve_bytes=reserve_bytes,
    )
    return with_speeds(predicted, answer.kernels, card=gpu)


class BlankImages(Split):
    """Black images of the network's size, created batch by batch: nothing is resident."""

    def __init__(self, count: int, side: int, channels_last: bool, device: Device) -> None:
        grey = (0.5, 0.5, 0.5)
        labels = torch.zeros(1, dtype=torch.int64).expand(count)
        super().__init__(labels, Transform(side, grey, grey, device.torch, channels_last))

    def _stored(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        side, place = self.transform.image_size, self.transform.device
        for part in torch.split(order, batch_size):
            images = torch.zeros((len(part), side, side, 3), dtype=torch.uint8, device=place)
            yield images, torch.zeros(len(part), dtype=torch.int64, device=place)


def _entry(model: nn.Module | str) -> Entry:
    if isinstance(model, str):
        return resolve(model)[0]
    facts = ModelFacts(type(model).__name__, "yours", 224, 1, {}, "", None, None)
    return Entry(facts, lambda classes, pretrained: copy.deepcopy(model))


def _setting(
    entry: Entry,
    image_size: int,
    num_classes: int,
    optimizer: str,
    precision: str,
    channels_last: bool,
) -> Setting:
    """What arguments mean; raises Refused for those that no option may be."""
    given = {"image_size": image_size, "optimizer": optimizer, "precision": precision}
    for name, value in given.items():
        options_of(Options)[name].checked(value)
    if num_classes < 2:
        raise Refused(f"num_classes {num_classes} must be 2 or more.")
    return make_setting(
        entry.facts.pixels(image_size),
        optimizer=optimizer,
        precision=precision,
        channels_last="yes" if channels_last else "no",
    )


def _check_forked(model: nn.Module | str) -> None:
    """Raises Refused for a module that a child of this process cannot copy."""
    for parameter in () if isinstance(model, str) else model.parameters():
        if parameter.device.type not in ("cpu", "meta"):
            raise Refused(
                f"the module is on {parameter.device}, which no child of this process can use; "
                "move it to the CPU first."
            )


def _nothing_resident(classes: int) -> DatasetFacts:
    grey = (0.5, 0.5, 0.5)
    names = tuple(str(n) for n in range(classes))
    return DatasetFacts("blank", "blank", names, 0, 0, 32, grey, grey, "", False)


def _probe(setup: ProbeSetup, budget: int | None, batch_size: int, brief: bool) -> Probe:
    """A probe under a memory limit; call it in a child of this process."""
    # A fork has none of its parent's threads, and OpenMP would wait for them forever.
    torch.set_num_threads(1)
    _map_every_tensor()
    setup.device.limit_memory(budget)
    return setup.probe(batch_size, brief=brief)


def _map_every_tensor() -> None:
    """As `bench.system.malloc.EXACT`, which must be set before a process starts."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, 2**16)
        libc.mallopt(_M_ARENA_MAX, 1)


@contextlib.contextmanager
def _unchanged(device: Device) -> Iterator[None]:
    """Restore torch's settings, its random state and the device's limit after the block."""
    # Of the device alone: torch would start CUDA, and every card, to ask for their states.
    cards = {"cpu": list[torch.device](), "cuda": [device.torch]}.get(device.kind)
    try:
        with kept_switches(), torch.random.fork_rng(cards), device.kept_limit():
            yield
    finally:
        device.release()

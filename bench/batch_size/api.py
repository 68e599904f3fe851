"""The search and the prediction for your own training script, in your own process.

A module of yours is copied, never trained itself; on the CPU everything happens in forked children,
so that nothing of a search stays behind.
"""

import contextlib
import copy
import ctypes
from collections.abc import Iterator
from time import perf_counter
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.batch_size.certificate import SMALLEST_BATCH, fitted
from bench.batch_size.forked import in_child, settled
from bench.batch_size.probe import Bench
from bench.batch_size.search import Attempt, largest_batch
from bench.config import make_setting
from bench.data.loader import Split, Transform
from bench.errors import BenchError, Crashed, OutOfMemoryKilled, Refused, TrialFailed
from bench.prediction.cards import DEFAULT_RESERVE_BYTES, find_card
from bench.prediction.memory import predict
from bench.prediction.simulate import building, simulate
from bench.records.messages import (
    Conditions,
    Failure,
    Ready,
    SearchJob,
    Simulated,
    decode_message,
    encode_message,
)
from bench.records.records import DatasetFacts, LargestBatch, ModelFacts, Predicted, Probe
from bench.system.devices import Device, open_device
from bench.training.precision import open_precision
from bench.units import parse_bytes
from models.building.network import Network, build_network
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
            `--models` takes. A module is copied; it is as it was afterwards.
        image_size: pixels a side.
        num_classes: outputs of a model given by name.
        optimizer: `adam`, `adamw` or `sgd`.
        precision: `fp32`, `tf32`, `bf16` or `fp16`.
        channels_last: memory format of weights and images.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        memory_budget: what the model may take, such as `2GiB`; without it the card's own memory.
            Needed on the CPU, where probes run in children of this process with one thread each;
            oneDNN's kernels, and so the answer, depend on the number of threads.
        cap: the largest batch that makes sense, such as the number of training images.

    Returns:
        The answer with its certificate: what ran at `max_batch`, and how one more failed.

    Raises:
        Refused: an argument cannot work.
        TrialFailed: training failed for a reason that is not memory.
    """
    entry, place = _entry(model), open_device(device)
    setting = make_setting(entry.facts.pixels(image_size), optimizer, precision, None)
    if memory_budget is None and place.kind == "cpu":
        raise Refused("memory_budget is needed on the CPU: what the model may take.")
    budget = None if memory_budget is None else parse_bytes(memory_budget, "memory_budget")
    conditions = Conditions(
        place.torch.type, _nothing_resident(num_classes), channels_last, False, False, budget, 0
    )
    job, probes = SearchJob(entry.facts.name, setting, conditions), list[Probe]()
    with _as_before(place):
        precise = open_precision(precision, place.kind)
        images = BlankImages(cap, setting.image_size, channels_last, place)
        bench = Bench(entry, setting, conditions, images, images, place, precise)
        limit = budget if place.kind == "cpu" else place.limit_memory(budget)

        def attempt(batch_size: int) -> Attempt:
            def child(limited: bool) -> Probe:
                return _in_child(bench, budget if limited else None, batch_size)

            probe = settled(child) if place.kind == "cpu" else bench.probe(batch_size)
            probes.append(probe)
            return Attempt(probe.fits, probe.peak_memory_bytes)

        answer = largest_batch(attempt, limit_bytes=limit, cap=cap, smallest=SMALLEST_BATCH)
    return fitted(answer, probes, job, Ready(limit, {"torch": torch.__version__}))


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
    """Predict the largest batch on a card that need not be here; arguments as `find_max_batch` has.

    Args:
        model: a module or a name; a module is copied.
        card: a name of `bench/fit/cards.csv`, or a size that tensors may take, such as `21.6GiB`.
        image_size: pixels a side.
        num_classes: outputs of a model given by name.
        optimizer: as in training.
        precision: as in training.
        channels_last: as in training.
        reserve: what a named card loses to context and workspaces, such as `512MiB`.

    Raises:
        Refused: an argument cannot work.
        TrialFailed: the model's step cannot be simulated.
    """
    entry, wanted = _entry(model), find_card(card)
    setting = make_setting(entry.facts.pixels(image_size), optimizer, precision, None)
    kept = DEFAULT_RESERVE_BYTES if reserve is None else parse_bytes(reserve, "reserve")

    def answer() -> bytes:
        start = perf_counter()
        network = _network(entry, model, num_classes)
        made = simulate(network, setting, channels_last=channels_last, classes=num_classes)
        return encode_message(Simulated(entry.facts.name, setting, made, perf_counter() - start))

    simulated: Simulated = _answer_of(answer)
    assert simulated.trace is not None
    return predict(
        simulated.trace,
        model=entry.facts.name,
        setting=setting,
        num_classes=num_classes,
        card=wanted,
        reserve_bytes=kept,
    )


class BlankImages(Split):
    """Black images of the size that a network takes, made a batch at a time: nothing is
    resident."""

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


def _network(entry: Entry, model: nn.Module | str, classes: int) -> Network:
    if isinstance(model, str):
        with building():
            return build_network(entry, classes)
    return build_network(entry, classes)


def _nothing_resident(classes: int) -> DatasetFacts:
    grey = (0.5, 0.5, 0.5)
    names = tuple(str(n) for n in range(classes))
    return DatasetFacts("blank", "blank", names, 0, 0, 32, grey, grey, "", False)


def _in_child(bench: Bench, budget: int | None, batch_size: int) -> Probe:
    """A probe under a memory limit, in a child of this process."""
    start = perf_counter()

    def answer() -> bytes:
        _map_every_tensor()
        bench.device.limit_memory(budget)
        return encode_message(bench.probe(batch_size))

    try:
        return cast(Probe, _answer_of(answer))
    except (OutOfMemoryKilled, Crashed) as error:
        seconds = perf_counter() - start
        return Probe(
            bench.entry.facts.name, bench.setting, batch_size, False, None, seconds, str(error)
        )


def _answer_of(call: Any) -> Any:
    def safely() -> bytes:
        # A fork has none of its parent's threads, and OpenMP would wait for them for ever.
        torch.set_num_threads(1)
        try:
            return bytes(call())
        except BenchError as error:
            return encode_message(Failure(str(error)))

    answer = decode_message(in_child(safely))
    if isinstance(answer, Failure):
        raise TrialFailed(answer.reason)
    return answer


def _map_every_tensor() -> None:
    """As `bench.system.malloc.EXACT`, which a process that runs already cannot be given."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, 2**16)
        libc.mallopt(_M_ARENA_MAX, 1)


@contextlib.contextmanager
def _as_before(device: Device) -> Iterator[None]:
    """Leave torch's settings, its random state and the device's limit as they are."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    settings = cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    try:
        with torch.random.fork_rng(), device.kept_limit():
            yield
    finally:
        cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = settings
        device.release()

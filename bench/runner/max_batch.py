"""The verb `fit`: the largest batch of models, predicted for cards or measured on a device here.

Nothing is trained. A prediction needs no GPU; a measurement is the search of a run, by itself.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from bench.config import (
    DEFAULT_MEMORY_BUDGET,
    ImageSize,
    OptimizerName,
    PrecisionName,
    has_cuda_card,
    settings_of,
)
from bench.errors import BenchError, Refused, TrialFailed
from bench.prediction.cards import DEFAULT_CARDS, DEFAULT_RESERVE_BYTES, find_card
from bench.prediction.memory import breakdown, predict
from bench.records.messages import (
    Conditions,
    Resolved,
    ResolveJob,
    SearchJob,
    Simulated,
    SimulateJob,
)
from bench.records.records import (
    DatasetFacts,
    LargestBatch,
    MemoryBreakdown,
    ModelFacts,
    Predicted,
    Probe,
    Setting,
)
from bench.runner.batch_search import Prober
from bench.runner.worker_process import Worker
from bench.units import parse_bytes
from models import REGISTRY
from models.zoo import is_zoo

IMAGES = 50_000
"""What a measured batch is capped at: CIFAR-10's training images."""


@dataclass(frozen=True)
class FitOptions:
    """The largest batch of models: predicted for cards, or measured with --device.

    Raises:
        Refused: an option has a value that cannot work; the message says which and what would.
    """

    models: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ("resnet18", "googlenet")
    """Models by name or wildcard, as `run_bench.py` takes them."""

    card: Annotated[tuple[str, ...], arg(metavar="CARD|SIZE ...")] = DEFAULT_CARDS
    """Cards to predict for; a size such as 21.6GiB is what tensors may take."""

    precision: Annotated[tuple[PrecisionName, ...], arg(metavar="fp32|tf32|bf16|fp16 ...")] = (
        "fp32",
    )
    """Arithmetic of the training step."""

    optimizer: Annotated[tuple[OptimizerName, ...], arg(metavar="adam|adamw|sgd ...")] = ("adam",)
    """Optimizer of the training step."""

    image_size: Annotated[tuple[ImageSize, ...], arg(metavar="PX|native ...")] = ("native",)
    """Pixels a side; native is each model's own."""

    classes: Annotated[int, arg(metavar="N")] = 10
    """Outputs of the last layer."""

    batch_size: Annotated[int, arg(metavar="N")] = 32
    """The batch size whose memory the picture takes apart."""

    channels_last: bool = True
    """Keep images and weights in channels-last memory."""

    reserve: Annotated[str, arg(metavar="SIZE")] = f"{DEFAULT_RESERVE_BYTES >> 20}MiB"
    """What a named card loses to the CUDA context and to libraries' workspaces."""

    device: Annotated[str | None, arg(metavar="auto|cpu|cuda[:N]|mps")] = None
    """Measure here instead of predicting."""

    memory_budget: Annotated[str | None, arg(metavar="SIZE")] = None
    """With --device: memory that a model may take, a real limit."""

    json: bool = False
    """Print a JSON list of records and nothing else; write no files unless --output is given."""

    output: Annotated[
        Path | None, arg(metavar="DIR", help_behavior_hint="(default: results/TIME-fit)")
    ] = None
    """Where table and picture go."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for flag, value, least in (
            ("classes", self.classes, 2),
            ("batch-size", self.batch_size, 1),
        ):
            if value < least:
                raise Refused(f"--{flag} {value} must be {least} or more.")
        for size in self.image_size:
            if size != "native" and (not isinstance(size, int) or size < 1):
                raise Refused(f"--image-size {size} must be a whole number above 0 or native.")
        for flag, values in (("models", self.models), ("card", self.card)):
            if not values:
                raise Refused(f"--{flag} needs at least one value.")
        for name in self.card:
            find_card(name)
        parse_bytes(self.reserve, "--reserve")
        self._check_device()
        self._check_sizes()

    def _check_sizes(self) -> None:
        """Refuse sizes that none of the models can take; those who cannot are shown at their
        smallest."""
        if any(is_zoo(pattern) for pattern in self.models):
            return
        known = [facts for pattern in self.models for facts in _known(pattern)]
        for size in self.image_size:
            if all(facts.nearest_pixels(size) != _asked(facts, size) for facts in known):
                known[0].pixels(size)

    def too_small(self, model: str, pixels: int) -> str | None:
        """What to say of a model that is shown at its smallest size; None if it was asked for."""
        if "native" in self.image_size or pixels in self.image_size:
            return None
        sizes = ", ".join(map(str, self.image_size))
        return f"{model} cannot take {sizes} px; it is shown at {pixels} px, its smallest."

    def _check_device(self) -> None:
        if self.device is None:
            if self.memory_budget is not None:
                raise Refused(
                    "--memory-budget is for measuring: add --device, or predict for that size "
                    "with --card."
                )
        elif not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", self.device):
            raise Refused(f"--device {self.device!r} is unknown; use auto, cpu, cuda or mps.")
        if self.memory_budget is not None:
            parse_bytes(self.memory_budget)

    @property
    def reserve_bytes(self) -> int:
        """The reserve in bytes."""
        return parse_bytes(self.reserve, "--reserve")


@dataclass(frozen=True)
class Predictions:
    """What a prediction of several models gave, and why some gave nothing."""

    largest: tuple[Predicted, ...]
    breakdowns: tuple[MemoryBreakdown, ...]
    problems: tuple[str, ...]


def predict_fits(options: FitOptions) -> Predictions:
    """Predict every model in every setting on every card.

    Raises:
        Refused: a model is unknown or cannot take the image size, or none fits any card.
    """
    largest: list[Predicted] = []
    breakdowns: list[MemoryBreakdown] = []
    problems: list[str] = []
    for simulated in _simulate(options):
        model, setting, trace = simulated.model, simulated.setting, simulated.trace
        if trace is None:
            problems.append(f"{model}: {simulated.reason}")
            continue
        for name in options.card:
            largest.append(
                predict(
                    trace,
                    model=model,
                    setting=setting,
                    num_classes=options.classes,
                    card=find_card(name),
                    reserve_bytes=options.reserve_bytes,
                )
            )
        breakdowns.append(
            breakdown(
                trace,
                model=model,
                setting=setting,
                batch_size=options.batch_size,
                reserve_bytes=options.reserve_bytes,
            )
        )
    if largest and not any(p.max_batch for p in largest):
        smallest = min(largest, key=lambda p: p.base_bytes + 2 * p.bytes_per_image)
        needs = (smallest.base_bytes + 2 * smallest.bytes_per_image) / 2**20
        raise Refused(
            f"no model fits: {smallest.model} needs about {needs:,.0f} MiB for two images; "
            "name a larger --card or a smaller --image-size."
        )
    return Predictions(tuple(largest), tuple(breakdowns), tuple(problems))


@dataclass(frozen=True)
class Measured:
    """A measured answer with the probes that led to it."""

    largest_batch: LargestBatch
    probes: tuple[Probe, ...]


def measure_fits(options: FitOptions) -> tuple[list[Measured], list[str]]:
    """Search for the largest batch of every model in every setting; also why some failed.

    Raises:
        Refused: a model is unknown, or not even two images of any model fit.
    """
    device = options.device or "auto"
    on_cpu = device == "cpu" or (device == "auto" and not has_cuda_card())
    budget = options.memory_budget or (DEFAULT_MEMORY_BUDGET if on_cpu else None)
    conditions = Conditions(
        device="cpu" if on_cpu else device,
        dataset=_blank_images(options.classes),
        channels_last=options.channels_last,
        augment=False,
        pretrained=False,
        budget_bytes=None if budget is None else parse_bytes(budget),
        workers=0,
    )
    found: list[Measured] = []
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="archbench-") as scratch:
        log = Path(scratch) / "worker.log"
        for name, setting in _shapes(options, log):
            probes: list[Probe] = []
            job = SearchJob(name, setting, conditions)
            try:
                with Prober(job, log, limited=on_cpu, on_probe=probes.append) as prober:
                    found.append(Measured(prober.search(IMAGES), tuple(probes)))
            except TrialFailed as error:
                problems.append(f"{name}: {error}")
    if found and not any(m.largest_batch.max_batch for m in found):
        needs = min(m.largest_batch.needed_bytes or 0 for m in found) / 2**20
        raise Refused(
            f"not even two images fit: they need about {needs:,.0f} MiB; raise --memory-budget "
            "or lower --image-size."
        )
    return found, problems


def _simulate(options: FitOptions) -> Iterator[Simulated]:
    job = SimulateJob(
        models=options.models,
        image_sizes=options.image_size,
        optimizers=options.optimizer,
        precisions=options.precision,
        learning_rate=None,
        num_classes=options.classes,
        channels_last=options.channels_last,
        dataset=None,
    )
    with (
        tempfile.TemporaryDirectory(prefix="archbench-") as scratch,
        Worker(job, Path(scratch) / "worker.log") as worker,
    ):
        yield from worker.messages()


def _shapes(options: FitOptions, log: Path) -> list[tuple[str, Setting]]:
    models = _resolved(options.models, log)
    varied = (options.image_size, options.optimizer, options.precision, None)
    return [(facts.name, s) for facts in models for s in settings_of(facts, *varied)]


def _resolved(patterns: Sequence[str], log: Path) -> list[ModelFacts]:
    """The models that patterns mean; those of other collections are looked up by a worker."""
    if not any(is_zoo(pattern) for pattern in patterns):
        found = [facts for pattern in patterns for facts in _known(pattern)]
        return list({facts.name: facts for facts in found}.values())
    with Worker(ResolveJob(tuple(patterns)), log) as worker:
        for message in worker.messages():
            if isinstance(message, Resolved):
                return list(message.models)
    raise BenchError("the models could not be looked up.")


def _asked(facts: ModelFacts, size: int | str) -> int:
    return facts.native_size if size == "native" else int(size)


def _known(pattern: str) -> list[ModelFacts]:
    return [REGISTRY.get(name).facts for name in REGISTRY.match(pattern)]


def _blank_images(classes: int) -> DatasetFacts:
    grey = (0.5, 0.5, 0.5)
    names = tuple(str(n) for n in range(classes))
    return DatasetFacts("blank", "blank", names, IMAGES, 10_000, 32, grey, grey, "", True)

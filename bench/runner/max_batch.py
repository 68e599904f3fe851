"""The largest batch of models by itself: predicted for cards, or measured on a device here.

Nothing is trained. A prediction needs no GPU; a measurement is the search of a run, by itself.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

from msgspec import Meta
from tyro.conf import arg

from bench import config
from bench.errors import BenchError, Refused, TrialFailed
from bench.options import Count, Folder, Group, Help, Size, flag_of, one_of, options_of
from bench.prediction.cards import DEFAULT_RESERVE_BYTES, Card, find_card
from bench.prediction.cost import parse_prices
from bench.prediction.memory import LARGEST, breakdown, predict
from bench.prediction.speed import predict_speed, rates_of, with_speeds
from bench.records import messages, records
from bench.registry import matching
from bench.runner.batch_search import Prober
from bench.runner.own_models import examine_models, one_at_a_time
from bench.runner.plan import check_image_sizes
from bench.runner.scratch import scratch_folder
from bench.runner.worker_process import Worker
from bench.units import parse_bytes
from models import REGISTRY
from models.own import named

IMAGES = 50_000
"""What a measured batch is capped at: CIFAR-10's training images."""

EPOCH_IMAGES = {"cifar10": IMAGES, "cifar100": IMAGES, "shapes10": 10_000}
"""Training images by data set."""

Known = Annotated[
    str,
    Meta(
        pattern=r"^[^=*?\[]+=(?=.*[1-9])[0-9]+(\.[0-9]+)?\Z",
        title="MODEL=N",
        description="a model and its images a second in training, such as resnet50=812",
    ),
]
Classes = Annotated[int, Meta(ge=2, title="N", description="a whole number, 2 or more")]
Price = Annotated[str, Meta(title="CARD=PRICE", description="a card and its price per hour")]
CARDS = arg(aliases=("--cards",))


@dataclass(frozen=True)
class ModelsOnCards:
    """What predictions are of: options that several verbs share. None is left to the verb."""

    models: Annotated[config.ModelNames | None, Help(Group.COMPARED, "resnet18 googlenet")] = None
    """Models by name or wildcard; `python -m bench list` shows them. mynet.py:Net is a network of
    your own."""

    image_size: Annotated[tuple[config.ImageSize, ...] | None, Help(Group.COMPARED, "native")] = (
        None
    )
    """Side in pixels; native is each model's own."""

    classes: Annotated[Classes, Help(Group.COMPARED)] = 10
    """Outputs of the last layer."""

    dataset: Annotated[
        Annotated[str, one_of(EPOCH_IMAGES)] | None, Help(Group.COMPARED, "cifar10")
    ] = None
    """The data set whose training images make an epoch."""

    images: Annotated[Count | None, Help(Group.COMPARED, "the data set's")] = None
    """Training images of an epoch."""

    optimizer: Annotated[config.Optimizers | None, Help(Group.TRAINING, "adam")] = None
    """Optimizers of the training step."""

    precision: Annotated[config.Precisions | None, Help(Group.TRAINING, "fp32")] = None
    """Arithmetic of the training step."""

    channels_last: Annotated[bool, Help(Group.TRAINING)] = True
    """Keep images and weights in channels-last memory."""

    card: Annotated[tuple[config.Card, ...], Help(Group.MEMORY), CARDS] = config.DEFAULT_CARDS
    """Cards to predict for; a size such as 21.6GiB is what tensors may take."""

    reserve: Annotated[Size, Help(Group.MEMORY)] = f"{DEFAULT_RESERVE_BYTES >> 20}MiB"
    """What a named card loses to the CUDA context and to libraries' workspaces."""

    price: Annotated[tuple[Price, ...] | None, Help(Group.MEMORY)] = None
    """What an hour on a card costs you, in any currency."""

    batch_size: Annotated[Count | None, Help(Group.TRAINING, "each model's largest")] = None
    """The batch size that all models are trained with."""

    @property
    def epoch_images(self) -> int:
        """The training images of an epoch."""
        return self.images or EPOCH_IMAGES[self.dataset or "cifar10"]

    @property
    def prices(self) -> dict[str, float]:
        """Prices per hour by card; Refused if one cannot be."""
        return parse_prices(self.price or (), self.card)


@dataclass(frozen=True)
class MaxBatchOptions(ModelsOnCards):
    """The largest batch of models: predicted for cards, or measured with --device.

    Raises:
        Refused: an option has a value that cannot work; the message says which and what would.
    """

    models: config.ModelNames = ("resnet18", "googlenet")
    image_size: Annotated[tuple[config.ImageSize, ...], Help(Group.COMPARED)] = ("native",)
    optimizer: config.Optimizers = ("adam",)
    precision: config.Precisions = ("fp32",)

    batch_size: Annotated[Count, Help(Group.OUTPUT)] = 32
    """The batch size whose memory the picture takes apart; speed is predicted at it too."""

    memory_budget: Annotated[Size | None, Help(Group.MEMORY)] = None
    """With --device: memory that a model may take, a real limit."""

    device: Annotated[config.Device | None, Help(Group.PLACE, "predict instead")] = None
    """Measure on this device."""

    known: Annotated[Known | None, Help(Group.MEMORY)] = None
    """A speed that you have measured on the one --card with these options, at --batch-size: the
    predicted times of all models are scaled by it."""

    json: Annotated[bool, Help(Group.OUTPUT)] = False
    """Print a JSON list of records and nothing else; write no files unless --output is given."""

    output: Annotated[Folder | None, Help(Group.OUTPUT, "results/TIME-max-batch")] = None
    """Where table and picture go."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name, option in options_of(MaxBatchOptions).items():
            option.checked(getattr(self, name))
        _ = self.prices
        if self.device is not None and self.card != config.DEFAULT_CARDS:
            raise Refused("--card is for predictions: leave out --device.")
        if self.device is not None and self.costs:
            raise Refused(
                "--price, --images and --dataset are for predictions: leave out --device."
            )
        if self.known is not None:
            self._check_known()
        usable = [find_card(name).usable_bytes(self.reserve_bytes) for name in self.card]
        if self.device is not None:
            check_image_sizes(self.image_size, self.memory_budget_bytes)
        elif self.memory_budget is None:
            check_image_sizes(self.image_size, max(usable), "the largest card's memory")
        else:
            raise Refused(
                "--memory-budget is for measuring: add --device, or predict for that size with "
                "--card."
            )
        known = _known(self.models)
        for size in self.image_size:
            # A model that cannot take a size is shown at the nearest, if any other can take it.
            if known and size != "native" and all(m.nearest_pixels(size) != size for m in known):
                known[0].pixels(size)

    def _check_known(self) -> None:
        """Refuse a known speed that is of no single setting on a card with known peaks."""
        if self.device is not None:
            raise Refused("--known is for predictions: leave out --device, or --known.")
        several = [
            flag_of(name)
            for name in ("card", "image_size", "optimizer", "precision")
            if len(getattr(self, name)) > 1
        ]
        if several:
            raise Refused(f"--known is one measurement: give {several[0]} one value.")
        card, precision = find_card(self.card[0]), self.precision[0]
        if card.peaks is None:
            raise Refused(
                f"--known cannot scale {card.name}: its memory bandwidth is not known; name "
                "another --card, or give it peaks in bench/prediction/cards.csv."
            )
        if rates_of(card.peaks, precision) is None:
            raise Refused(
                f"--known cannot scale {card.name}: its rate in {precision} is not known; name "
                "another --precision."
            )

    @property
    def costs(self) -> bool:
        """Whether the cost of an epoch is asked for."""
        return any(value is not None for value in (self.price, self.images, self.dataset))

    @property
    def known_model(self) -> str | None:
        """The model whose speed is known."""
        return None if self.known is None else self.known.rpartition("=")[0]

    def other_size(self, model: str, pixels: int) -> str | None:
        """What to say of a model that is shown at another size; None if that was asked for."""
        if "native" in self.image_size or pixels in self.image_size:
            return None
        sizes = ", ".join(map(str, self.image_size))
        sizes = f"all of {sizes}" if len(self.image_size) > 1 else sizes
        return f"{model} cannot take {sizes} px; it is shown at {pixels} px, the nearest."

    @property
    def choices(self) -> config.Options:
        """What settings are made of, as options of a run."""
        return config.Options(
            image_size=self.image_size,
            optimizer=self.optimizer,
            precision=self.precision,
            channels_last=("yes" if self.channels_last else "no",),
        )

    @property
    def reserve_bytes(self) -> int:
        """The reserve in bytes."""
        return parse_bytes(self.reserve, "--reserve")

    @property
    def measured_on(self) -> str:
        """The device to measure on; for auto, a CUDA card if one is here, else the CPU."""
        if self.device is None or self.device == "auto":
            return "cuda" if config.has_cuda_card() else "cpu"
        return self.device

    @property
    def memory_budget_bytes(self) -> int | None:
        """The memory budget that was given, in bytes; None if none was."""
        return None if self.memory_budget is None else parse_bytes(self.memory_budget)


@dataclass(frozen=True)
class Predictions:
    """What a prediction of several models gave, and why some gave nothing."""

    largest: tuple[records.Predicted, ...]
    breakdowns: tuple[records.MemoryBreakdown, ...]
    problems: tuple[str, ...]


def predict_batches(options: MaxBatchOptions) -> Predictions:
    """Predict every model in every setting on every card.

    Raises:
        Refused: a model is unknown or cannot take the image size, or none fits any card.
    """
    largest: list[records.Predicted] = []
    breakdowns: list[records.MemoryBreakdown] = []
    problems: list[str] = []
    cards = list(dict.fromkeys(map(find_card, options.card)))
    reserve_bytes, images = options.reserve_bytes, options.epoch_images if options.costs else None
    predicted = partial(
        predict,
        num_classes=options.classes,
        reserve_bytes=reserve_bytes,
        cap=min(images or LARGEST, LARGEST),
    )
    parts = partial(breakdown, batch_size=options.batch_size, reserve_bytes=reserve_bytes)
    answers, scale = list(_simulate(options)), 1.0
    if options.known_model is not None:
        answers, scale = _scaled(options, answers, cards[0])
    for simulated in answers:
        model, setting, trace = simulated.model, simulated.setting, simulated.trace
        if trace is None:
            problems.append(f"{model}: {simulated.reason}")
            continue
        for card in cards:
            largest.append(
                with_speeds(
                    predicted(trace, model=model, setting=setting, card=card),
                    simulated.kernels,
                    card=card,
                    batch_sizes=(options.batch_size,),
                    images=images,
                    scale=scale,
                )
            )
        breakdowns.append(parts(trace, model=model, setting=setting))
    if largest and not any(p.max_batch for p in largest):
        needs, model = min((p.base_bytes + 2 * p.bytes_per_image, p.model) for p in largest)
        raise Refused(
            f"no model fits: {model} needs about {needs / 2**20:,.0f} MiB for two images; "
            "name a larger --card or a smaller --image-size."
        )
    return Predictions(tuple(largest), tuple(breakdowns), tuple(problems))


@dataclass(frozen=True)
class Measured:
    """A measured answer with the probes that led to it."""

    largest_batch: records.LargestBatch
    probes: tuple[records.Probe, ...]


def measure_batches(options: MaxBatchOptions) -> tuple[list[Measured], list[str]]:
    """Search for the largest batch of every model in every setting; also why some failed.

    Raises:
        Refused: a model is unknown, not even two images of any model fit, or the CPU's memory
            cannot be limited here.
    """
    device = options.measured_on
    on_cpu = device == "cpu"
    if on_cpu and sys.platform != "linux":
        raise Refused(
            "measuring on the CPU needs Linux, which alone limits the memory of a process; leave "
            "out --device to predict for a --card."
        )
    default_bytes = parse_bytes(config.DEFAULT_MEMORY_BUDGET) if on_cpu else None
    conditions = messages.Conditions(
        device=device,
        dataset=blank_images(options.classes),
        budget_bytes=options.memory_budget_bytes or default_bytes,
        workers=0,
    )
    measured: list[Measured] = []
    problems: list[str] = []
    with scratch_folder() as scratch:
        log = scratch / "worker.log"
        own = _own(options, log)
        conditions = replace(conditions, own=own)
        for name, setting in _shapes(options, own, log):
            probes: list[records.Probe] = []
            job = messages.SearchJob(name, setting, conditions)
            try:
                with Prober(job, log, limited=on_cpu, on_probe=probes.append) as prober:
                    measured.append(Measured(prober.search(IMAGES), tuple(probes)))
            except TrialFailed as error:
                problems.append(f"{name}: {error}")
    if measured and not any(m.largest_batch.max_batch for m in measured):
        needed = [n for m in measured if (n := m.largest_batch.needed_bytes)]
        if not needed:
            raise Refused("not even two images fit on this device; lower --image-size.")
        limited = conditions.budget_bytes is not None
        raise Refused(
            f"not even two images fit: they need about {min(needed) / 2**20:,.0f} MiB; "
            f"{'raise --memory-budget or ' * limited}lower --image-size."
        )
    return measured, problems


def _scaled(
    options: MaxBatchOptions, answers: Sequence[messages.Simulated], card: Card
) -> tuple[list[messages.Simulated], float]:
    """The answers of the models that were asked for, and what the known speed scales times by.

    Raises:
        Refused: the model whose speed is known cannot be simulated.
    """
    name, asked = _known_name(options)
    rate = float((options.known or "").rpartition("=")[2])
    known = next((answer for answer in answers if answer.model == name), None)
    if known is None or known.kernels is None:
        reason = known.reason if known else "there is no such model"
        raise Refused(f"--known {options.known} cannot scale {card.name}: {reason}; name another.")
    speed = predict_speed(
        known.kernels, setting=known.setting, card=card, batch_size=options.batch_size
    )
    wanted = [answer for answer in answers if answer.model != name or asked]
    return wanted, 1.0 if speed is None else speed.images_per_second / rate


def _known_name(options: MaxBatchOptions) -> tuple[str, bool]:
    """What answers call the model whose speed is known, and whether it was asked for itself."""
    written = options.known_model or ""
    known, *models = map(_registered, (written, *options.models))
    names = named((known, *models))[0]
    asked = len(names) == len(named(models)[0])
    zoos = [pattern for pattern in models if ":" in pattern]
    return names[0], asked or bool(matching([written], *zoos))


def _registered(name: str) -> str:
    """The registry's own name of what is one of torchvision's; any other as it is."""
    zoo, _, short = name.partition(":")
    return short if zoo == "torchvision" and short in REGISTRY else name


def blank_images(classes: int) -> records.DatasetFacts:
    """As many images as CIFAR-10 has, of so many classes, with nothing on them."""
    grey, names = (0.5, 0.5, 0.5), tuple(map(str, range(classes)))
    return records.DatasetFacts("blank", "blank", names, IMAGES, 10_000, 32, grey, grey, "", True)


def _simulate(options: MaxBatchOptions) -> Iterator[messages.Simulated]:
    with scratch_folder() as scratch:
        log = scratch / "worker.log"
        if options.known_model is not None and not _known_name(options)[1]:
            options = replace(options, models=(*options.models, options.known_model))
        own = _own(options, log)
        shapes = tuple(_shapes(options, own, log))
        job = messages.SimulateJob(shapes, options.classes, None, own)
        for part in one_at_a_time(job):
            with Worker(part, log) as worker:
                yield from worker.messages()


def _own(options: MaxBatchOptions, log: Path) -> tuple[messages.OwnModel, ...]:
    """The networks of the user's own, examined."""
    places = named(options.models)[1]
    return examine_models(places, log, channels_last=options.channels_last)


def _shapes(
    options: MaxBatchOptions, own: tuple[messages.OwnModel, ...], log: Path
) -> list[tuple[str, records.Setting]]:
    """Models, those that are not of the registry looked up by a worker, with their settings."""
    models: Sequence[records.ModelFacts] | None = _known(options.models)
    if models is None:
        with Worker(messages.ResolveJob(named(options.models)[0], own), log) as worker:
            answers = [m for m in worker.messages() if isinstance(m, messages.Resolved)]
        if not answers:
            raise BenchError("the models could not be looked up.")
        models = answers[0].models
    return [(m.name, s) for m in models for s in config.settings_of(m, options.choices)]


def _known(patterns: Sequence[str]) -> list[records.ModelFacts] | None:
    """The models that patterns mean, each once; None if some are not of the registry."""
    names = named(patterns)[0]
    known = [REGISTRY.get(name).facts for name in names if name in REGISTRY]
    return known if len(known) == len(names) else None

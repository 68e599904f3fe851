"""Every option, exactly once.

The command line, `config.json` and the Python API are all made from `Options`. A preset is a set of
values for the options that were not given; a `Config` already carries them.
"""

import functools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from bench.data.catalogue import SOURCES
from bench.errors import Refused
from bench.options import (
    Count,
    Duration,
    File,
    Folder,
    Group,
    Help,
    Size,
    flag_of,
    one_of,
    options_of,
    shown,
)
from bench.own_code import DATASETS, parse_place, plugins
from bench.recipes import AUGMENTATIONS, RECIPES
from bench.records.records import ModelFacts, Setting
from bench.settings import OPTIMIZERS, PRECISIONS, make_setting
from bench.units import parse_bytes, parse_duration

DEFAULT_MEMORY_BUDGET = "768MiB"
"""What a search on the CPU works against: modest, so that it takes seconds."""

DEFAULT_CARDS = ("t4", "rtx3060-12gb")
"""What a run without a GPU predicts for: the card of free notebooks, and one of classrooms."""

DEFAULT_VALIDATION = 0.1
"""The share of the training images that tuning is judged on where no other was asked for."""

TUNED = ("lr", "weight_decay", "warmup", "label_smoothing")
"""Options that tuning chooses the values of."""

DEFAULT_TARGETS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Accuracies that are timed where no others were asked for."""

PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {"image_size": (32,), "epochs": 2, "train_limit": 384, "test_limit": 256},
    "quick": {"image_size": (32,), "epochs": 10, "train_limit": 5_000, "test_limit": 2_000},
    "lecture": {
        "image_size": ("native",),
        "epochs": 10,
        "batch_size": ("own",),
        "recipe": ("lecture",),
    },
}
"""What each preset gives to the options that were not given."""

_OTHERWISE: dict[str, Any] = {
    "train_limit": "all",
    "test_limit": "all",
    "batch_size": ("auto",),
    "recipe": ("constant",),
}

FROZEN = ("none", "body")

SCALING = ("weak", "strong")

SCALED_RATES = ("none", "linear", "sqrt")

RENAMED = {"fit": "max_batch"}
"""Options by the names that older logs and scripts have for them."""

SWITCHES = {
    "augment": {True: "shift", False: "none"},
    "channels_last": {True: "yes", False: "no"},
    "pretrained": {True: "yes", False: "no"},
    "sync_batch_norm": {True: "yes", False: "no"},
}
"""Options that were yes or no before they had several values, and how both are written now; without
a value, an option means yes."""

Name = Annotated[str, Meta(title="NAME", description="a name")]
DatasetName = Annotated[
    str,
    Meta(
        title=f"{'|'.join(SOURCES)}|FILE.py:NAME",
        description=f"one of {', '.join(SOURCES)}, or FILE.py:NAME",
    ),
]
Card = Annotated[str, Meta(title="CARD|SIZE", description="a card or a size")]
Device = Annotated[
    str,
    Meta(
        pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)\Z",
        title="auto|cpu|cuda[:N]|mps",
        description="one of auto, cpu, cuda, cuda:N, mps",
    ),
]
Devices = Annotated[
    str,
    Meta(
        pattern=r"^(all|[0-9]{1,4}(,[0-9]{1,4})*)\Z",
        title="all|N,N",
        description="all, or numbers of cards such as 0,1",
    ),
]
ImageSize = Annotated[
    Count | Literal["native"],
    Meta(title="PX|native", description="a whole number above 0 or native"),
]
BatchSize = Annotated[
    Count | Literal["auto", "own", "max"],
    Meta(title="N|auto|own|max", description="a whole number above 0, auto, own or max"),
]
Validation = Annotated[
    Annotated[int, Meta(ge=0)] | Annotated[float, Meta(gt=0, lt=1)],
    Meta(title="N|SHARE", description="a whole number of images, or a share between 0 and 1"),
]
Ranks = Annotated[int, Meta(ge=1, le=1024, title="N", description="a whole number from 1 to 1024")]
Budget = Annotated[int, Meta(ge=1, le=1024, title="T", description="a whole number from 1 to 1024")]
Limit = Annotated[
    Count | Literal["all"], Meta(title="N|all", description="a whole number above 0 or all")
]
CountOrZero = Annotated[int, Meta(ge=0, title="N", description="a whole number, 0 or more")]
FirstSeed = Annotated[
    int, Meta(ge=0, le=900_000, title="N", description="a whole number from 0 to 900,000")
]
"""With the most seeds that a run may have, still below the one that points are tuned with."""
Seconds = Annotated[
    float,
    Meta(gt=0, le=1e9, title="SECONDS", description="a number above 0"),
]
LearningRate = Annotated[
    float, Meta(ge=1e-300, le=1e308, title="RATE", description="a positive number")
]
WeightDecay = Annotated[
    float, Meta(ge=0, le=1e308, title="DECAY", description="a number, 0 or more")
]
Share = Annotated[
    float, Meta(ge=0, lt=1, title="SHARE", description="a share from 0 to below 1, such as 0.1")
]
Accuracy = Annotated[
    float, Meta(gt=0, le=1, title="FRACTION", description="a fraction above 0, such as 0.7")
]
ModelNames = Annotated[tuple[Name, ...], Help(Group.COMPARED)]
RecipeName = Annotated[str, one_of(RECIPES)]
Optimizers = Annotated[tuple[Annotated[str, one_of(OPTIMIZERS)], ...], Help(Group.TRAINING)]
Precisions = Annotated[tuple[Annotated[str, one_of(PRECISIONS)], ...], Help(Group.TRAINING)]
Switch = Annotated[str, one_of(("yes", "no"))]


def _is_dataset(name: str) -> bool:
    return name in SOURCES or parse_place(name) is not None or name in plugins(DATASETS)


def _by_preset(name: str) -> str:
    """What `--help` shows as the default of an option that the presets set."""
    values = ((preset, _OTHERWISE | chosen) for preset, chosen in PRESETS.items())
    return ", ".join(f"{preset} {shown(chosen[name])}" for preset, chosen in values)


def default_preset(device: str) -> str:
    """`lecture` where the run will have a CUDA card, `quick` where it will not."""
    return "lecture" if device != "cpu" and device != "mps" and has_cuda_card() else "quick"


@functools.cache
def has_cuda_card() -> bool:
    """Whether NVML sees a card and CUDA_VISIBLE_DEVICES does not hide them all; without torch."""
    import pynvml

    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip()
    if not visible or visible.startswith("-1"):
        return False
    try:
        pynvml.nvmlInit()
        return bool(pynvml.nvmlDeviceGetCount() > 0)
    except pynvml.NVMLError:
        return False


@dataclass(frozen=True)
class Options:
    """Compare image classifiers: largest batch, timed epochs, accuracy curves, and a report.

    Options that a comparison varies (image size, batch size, and how it is trained) take one value
    or several; the plan is their product with the models and the seeds.
    """

    models: ModelNames = ("resnet18", "googlenet")
    """Models by name or wildcard ('resnet*'); `python -m bench list` shows them. googlenet:noaux
    trains without auxiliary heads, resnet18:cifar has a stem for small images; torchvision:NAME and
    timm:NAME reach all the others, and mynet.py:Net is a network of your own."""

    preset: Annotated[str, one_of(("auto", *PRESETS)), Help(Group.COMPARED)] = "auto"
    """smoke: seconds, for CI. quick: minutes on a CPU. lecture: native size, all images, 10 epochs.
    auto: lecture where there is a CUDA card, else quick. Any other option overrides it."""

    dataset: Annotated[DatasetName, Help(Group.COMPARED)] = "auto"
    """auto: CIFAR-10 if it is on disk or soon downloaded, else the generated shapes10.
    mydata.py:load is a function of your own."""

    data_dir: Annotated[Folder | None, Help(Group.COMPARED)] = None
    """The folder with train/CLASS/* and test/CLASS/* (--dataset folder), or with CIFAR in any form;
    it is also looked for where ARCHBENCH_DATA says, and in the user's cache folder."""

    train_limit: Annotated[Limit | None, Help(Group.COMPARED, _by_preset("train_limit"))] = None
    """Train on a class-balanced, seeded subset of N images. The quick preset limits only the data
    set that it chose itself; one that you name is used whole."""

    test_limit: Annotated[Limit | None, Help(Group.COMPARED, _by_preset("test_limit"))] = None
    """Evaluate on a class-balanced, seeded subset of N images."""

    validation: Annotated[Validation | None, Help(Group.COMPARED, "none")] = None
    """Keep N training images, or a share such as 0.1, for validation: of every class its share, the
    same images for every seed. Epochs are then evaluated on them, and the test images once, after
    the last epoch."""

    tune: Annotated[Budget | None, Help(Group.COMPARED, "none")] = None
    """Give every model, with every optimizer and whatever else is compared, the same budget: T
    points of its search space, the same epochs each, judged by validation accuracy
    (without --validation, on a share of 0.1). The best is trained again on all training images,
    with every seed, beside the default values."""

    image_size: Annotated[
        tuple[ImageSize, ...] | None, Help(Group.COMPARED, _by_preset("image_size"))
    ] = None
    """Side in pixels that images are enlarged to; native is each model's own, as list shows it."""

    batch_size: Annotated[
        tuple[BatchSize, ...] | None, Help(Group.TRAINING, _by_preset("batch_size"))
    ] = None
    """auto: the same for all models, the largest power of two that every one of them can train, at
    most 128. own: the same rule, model by model. max: the largest that fits in memory."""

    recipe: Annotated[tuple[RecipeName, ...] | None, Help(Group.TRAINING, _by_preset("recipe"))] = (
        None
    )
    """How it is trained: optimizer, rate and its schedule over the epochs, weight decay, label
    smoothing, augmentation, normalisation. The options below change single parts of it."""

    optimizer: Annotated[Optimizers | None, Help(Group.TRAINING, "the recipe's")] = None
    """Optimizers; sgd has Nesterov momentum 0.9, sgd-plain and rmsprop have no momentum. One
    that is not the recipe's brings its own rate and decay."""

    lr: Annotated[
        tuple[LearningRate, ...] | None,
        Help(
            Group.TRAINING,
            "the recipe's; else "
            + ", ".join(f"{k} {v.learning_rate:g}" for k, v in OPTIMIZERS.items()),
        ),
    ] = None
    """Learning rates: the peak, where the recipe has a schedule."""

    weight_decay: Annotated[
        tuple[WeightDecay, ...] | None,
        Help(
            Group.TRAINING,
            "the recipe's; else "
            + ", ".join(f"{k} {v.weight_decay:g}" for k, v in OPTIMIZERS.items()),
        ),
    ] = None
    """Weight decays of all parameters. They are added to the gradient; adamw takes them, times the
    rate, from the weights, and in the recipe airbench94 they do not depend on the rate."""

    warmup: Annotated[tuple[Share, ...] | None, Help(Group.TRAINING, "the recipe's")] = None
    """Shares of all updates in which the rate rises to its peak."""

    label_smoothing: Annotated[tuple[Share, ...] | None, Help(Group.TRAINING, "the recipe's")] = (
        None
    )
    """Label smoothing: the share of each label that is spread over all classes."""

    precision: Precisions = ("fp32",)
    """Arithmetic of a training step; tf32 and fp16 (with loss scaling) need a CUDA card."""

    channels_last: Annotated[tuple[Switch, ...], Help(Group.TRAINING)] = ("yes",)
    """Keep images and weights in channels-last memory."""

    augment: Annotated[
        tuple[Annotated[str, one_of(AUGMENTATIONS)], ...] | None,
        Help(Group.TRAINING, "the recipe's"),
    ] = None
    """Change training images at random. shift: flip, and shift by up to an eighth. crop: flip, and
    crop from a black border of an eighth. cutout: the same from a reflected border, with a square
    blanked. alternate: flip half of the images in one epoch, the other half in the next, and shift
    by a sixteenth. Without a value, shift."""

    pretrained: Annotated[tuple[Switch, ...], Help(Group.TRAINING)] = ("no",)
    """Start from published ImageNet weights instead of random ones."""

    freeze: Annotated[tuple[Annotated[str, one_of(FROZEN)], ...], Help(Group.TRAINING)] = ("none",)
    """What keeps its weights. body: everything but the last layers, which --pretrained gives
    something to build on."""

    accumulate: Annotated[tuple[Count, ...], Help(Group.TRAINING)] = (1,)
    """Parts that a batch is trained in, one after another, before each update: the same batch size
    in less memory. Batch norm sees a part at a time."""

    scale_lr: Annotated[str, one_of(SCALED_RATES), Help(Group.TRAINING)] = "none"
    """How the rate grows with the processes that train together, as their batch does: by their
    number (linear), by its root (sqrt), or not at all."""

    sync_batch_norm: Annotated[tuple[Switch, ...], Help(Group.TRAINING)] = ("no",)
    """Batch norm's statistics are of the images of all processes that train together (CUDA)."""

    deterministic: Annotated[bool, Help(Group.TRAINING)] = False
    """On CUDA, use slower algorithms that give the same numbers every time, and report operations
    that have none. On the CPU, numbers repeat anyway with the same number of threads."""

    epochs: Annotated[Count | None, Help(Group.LENGTH, _by_preset("epochs"))] = None
    """Passes over the training images."""

    seeds: Annotated[Count, Help(Group.LENGTH)] = 1
    """Train everything with N seeds: 0 to N-1, or from --first-seed on."""

    first_seed: Annotated[FirstSeed, Help(Group.LENGTH)] = 0
    """The first of the seeds: one that nobody has used yet, to add seeds to theirs."""

    rerun_noisy: Annotated[CountOrZero, Help(Group.LENGTH)] = 0
    """At the end, repeat trials whose times cannot be trusted, each at most N times."""

    time_limit: Annotated[Duration | None, Help(Group.LENGTH)] = None
    """Be done with everything, report included, in this time, such as 50m or 1h30m: seeds that do
    not fit are left out from the last one, of all models; models never are. Counted anew when a
    run is resumed."""

    dry_run: Annotated[bool, Help(Group.LENGTH)] = False
    """Do everything but train, timing a few steps of each model, and show how long the run would
    take; write no run folder."""

    trial_timeout: Annotated[Seconds | None, Help(Group.LENGTH)] = None
    """Stop any process of a trial that takes longer; the trial fails, the others go on."""

    max_batch: Annotated[bool, Help(Group.MEMORY)] = True
    """Search for the largest batch of each model, before any training."""

    sweep_batch: Annotated[bool, Help(Group.MEMORY)] = False
    """Also time a few batch sizes up to the largest, to find the fastest one."""

    card: Annotated[
        tuple[Card, ...] | None,
        Help(Group.MEMORY, f"{' '.join(DEFAULT_CARDS)} without a GPU, none with one", empty=True),
    ] = None
    """Predict the largest batch on these cards, which need not be here; a size such as 21.6GiB is
    what tensors may take. No value means no prediction."""

    memory_budget: Annotated[
        Size | None, Help(Group.MEMORY, f"{DEFAULT_MEMORY_BUDGET} on the CPU, the card on CUDA")
    ] = None
    """Memory that a model may take, such as 700MiB or 2GiB: a real limit. If given, it holds in
    training as well as in the search, and emulates a smaller card on CUDA."""

    device: Annotated[Device, Help(Group.PLACE)] = "auto"
    """Where to train; auto is the CUDA card if there is one, else the CPU."""

    devices: Annotated[Devices | None, Help(Group.PLACE, "one card")] = None
    """Train on several cards of a kind, a trial on each: all, or their numbers, such as 0,1. All
    trials of a seed run on one card, one after another."""

    ray_address: Annotated[Name | None, Help(Group.PLACE, "this machine alone")] = None
    """Train on the nodes of a running Ray cluster, a trial on each card, or on each node's
    processors (--device cpu): auto, or HOST:PORT. All trials of a seed run in one place."""

    node_timeout: Annotated[Seconds, Help(Group.PLACE)] = 60.0
    """Seconds after which a node that does not answer is lost: its trials go to others."""

    share_node: Annotated[Count, Help(Group.PLACE)] = 1
    """Train N trials side by side on the CPU, its threads divided among them. They slow each
    other down: their times do not compare with those of a run without it."""

    nproc_per_node: Annotated[tuple[Ranks, ...], Help(Group.PLACE)] = (1,)
    """Processes that train one trial together, each with a card of its own, or its part of the
    CPU's threads. Several values make a comparison of how training scales."""

    nnodes: Annotated[tuple[Ranks, ...], Help(Group.PLACE)] = (1,)
    """Nodes of the cluster (--ray-address) that train one trial together, with as many processes on
    each as --nproc-per-node says."""

    scaling: Annotated[str, one_of(SCALING), Help(Group.PLACE)] = "weak"
    """What stays the same if more processes train together. weak: the images that each has of a
    batch, which is --batch-size. strong: the images of the whole batch, which is --batch-size."""

    workers: Annotated[CountOrZero, Help(Group.PLACE)] = 2
    """Loader processes, for a data set that does not fit in memory."""

    output: Annotated[Folder | None, Help(Group.OUTPUT, "results/TIME-PRESET")] = None
    """Run folder; must be new or empty."""

    resume: Annotated[Folder | None, Help(Group.OUTPUT)] = None
    """Resume the interrupted run in this folder, with the options it was started with."""

    target_accuracy: Annotated[tuple[Accuracy, ...], Help(Group.OUTPUT)] = DEFAULT_TARGETS
    """Accuracies to time, of test or validation images: when each was first reached, and from when
    on it was held."""

    inspect: Annotated[bool, Help(Group.OUTPUT)] = True
    """After its last epoch, look at what training did to each network: kernels, weights and
    gradients before and after, the two modes of batch norm."""

    claims: Annotated[File | None, Help(Group.OUTPUT, "the lecture's")] = None
    """Statements to check the results against, a CSV file with a row per claim."""

    def resolve(self) -> "Config":
        """The same options with the preset's values in place of None; raises Refused as `Config`
        does."""
        return Config(**vars(self))


@dataclass(frozen=True, init=False, kw_only=True)
class Config(Options):
    """Checked options, in which the preset has filled in what was not given.

    One value stands for a sequence of one, a text for a path.

    Raises:
        Refused: an option has a value that cannot work; the message says which and what would.
        TypeError: there is no such option.
    """

    train_limit: Limit
    test_limit: Limit
    image_size: tuple[ImageSize, ...]
    batch_size: tuple[BatchSize, ...]
    epochs: Count
    recipe: tuple[RecipeName, ...]

    def __init__(self, **options: Any) -> None:
        known, values = options_of(Config), dict(vars(Options(**current(options))))
        for name in ("preset", "device"):
            known[name].checked(values[name])
        if not _is_dataset(known["dataset"].checked(values["dataset"])):
            raise Refused(known["dataset"].must_be(values["dataset"]))
        if values["preset"] == "auto":
            values["preset"] = default_preset(values["device"])
        whole = values["preset"] == "quick" and values["dataset"] != "auto"
        for name, value in (_OTHERWISE | PRESETS[values["preset"]]).items():
            if values[name] is None:
                values[name] = "all" if whole and name.endswith("_limit") else value
        if values["tune"] is not None and values["validation"] is None:
            values["validation"] = DEFAULT_VALIDATION
        super().__init__(**{name: known[name].checked(value) for name, value in values.items()})
        if 1 in self.batch_size:
            raise Refused("--batch-size 1 cannot train batch norm; use 2 or more.")
        if self.validation == 1:
            raise Refused(
                "--validation 1 is one image, and every class needs some; give more, or a share "
                "such as 0.1."
            )
        for batch, parts in product(self.batch_size, self.accumulate):
            if isinstance(batch, int) and batch < 2 * parts:
                raise Refused(
                    f"--accumulate {parts} makes parts of one image of --batch-size {batch}, which "
                    f"cannot train batch norm; use {2 * parts} or more."
                )
        searching = {
            "--sweep-batch": self.sweep_batch,
            "--batch-size max": "max" in self.batch_size,
        }
        for flag, given in searching.items():
            if given and not self.max_batch:
                raise Refused(f"{flag} takes a search: leave out --no-max-batch.")
        if "body" in self.freeze and "yes" not in self.pretrained:
            raise Refused("--freeze body keeps random weights as they are; add --pretrained.")
        several = [name for name in TUNED if len(getattr(self, name) or ()) > 1]
        if self.tune is not None and several:
            flag = flag_of(several[0])
            raise Refused(f"--tune chooses the value of {flag}; give {flag} one value or none.")
        if self.tune is not None and not self.validation:
            raise Refused("--tune chooses by validation accuracy; give --validation, such as 0.1.")
        if self.tune is not None and self.scale_lr != "none":
            raise Refused(
                "--tune chooses the rate that several processes need; leave out --scale-lr."
            )
        self._check_ranks()
        if self.ray_address is not None:
            self._check_cluster()
        _ = self.memory_budget_bytes, self.time_limit_seconds
        if self.devices is not None:
            self._check_devices(self.devices)
        if self.dry_run and self.resume is not None:
            raise Refused("--dry-run shows the plan of a new run; leave out --resume.")
        if self.dataset == "folder" and self.data_dir is None:
            raise Refused(
                "--dataset folder needs --data-dir, a folder with train/CLASS and test/CLASS."
            )

    def _check_ranks(self) -> None:
        """Raises Refused for what several processes cannot train together."""
        several = self.most_ranks > 1
        if max(self.nnodes) > 1 and self.ray_address is None:
            raise Refused("--nnodes takes nodes of a cluster; add --ray-address auto.")
        if not several and "yes" in self.sync_batch_norm:
            raise Refused("--sync-batch-norm is of several processes; add --nproc-per-node 2.")
        if several and self.share_node > 1:
            raise Refused("--share-node and --nproc-per-node both divide the CPU; leave out one.")
        if several and self.device not in ("auto", "cpu", "cuda"):
            raise Refused(
                f"--nproc-per-node needs the CPU or CUDA cards; leave out --device {self.device}."
            )
        for name in self.recipe if several else ():
            if RECIPES[name].trains_alone:
                raise Refused(
                    f"--recipe {name} is for one process; leave out --nproc-per-node and --nnodes."
                )
        if self.scaling == "strong":
            together = map(prod, product(self.nproc_per_node, self.nnodes))
            for batch, ranks in product(self.batch_size, together):
                if isinstance(batch, int) and (batch % ranks or batch < 2 * ranks):
                    raise Refused(
                        f"--scaling strong divides --batch-size {batch} among {ranks} processes, "
                        "at least two images for each: use a multiple of their number."
                    )

    def _check_cluster(self) -> None:
        """Raises Refused for what belongs to one machine."""
        others = {"devices": self.devices, "dry_run": self.dry_run}
        others |= {"share_node": self.share_node > 1}
        for name, given in others.items():
            if given:
                raise Refused(f"{flag_of(name)} is for one machine; leave out --ray-address.")

    def _check_devices(self, devices: str) -> None:
        """Raises Refused for cards that cannot be trained on together."""
        if self.device not in ("auto", "cuda"):
            raise Refused(f"--devices names CUDA cards; leave out --device {self.device}.")
        if self.share_node > 1:
            raise Refused("--share-node is for the CPU, --devices for cards; leave out one.")
        numbers = devices.split(",")
        if len(set(map(str.lstrip, numbers, "0" * len(numbers)))) < len(numbers):
            raise Refused(f"--devices {devices} names a card twice.")
        if max(self.nproc_per_node) > 1:
            raise Refused("--nproc-per-node takes the first cards; leave out --devices.")

    @property
    def most_ranks(self) -> int:
        """The most processes that train one trial together."""
        return max(self.nproc_per_node) * max(self.nnodes)

    @property
    def memory_budget_bytes(self) -> int | None:
        """The memory budget that was given, in bytes; None if none was."""
        return None if self.memory_budget is None else parse_bytes(self.memory_budget)

    @property
    def time_limit_seconds(self) -> float | None:
        """The time limit that was given, in seconds; None if none was."""
        return None if self.time_limit is None else parse_duration(self.time_limit)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `config.json`; `Config(**values)` makes an equal one."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in vars(self).items()}


def current(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of an older log or script by the names and with the values that they have today."""
    renamed = {RENAMED.get(name, name): value for name, value in options.items()}
    return {name: _current_value(name, value) for name, value in renamed.items()}


def logged_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run's log as they are today; a run from before there were recipes had what
    is now `constant`, whatever its preset."""
    return current(config if "recipe" in config else {**config, "recipe": ("constant",)})


def _current_value(name: str, value: Any) -> Any:
    if name not in SWITCHES:
        return value
    if isinstance(value, (list, tuple)):
        return tuple(_current_value(name, part) for part in value) or (SWITCHES[name][True],)
    return SWITCHES[name][value] if isinstance(value, bool) else value


VARIED = (
    *("image_size", "recipe", "optimizer", "lr", "weight_decay", "augment", "channels_last"),
    *("pretrained", "freeze", "accumulate", "warmup", "label_smoothing", "nproc_per_node"),
    *("sync_batch_norm", "nnodes", "precision"),
)
"""Options that take several values and make settings, the last varying fastest."""


def choices(options: Options) -> Iterator[dict[str, Any]]:
    """Every combination of what `options` has for settings, by name; None is left to the recipe."""
    values = (getattr(options, name) or (None,) for name in VARIED)
    same = {"scale_lr": options.scale_lr}
    return (dict(zip(VARIED, chosen, strict=True)) | same for chosen in product(*values))


def suits(choice: Mapping[str, Any], model: str) -> bool:
    """Whether a model is trained by the recipe of a choice; a frozen body of random weights is
    trained by none."""
    random_body = choice["freeze"] == "body" and choice["pretrained"] != "yes"
    return not random_body and RECIPES[choice["recipe"] or "constant"].trains(model)


def settings_of(facts: ModelFacts, options: Options) -> list[Setting]:
    """A model's settings, each once; a size that it cannot take becomes the nearest that it
    can, and recipes that are for other models are left out."""
    made = (
        make_setting(facts.nearest_pixels(choice.pop("image_size")), family=facts.family, **choice)
        for choice in choices(options)
        if suits(choice, facts.name)
    )
    return list(dict.fromkeys(made))

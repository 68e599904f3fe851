"""Every option, exactly once.

The command line, `config.json` and the Python API are all made from `Config`. A preset is a set of
values for the options that were not given; `Config(preset="smoke")` already carries them.
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from tyro.conf import arg

from bench.errors import Refused
from bench.prediction.cards import DEFAULT_CARDS, find_card
from bench.records.records import ModelFacts, Setting
from bench.units import parse_bytes

PresetName = Literal["auto", "smoke", "quick", "lecture"]
DatasetName = Literal["auto", "cifar10", "cifar100", "folder", "shapes10"]
OptimizerName = Literal["adam", "adamw", "sgd"]
PrecisionName = Literal["fp32", "tf32", "bf16", "fp16"]
ImageSize = int | Literal["native"]
BatchSize = int | Literal["auto", "own", "max"]
Limit = int | Literal["all"]

DEFAULT_MEMORY_BUDGET = "768MiB"
"""What a search on the CPU works against: modest, so that it takes seconds."""

PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {"image_size": (32,), "epochs": 2, "train_limit": 384, "test_limit": 256},
    "quick": {"image_size": (32,), "epochs": 10, "train_limit": 5_000, "test_limit": 2_000},
    "lecture": {"image_size": ("native",), "epochs": 10, "batch_size": ("own",)},
}
"""What each preset gives to the options that were not given."""

DEFAULT_TARGETS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Test accuracies that are timed where no others were asked for."""

LEARNING_RATES: dict[str, float] = {"adam": 1e-3, "adamw": 1e-3, "sgd": 1e-2}
"""Each optimizer's default learning rate; Adam's is the lecture's."""

_OTHERWISE: dict[str, Any] = {"train_limit": "all", "test_limit": "all", "batch_size": ("auto",)}

_T = TypeVar("_T")
if TYPE_CHECKING:
    ByPreset = Annotated[_T, "after construction never None: the preset's value stands in"]
else:
    ByPreset = Annotated[_T | None, "None until the preset's value stands in"]


def _by_preset(name: str) -> str:
    """What `--help` shows as the default of an option that the presets set."""

    def shown(preset: str) -> str:
        value = (_OTHERWISE | PRESETS[preset])[name]
        return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)

    return "(default: " + ", ".join(f"{preset} {shown(preset)}" for preset in PRESETS) + ")"


def default_preset(device: str) -> str:
    """`lecture` where the run will have a CUDA card, `quick` where it will not."""
    return "lecture" if device != "cpu" and device != "mps" and has_cuda_card() else "quick"


@functools.cache
def has_cuda_card() -> bool:
    """Whether NVML sees a card; without torch."""
    import pynvml

    try:
        pynvml.nvmlInit()
        return bool(pynvml.nvmlDeviceGetCount() > 0)
    except pynvml.NVMLError:
        return False


@dataclass(frozen=True)
class Config:
    """Compare image classifiers: largest batch, timed epochs, accuracy curves, and a report.

    Options that a comparison varies (image size, batch size, optimizer, precision) take one value
    or several; the plan is their product with the models and the seeds.

    Raises:
        Refused: an option has a value that cannot work; the message says which and what would.
    """

    models: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ("resnet18", "googlenet")
    """Models by name or wildcard ('resnet*'); `python -m bench list` shows them. googlenet:noaux
    trains without auxiliary heads; torchvision:NAME and timm:NAME reach all the others."""

    preset: PresetName = "auto"
    """smoke: seconds, for CI. quick: minutes on a CPU. lecture: native size, all images, 10 epochs.
    auto: lecture where there is a CUDA card, else quick. Any other option overrides it."""

    dataset: DatasetName = "auto"
    """auto: CIFAR-10 if it is on disk or can be fetched, else the generated shapes10."""

    data_dir: Annotated[Path | None, arg(metavar="DIR")] = None
    """Holds train/CLASS/* and test/CLASS/* (dataset folder), or is where CIFAR lies or goes."""

    train_limit: Annotated[
        ByPreset[Limit], arg(metavar="N|all", help_behavior_hint=_by_preset("train_limit"))
    ] = None  # type: ignore[assignment]
    """Train on a class-balanced, seeded subset of N images. The quick preset limits only the data
    set that it chose itself; one that you name is used whole."""

    test_limit: Annotated[
        ByPreset[Limit], arg(metavar="N|all", help_behavior_hint=_by_preset("test_limit"))
    ] = None  # type: ignore[assignment]
    """Evaluate on a class-balanced, seeded subset of N images."""

    augment: bool = False
    """Flip and shift training images at random."""

    image_size: Annotated[
        ByPreset[tuple[ImageSize, ...]],
        arg(metavar="PX|native ...", help_behavior_hint=_by_preset("image_size")),
    ] = None  # type: ignore[assignment]
    """Pixels a side that images are enlarged to; native is each model's own (224, or 299)."""

    epochs: Annotated[ByPreset[int], arg(metavar="N", help_behavior_hint=_by_preset("epochs"))] = (
        None  # type: ignore[assignment]
    )
    """Passes over the training images."""

    batch_size: Annotated[
        ByPreset[tuple[BatchSize, ...]],
        arg(metavar="N|auto|own|max ...", help_behavior_hint=_by_preset("batch_size")),
    ] = None  # type: ignore[assignment]
    """auto: one for all models, the largest power of two that fits every one of them, at most 128.
    own: that for each model by itself. max: the largest that fits. A number is itself."""

    optimizer: Annotated[tuple[OptimizerName, ...], arg(metavar="adam|adamw|sgd ...")] = ("adam",)
    """adam and adamw have learning rate 1e-3; sgd has Nesterov momentum 0.9 and 1e-2."""

    lr: Annotated[
        float | None, arg(metavar="RATE", help_behavior_hint="(default: by optimizer)")
    ] = None
    """Learning rate."""

    target_accuracy: Annotated[tuple[float, ...], arg(metavar="FRACTION ...")] = DEFAULT_TARGETS
    """Test accuracies to time: when was each first reached, and since when was it held."""

    precision: Annotated[tuple[PrecisionName, ...], arg(metavar="fp32|tf32|bf16|fp16 ...")] = (
        "fp32",
    )
    """tf32 and fp16 (with loss scaling) need a CUDA card."""

    channels_last: bool = True
    """Keep images and weights in channels-last memory."""

    pretrained: bool = False
    """Start from published ImageNet weights instead of random ones."""

    seeds: Annotated[int, arg(metavar="N")] = 1
    """Repeat every trial with the seeds 0 to N-1."""

    deterministic: bool = False
    """On CUDA, use slower algorithms that give the same numbers every time, and say which operation
    has none. The CPU's are the same anyway, with the same number of threads."""

    rerun_noisy: Annotated[int, arg(metavar="N")] = 0
    """At the end, train a trial whose times cannot be trusted again, at most N times."""

    fit: bool = True
    """Search for the largest batch that fits, before any training."""

    sweep_batch: bool = False
    """Also time a few batch sizes up to the largest, to find the fastest one."""

    card: Annotated[
        tuple[str, ...] | None,
        arg(
            metavar="CARD|SIZE ...",
            help_behavior_hint=f"(default: {' '.join(DEFAULT_CARDS)} without a GPU, none with one)",
        ),
    ] = None
    """Predict the largest batch on these cards, which need not be here; a size such as 21.6GiB is
    what tensors may take. No value means no prediction."""

    memory_budget: Annotated[
        str | None,
        arg(
            metavar="SIZE",
            help_behavior_hint=f"(default: {DEFAULT_MEMORY_BUDGET} on the CPU, the card on CUDA)",
        ),
    ] = None
    """Memory a model may take, such as 700MiB or 2GiB: a real limit. One that you give holds in
    training as well as in the search, and emulates a smaller card on CUDA."""

    device: Annotated[str, arg(metavar="auto|cpu|cuda[:N]|mps")] = "auto"
    """Where to train; auto is the CUDA card if there is one, else the CPU."""

    workers: Annotated[int, arg(metavar="N")] = 2
    """Loader processes, for a data set that does not fit in memory."""

    output: Annotated[
        Path | None, arg(metavar="DIR", help_behavior_hint="(default: results/TIME-PRESET)")
    ] = None
    """Run folder; must be new or empty."""

    inspect: bool = True
    """After its last epoch, look at what training did to each network: kernels, weights and
    gradients before and after, batch norm's modes."""

    claims: Annotated[
        Path | None, arg(metavar="FILE", help_behavior_hint="(default: the lecture's)")
    ] = None
    """Statements to check the results against, a CSV file with a row per claim."""

    trial_timeout: Annotated[float | None, arg(metavar="SECONDS")] = None
    """End a trial that takes longer, in each process of it; it fails, the others go on."""

    resume: Annotated[Path | None, arg(metavar="RUN")] = None
    """Go on with an interrupted run, with the options it was started with."""

    def __post_init__(self) -> None:
        """Let the preset's values stand in, make sequences tuples, refuse what cannot work."""
        name = default_preset(self.device) if self.preset == "auto" else self.preset
        if name not in PRESETS:
            raise Refused(f"--preset {name!r} is not one of {', '.join(PRESETS)}.")
        values = self._preset_values(name)
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                value = values.get(field.name)
            if field.name in _SEVERAL or (field.name == "card" and value is not None):
                value = _several(value)
            if field.name in ("data_dir", "output", "claims", "resume") and value is not None:
                value = Path(value)
            object.__setattr__(self, field.name, value)
        object.__setattr__(self, "preset", name)
        _validate(self)

    def _preset_values(self, name: str) -> dict[str, Any]:
        values = _OTHERWISE | PRESETS[name]
        if name == "quick" and self.dataset != "auto":
            values |= {"train_limit": "all", "test_limit": "all"}
        return values

    @property
    def memory_budget_bytes(self) -> int | None:
        """The memory budget that was given, in bytes; None if none was."""
        return None if self.memory_budget is None else parse_bytes(self.memory_budget)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `config.json`; `Config(**values)` makes an equal one."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}


_SEVERAL = ("models", "image_size", "batch_size", "optimizer", "precision", "target_accuracy")


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def make_setting(pixels: int, optimizer: str, precision: str, lr: float | None) -> Setting:
    """A setting, with the optimizer's own learning rate where none is given."""
    return Setting(pixels, optimizer, LEARNING_RATES[optimizer] if lr is None else lr, precision)


def settings_of(
    facts: ModelFacts,
    image_sizes: Iterable[int | str],
    optimizers: Iterable[str],
    precisions: Iterable[str],
    lr: float | None,
) -> list[Setting]:
    """A model's settings, each once; a size that it cannot take becomes its smallest."""
    pixels = map(facts.nearest_pixels, image_sizes)
    wanted = product(pixels, optimizers, precisions)
    return list(dict.fromkeys(make_setting(*setting, lr) for setting in wanted))


def _validate(config: Config) -> None:
    _check_counts(config)
    _check_choices(config)
    if config.memory_budget is not None:
        parse_bytes(config.memory_budget)
    for card in config.card or ():
        find_card(card)
    if config.dataset == "folder" and config.data_dir is None:
        raise Refused(
            "--dataset folder needs --data-dir, a folder with train/CLASS and test/CLASS."
        )
    for target in config.target_accuracy:
        if not 0 < target <= 1:
            raise Refused(f"--target-accuracy {target} must be a fraction above 0, such as 0.7.")
    if config.lr is not None and not 0 < config.lr < float("inf"):
        raise Refused(f"--lr {config.lr} must be a positive number.")
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", config.device):
        raise Refused(f"--device {config.device!r} is unknown; use auto, cpu, cuda, cuda:N or mps.")


def _check_counts(config: Config) -> None:
    counts: dict[str, tuple[Any, ...]] = {
        "epochs": (config.epochs,),
        "seeds": (config.seeds,),
        "train-limit": (config.train_limit,),
        "test-limit": (config.test_limit,),
        "batch-size": config.batch_size,
        "image-size": config.image_size,
    }
    words: dict[str, tuple[str, ...]] = {
        "train-limit": ("all",),
        "test-limit": ("all",),
        "batch-size": ("auto", "own", "max"),
        "image-size": ("native",),
    }
    for flag, values in counts.items():
        for value in values:
            if isinstance(value, str) and value in words.get(flag, ()):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                allowed = " or ".join(("a whole number above 0", *words.get(flag, ())))
                raise Refused(f"--{flag} {value} must be {allowed}.")
    if 1 in config.batch_size:
        raise Refused("--batch-size 1 cannot train batch norm; use 2 or more.")
    if config.trial_timeout is not None and not config.trial_timeout > 0:
        raise Refused(f"--trial-timeout {config.trial_timeout} must be above 0.")
    for flag, count in (("workers", config.workers), ("rerun-noisy", config.rerun_noisy)):
        if count < 0:
            raise Refused(f"--{flag} {count} must be 0 or more.")


def _check_choices(config: Config) -> None:
    choices: dict[str, tuple[tuple[Any, ...], Any]] = {
        "dataset": ((config.dataset,), DatasetName),
        "optimizer": (config.optimizer, OptimizerName),
        "precision": (config.precision, PrecisionName),
    }
    for flag, (values, allowed) in choices.items():
        for value in values:
            if value not in allowed.__args__:
                raise Refused(f"--{flag} {value!r} is not one of {', '.join(allowed.__args__)}.")
    for name in _SEVERAL:
        given = getattr(config, name)
        if not given:
            raise Refused(f"--{name.replace('_', '-')} needs at least one value.")
        if len(set(given)) < len(given):
            raise Refused(f"--{name.replace('_', '-')} names a value twice.")

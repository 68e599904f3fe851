"""What a parent and its worker say to each other: lines of JSON over pipes, never pickles.

A worker gets one job and sends records (`bench.records.records`) and the messages below. After a record it
waits for the parent's answer, so that the parent writes files and draws the screen while nothing is
being measured. A worker that fits answers one probe request after another.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from bench.records.memory_trace import Trace
from bench.records.records import (
    DatasetFacts,
    DeviceFacts,
    ModelFacts,
    Record,
    Setting,
    Trial,
    convert,
)

STOP = b"stop\n"
"""The line by which a parent asks its worker to finish the step, save and end."""


@dataclass(frozen=True)
class PrepareJob:
    """Look at everything that must be there before a run starts, and prepare the images.

    Limits count images, None for all; `image_sizes` holds pixels or `native`; images go to
    `data_folder`.
    """

    models: tuple[str, ...]
    device: str
    precisions: tuple[str, ...]
    dataset: str
    data_dir: str | None
    train_limit: int | None
    test_limit: int | None
    image_sizes: tuple[int | str, ...]
    data_folder: str


@dataclass(frozen=True)
class Prepared:
    """The answer to a `PrepareJob`."""

    models: tuple[ModelFacts, ...]
    device: DeviceFacts
    dataset: DatasetFacts
    environment: dict[str, Any]


@dataclass(frozen=True)
class Conditions:
    """What is the same for all models of a run. `budget_bytes` is None where the device's own
    memory is the limit; `largest_size` of the images of the run in pixels."""

    device: str
    dataset: DatasetFacts
    channels_last: bool
    augment: bool
    pretrained: bool
    budget_bytes: int | None
    workers: int
    deterministic: bool = False


@dataclass(frozen=True)
class SearchJob:
    """Count a model at the setting's image size, then answer probes of it."""

    model: str
    setting: Setting
    conditions: Conditions


@dataclass(frozen=True)
class ProbeRequest:
    """Try a batch size; with `limited` False, without the budget, to learn what it takes. The last
    `timed_steps` of its steps are timed."""

    batch_size: int
    limited: bool = True
    timed_steps: int = 0


@dataclass(frozen=True)
class Ready:
    """A fitting worker can take requests; a model may take `limit_bytes`, if that is known.
    `versions` of what a probe's memory depends on."""

    limit_bytes: int | None
    versions: dict[str, str]


@dataclass(frozen=True)
class ResolveJob:
    """Look up the models that names and wildcards mean, other collections' too."""

    models: tuple[str, ...]


@dataclass(frozen=True)
class Resolved:
    """The answer to a `ResolveJob`."""

    models: tuple[ModelFacts, ...]


@dataclass(frozen=True)
class SimulateJob:
    """Simulate a CUDA card's training step of every model (names or wildcards) in every setting.

    With a data set, its images are resident on the card, as in a run.
    """

    models: tuple[str, ...]
    image_sizes: tuple[int | str, ...]
    optimizers: tuple[str, ...]
    precisions: tuple[str, ...]
    learning_rate: float | None
    num_classes: int
    channels_last: bool
    dataset: DatasetFacts | None


@dataclass(frozen=True)
class Simulated:
    """One answer to a `SimulateJob`: a trace, or why there is none."""

    model: str
    setting: Setting
    trace: Trace | None
    seconds: float
    reason: str | None = None


@dataclass(frozen=True)
class TrainJob:
    """Train one trial from images in `data_folder`, or go on with it from its `checkpoint` if there
    is one; `logged_epochs` of it are in the run's log. With a file for `kernels`, initial weights
    are kept at `start`, and what training did to the network is looked at in the end."""

    trial: Trial
    epochs: int
    data_folder: str
    conditions: Conditions
    checkpoint: str
    start: str
    kernels: str | None = None
    logged_epochs: int = 0


@dataclass(frozen=True)
class Resumed:
    """A trial goes on after so many of the epochs that are in the run's log."""

    epochs: int


@dataclass(frozen=True)
class Stopped:
    """A trial was asked to stop, and has saved where it is."""


@dataclass(frozen=True)
class Progress:
    """How far a phase is; `rate` in images per second where that means something."""

    phase: str
    done: int
    total: int
    rate: float | None = None


@dataclass(frozen=True)
class Warned:
    """Something a user should know of that costs no trial."""

    text: str


@dataclass(frozen=True)
class Failure:
    """Why a worker could not do its job, in a sentence; `refused` if the input is at fault,
    `unsaved` if what it has done could not be written."""

    reason: str
    refused: bool = False
    unsaved: bool = False


Job = PrepareJob | SearchJob | TrainJob | ResolveJob | SimulateJob
Answer = Prepared | Ready | Resolved | Resumed | Simulated | Stopped | Progress | Warned | Failure
Message = Record | Job | ProbeRequest | Answer

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in Message.__args__}


def encode_message(message: Message) -> bytes:
    """One line of JSON with its newline."""
    values = msgspec.to_builtins(message)
    return msgspec.json.encode({"message": type(message).__name__} | values) + b"\n"


def decode_message(line: bytes) -> Any:
    """The message of one line; raises msgspec.MsgspecError or KeyError if it is none."""
    values = msgspec.json.decode(line, type=dict[str, Any])
    return convert(values, _KINDS[values.pop("message")])

"""Messages between a parent and its worker: lines of JSON over pipes, never pickles.

A worker gets one job, and sends records (`bench.records.records`) and the messages below. After
each record it waits for the parent, which therefore writes files and draws the screen only while
nothing is being measured. In a search, the worker answers one probe request after another.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from bench.errors import BenchError, Diverged, Refused, TrialFailed, Unsaved, WorkerDied
from bench.records.kernel_trace import KernelTrace
from bench.records.measurement import Measurement
from bench.records.memory_trace import Trace
from bench.records.records import (
    Calibrated,
    DatasetFacts,
    DeviceFacts,
    ModelFacts,
    Record,
    Setting,
    Trial,
    convert,
)

WHOLE = "whole"
"""The folder, within that of a run's images, of the data set without validation images."""

STOP = b"stop\n"
"""The line that asks a worker to finish its step, save and end."""


@dataclass(frozen=True)
class OwnModel:
    """A network of the user's own that was examined: its facts, and the file or module that it is
    in with its name there."""

    facts: ModelFacts
    place: tuple[str, str]


@dataclass(frozen=True)
class ExamineJob:
    """Examine a network of the user's own, called `name` in results, before anything is trained;
    the answer is an `OwnModel`. `image_sizes`, in pixels or `native`, are those it must take."""

    name: str
    place: tuple[str, str]
    image_sizes: tuple[int | str, ...] = ()
    channels_last: bool = True


@dataclass(frozen=True)
class PrepareJob:
    """Check everything that a run needs before it starts, and write its images to `data_folder`.

    Limits count images, None for all; `image_sizes` are pixels or `native`; `validation` is how
    many training images to keep, or which share. With `whole`, the data set is prepared without
    validation images, too. `devices` are numbers of cards or `all`; `share_node` trials run side by
    side on the CPU; at most `nproc_per_node` processes train one together.
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
    own: tuple[OwnModel, ...] = ()
    validation: int | float = 0
    whole: bool = False
    devices: str | None = None
    share_node: int = 1
    nproc_per_node: int = 1
    sync_batch_norm: bool = False


@dataclass(frozen=True)
class Prepared:
    """The answer to a `PrepareJob`. `whole` is the data set without validation images, in the
    folder `WHOLE` of the same place, if it was asked for. `slots` are the devices that trials run
    on side by side, none if one after another; `nodes` are hashes of the names of their nodes, if
    there are several."""

    models: tuple[ModelFacts, ...]
    device: DeviceFacts
    dataset: DatasetFacts
    environment: dict[str, Any]
    own: tuple[OwnModel, ...] = ()
    whole: DatasetFacts | None = None
    slots: tuple[DeviceFacts, ...] = ()
    nodes: tuple[str, ...] = ()

    def dataset_of(self, trial: Trial) -> DatasetFacts:
        """The images that a trial trains on: all, once its contestant is tuned."""
        retrained = trial.tuning is not None and not trial.is_point
        return self.whole if retrained and self.whole is not None else self.dataset


@dataclass(frozen=True)
class Conditions:
    """What is the same for all models of a run. `budget_bytes` is None where the device's own
    memory is the limit; `workers` is the number of data loader processes; `threads` of torch
    are None for as many as it takes by itself."""

    device: str
    dataset: DatasetFacts
    budget_bytes: int | None
    workers: int
    deterministic: bool = False
    own: tuple[OwnModel, ...] = ()
    threads: int | None = None


@dataclass(frozen=True)
class Meeting:
    """Where the processes of several nodes meet: at a port of the first node. `node` is the number
    of the one that is told, `own` its address."""

    address: str
    port: int
    node: int
    own: str


@dataclass(frozen=True)
class SearchJob:
    """Describe a model at the setting's image size, then answer probe requests. A step's memory is
    predicted first, which takes seconds, if the largest batch is `searched` for."""

    model: str
    setting: Setting
    conditions: Conditions
    searched: bool = True


@dataclass(frozen=True)
class ProbeRequest:
    """Try a batch size, without the memory budget if `limited` is False, and time its last
    `timed_steps` steps. A brief one takes only the steps that tell the peak."""

    batch_size: int
    limited: bool = True
    timed_steps: int = 0
    brief: bool = False
    meeting: Meeting | None = None


@dataclass(frozen=True)
class Ready:
    """A search worker accepts requests. A model may take `limit_bytes`, None if that is unknown;
    `versions` are of the packages that a probe's memory depends on. `trace` predicts a step's
    memory, where that can be simulated."""

    limit_bytes: int | None
    versions: dict[str, str]
    trace: Trace | None = None


@dataclass(frozen=True)
class ResolveJob:
    """Look up models by name or wildcard, including those of other collections."""

    models: tuple[str, ...]
    own: tuple[OwnModel, ...] = ()


@dataclass(frozen=True)
class Resolved:
    """The answer to a `ResolveJob`."""

    models: tuple[ModelFacts, ...]


@dataclass(frozen=True)
class SimulateJob:
    """Simulate the training step of models by name, each in a setting, on a CUDA card or the CPU.

    With a data set, its images take what they take of the device's memory in a run.
    """

    shapes: tuple[tuple[str, Setting], ...]
    num_classes: int
    dataset: DatasetFacts | None
    own: tuple[OwnModel, ...] = ()
    device: str = "cuda"


@dataclass(frozen=True)
class Simulated:
    """One answer to a `SimulateJob`: memory and kernels of a step, or why there are none."""

    model: str
    setting: Setting
    trace: Trace | None
    reason: str | None = None
    kernels: KernelTrace | None = None


@dataclass(frozen=True)
class TrainJob:
    """Train one trial on the images in `data_folder`, from its `checkpoint` if there is one;
    `logged_epochs` of it are in the run's log. With a file for `kernels`, its initial weights are
    kept at `start` and the network is inspected after the last epoch; with a file for `logits`,
    those of the test images are kept then. `calibrated` is the machine's
    speed where it is known because another trial has just ended. If it is `tested`, the test images
    are not touched, although there is a validation split. If it is not `evaluated`, no epoch is,
    and the test images are left for after the last. A rehearsal only times a few steps: its one
    answer, besides calibrations, is a `StepsTimed`. Of several nodes that train it together, all
    are told of the same `meeting`."""

    trial: Trial
    epochs: int
    data_folder: str
    conditions: Conditions
    checkpoint: str
    start: str
    kernels: str | None = None
    logits: str | None = None
    logged_epochs: int = 0
    rehearsal: bool = False
    calibrated: Calibrated | None = None
    tested: bool = False
    evaluated: bool = True
    meeting: Meeting | None = None


@dataclass(frozen=True)
class Resumed:
    """A trial continues after the first `epochs` epochs of the run's log."""

    epochs: int


@dataclass(frozen=True)
class Stopped:
    """A trial has saved its state and stopped, as requested."""


@dataclass(frozen=True)
class Progress:
    """`done` of `total` of a phase, at `rate` units per second where that applies; the `unit` is
    `images`, or `bytes` of a download."""

    phase: str
    done: int
    total: int
    rate: float | None = None
    unit: str = "images"


@dataclass(frozen=True)
class Warned:
    """A problem that the user should know about, but that fails no trial."""

    text: str


@dataclass(frozen=True)
class Planned:
    """What each trial of the run is called, by its id; for listeners, before the first trial."""

    labels: dict[str, str]


@dataclass(frozen=True)
class Failure:
    """Why a worker could not do its job, in one sentence; `refused` if the input is invalid,
    `unsaved` if a checkpoint could not be written, `died` if a process that it had started did,
    `diverged` if the loss was no longer finite."""

    reason: str
    refused: bool = False
    unsaved: bool = False
    died: bool = False
    diverged: bool = False

    @property
    def error(self) -> type[BenchError]:
        """What it is raised as."""
        kinds: dict[type[BenchError], bool] = {
            Refused: self.refused,
            Unsaved: self.unsaved,
            WorkerDied: self.died,
            Diverged: self.diverged,
        }
        return next((kind for kind, is_so in kinds.items() if is_so), TrialFailed)


@dataclass(frozen=True)
class WorkerEnded:
    """A worker on another node has ended: with the name of an error of `bench.errors` and its
    sentence, or after all that it had to do."""

    error: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class SelfCheckJob:
    """Measure for a self-check: `what` is a key of `bench.runner.worker.selfcheck_jobs.JOBS`. A
    step has `batch_size` images, an epoch `images`."""

    what: str
    device: str
    model: str
    setting: Setting
    batch_size: int
    images: int = 0


@dataclass(frozen=True)
class Figures:
    """The answer to a `SelfCheckJob`, none where it cannot be measured here."""

    values: tuple[Measurement, ...]


@dataclass(frozen=True)
class AbilitiesJob:
    """Ask what a device can do; `timed`, how fast it is, too."""

    device: str
    timed: bool = False


@dataclass(frozen=True)
class Abilities:
    """The precisions that a device computes in, and how many of its kind are here; if it was timed,
    operations and bytes a second (`bench.system.reference_matmul.machine_peaks`)."""

    precisions: tuple[str, ...]
    devices: int
    flops: float | None = None
    bandwidth: float | None = None


Job = (
    ExamineJob
    | PrepareJob
    | SearchJob
    | TrainJob
    | ResolveJob
    | SimulateJob
    | SelfCheckJob
    | AbilitiesJob
)
Reply = (
    OwnModel
    | Abilities
    | Figures
    | Prepared
    | Ready
    | Resolved
    | Resumed
    | Simulated
    | Stopped
    | Progress
    | Warned
    | Failure
    | WorkerEnded
)
Message = Record | Job | ProbeRequest | Reply

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in Message.__args__}


def encode_message(message: Message) -> bytes:
    """One line of JSON with its newline."""
    values = msgspec.to_builtins(message)
    return msgspec.json.encode({"message": type(message).__name__} | values) + b"\n"


def decode_message(line: bytes) -> Any:
    """The message in one line; raises msgspec.MsgspecError or KeyError if it is not a message."""
    values = msgspec.json.decode(line, type=dict[str, Any])
    return convert(values, _KINDS[values.pop("message")])

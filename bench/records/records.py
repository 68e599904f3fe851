"""What is written to disk: one frozen dataclass per kind of event.

A line of `events.jsonl` is one record as JSON with its kind in `event`. Times are seconds, sizes
bytes, accuracies fractions, losses nats. Workers send the same records to their parent, so a
measurement has a single representation.

Schema history: 1, the first; 2, a checksum in every line (`bench.records.run_folder`), resumed
trials and epochs; 3, raw step times, what else ran on the processors, calibrations, repeated
trials. Older logs are still read.
"""

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

import msgspec

from bench.errors import Refused
from bench.search_spaces import Dimension

SCHEMA = 3

Status = Literal["done", "failed", "refused"]
Source = Literal["measured", "predicted", "published"]
HeldOut = Literal["validation", "test"]


@dataclass(frozen=True)
class RunStarted:
    """The first line of a log: the options of the run, and when it started (UTC, ISO 8601)."""

    schema: int
    started_at: str
    command: str
    config: dict[str, Any]
    environment: dict[str, Any]


@dataclass(frozen=True)
class DatasetFacts:
    """The images of a run.

    `name` is the data set, `asked` the option given for it; `stored_size` the side in pixels at
    which images are stored; `mean` and `std` per channel, of training pixels in [0, 1]; `resident`
    is False if batches are streamed from disk. `notes` are sentences that readers must see.
    `validation_images` were kept from the training images, which are then only the rest of them;
    `validation_sha256` is of their places among all training images of the data set, ascending, as
    little-endian 64-bit integers.
    """

    name: str
    asked: str
    classes: tuple[str, ...]
    train_images: int
    test_images: int
    stored_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sha256: str
    resident: bool
    notes: tuple[str, ...] = ()
    validation_images: int = 0
    validation_sha256: str | None = None

    @property
    def evaluated_on(self) -> HeldOut:
        """The images that every epoch is evaluated on."""
        return "validation" if self.validation_images else "test"

    @property
    def evaluated_images(self) -> int:
        """How many images every epoch is evaluated on."""
        return self.parts[self.evaluated_on]

    @property
    def parts(self) -> dict[str, int]:
        """How many images each part has, in their order; `validation` only where there is one."""
        validation = {"validation": self.validation_images} if self.validation_images else {}
        return {"train": self.train_images, **validation, "test": self.test_images}

    @property
    def image_bytes(self) -> int:
        """What all of them take as they are stored: three bytes a pixel."""
        return sum(self.parts.values()) * self.stored_size**2 * 3


@dataclass(frozen=True)
class ModelFacts:
    """What is published about a model. Sizes are pixels per side.

    `params_imagenet` includes auxiliary heads; `gmacs` are billions of multiply-adds of one
    inference at the native size, without them. None where nothing was published.
    `published_weights` is False where no ImageNet weights can fit it. `source_sha256` is the hash
    of the file that a network of the user's own is from. `largest_size` is None where there is
    none.
    """

    name: str
    family: str
    native_size: int
    smallest_size: int
    aux_weights: dict[str, float]
    paper: str
    params_imagenet: int | None
    gmacs: float | None
    source_sha256: str | None = None
    published_weights: bool = True
    largest_size: int | None = None

    def pixels(self, image_size: int | str) -> int:
        """Pixels per side for an image size that may be `native`.

        Raises:
            Refused: the model needs larger or smaller images.
        """
        size = self.native_size if image_size == "native" else int(image_size)
        if self.largest_size and size > self.largest_size:
            raise Refused(
                f"--image-size {size} is too large for {self.name}, which takes at most "
                f"{self.largest_size}; use --image-size native or leave the model out."
            )
        if size < self.smallest_size:
            raise Refused(
                f"--image-size {size} is too small for {self.name}, which needs "
                f"{self.smallest_size}; use --image-size native or leave the model out."
            )
        return size

    def check_pretrained(self) -> None:
        """Raises Refused if there are no published weights to start from."""
        if not self.published_weights:
            original, _, variant = self.name.partition(":")
            other = f", or train {original}" if variant else ""
            raise Refused(
                f"--pretrained: there are no ImageNet weights for {self.name}; leave it out{other}."
            )

    def nearest_pixels(self, image_size: int | str) -> int:
        """Pixels per side for an image size, or the nearest that the model accepts."""
        size = self.native_size if image_size == "native" else int(image_size)
        size = max(size, self.smallest_size)
        return min(size, self.largest_size or size)


@dataclass(frozen=True)
class DeviceFacts:
    """Where it ran. `kind` is `cpu`, `cuda` or `mps`; `memory_bytes` in total; `threads` of torch's
    intra-op pool (CPU only)."""

    device: str
    kind: str
    name: str
    memory_bytes: int
    threads: int | None


@dataclass(frozen=True)
class Slots:
    """The devices that trials run on side by side, from now on; a trial's `slot` is its place.
    `nodes` are hashes of the names of their nodes, if there are several."""

    devices: tuple[DeviceFacts, ...]
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """One layer with weights: parameters, and GMACs and output shape for one image.

    `reached_share` is the share of a convolution's weights that any pixel of its input meets at
    this image size: the middle weight alone, of a padded 3x3 kernel on a 1x1 map. No image reaches
    the others. None of other layers, and in logs from before it was recorded.
    """

    layer: str
    type: str
    params: int
    gmacs: float
    output_shape: tuple[int, ...]
    auxiliary: bool
    reached_share: float | None = None


@dataclass(frozen=True)
class ModelDescribed:
    """The size of a model. `params` as trained, `params_aux` of them in auxiliary heads;
    `params_imagenet` for 1,000 classes; `gmacs` of one inference at `image_size`, `gmacs_native`
    at the native size with 1,000 classes, comparable with published figures.
    """

    model: str
    image_size: int
    params: int
    params_aux: int
    params_imagenet: int
    params_by_kind: dict[str, int]
    gmacs: float
    gmacs_native: float
    weight_bytes: int
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Setting:
    """What varies between trials besides model and seed; the largest batch depends on it too.

    `learning_rate` is the peak of the recipe's schedule. `weight_decay` is None where it is the
    optimizer's own. Optimizer, rate, decay and augmentation are those that were used, whether the
    recipe or an option says so. `freeze` is what keeps its weights (`none` or `body`), `accumulate`
    the number of parts that a batch is trained in before each update. `warmup`, the share of all
    updates in which the rate rises, and `label_smoothing` are None where they are the recipe's.
    `nproc_per_node` processes on each of `nnodes` nodes train together, a device each;
    `sync_batch_norm` if batch norm's statistics are of all of them.
    """

    image_size: int
    optimizer: str
    learning_rate: float
    precision: str
    recipe: str = "constant"
    weight_decay: float | None = None
    augment: str = "none"
    channels_last: bool = True
    pretrained: bool = False
    freeze: str = "none"
    accumulate: int = 1
    warmup: float | None = None
    label_smoothing: float | None = None
    nproc_per_node: int = 1
    sync_batch_norm: bool = False
    nnodes: int = 1

    @property
    def ranks(self) -> int:
        """How many processes train together."""
        return self.nnodes * self.nproc_per_node

    def part_of(self, images: int) -> int:
        """Images that are on their way through the network at once, of a batch of so many."""
        return -(-images // parts_of(images, self.accumulate))


def parts_of(images: int, accumulate: int) -> int:
    """The parts that a batch of so many images is trained in: at most `accumulate`, and none of one
    image, on which batch norm cannot train."""
    return max(1, min(accumulate, images // 2))


@dataclass(frozen=True)
class Probe:
    """One attempt at a batch size: whether real training steps fit in memory."""

    model: str
    setting: Setting
    batch_size: int
    fits: bool
    peak_memory_bytes: int | None
    seconds: float
    reason: str | None = None
    allocation_retries: int = 0
    steps: int = 0
    step_seconds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Certificate:
    """The evidence for a measured largest batch: `steps` training steps and an evaluation ran, and
    one more image failed for the reason given (None where the data set was the limit).

    With `allocation_retries` above 0, it runs only by constantly releasing cached memory.
    """

    steps: int
    evaluated: bool
    peak_memory_bytes: int | None
    allocation_retries: int
    failed_batch: int | None
    failed_because: str | None
    channels_last: bool
    versions: dict[str, str]


@dataclass(frozen=True)
class PredictedLine:
    """The memory that a search expected near its limit: `base_bytes`, plus `bytes_per_image` for
    each image. From a step that was simulated for the device at hand, plus what libraries took
    beside its tensors in the search's first probe, of `probed_batch` images."""

    base_bytes: int
    bytes_per_image: int
    probed_batch: int


@dataclass(frozen=True)
class LargestBatch:
    """The result of a search: `max_batch` ran, and one more failed or exceeds the data set.

    `budget_bytes` is the memory that the search was allowed; `needed_bytes`, given if nothing ran,
    is what the smallest batch takes. `contradiction` says which batch failed although a larger one
    ran; `max_batch` is then below the smallest that failed. `predicted` is what was expected before
    a probe came near the answer, None where a step could not be simulated. What was found at one
    learning rate and warm-up is recorded for the others of the run, too.
    """

    model: str
    setting: Setting
    max_batch: int
    source: Source
    limited_by: str
    budget_bytes: int | None
    needed_bytes: int | None = None
    certificate: Certificate | None = None
    contradiction: str | None = None
    predicted: PredictedLine | None = None

    @property
    def predicted_batch(self) -> int | None:
        """The largest batch that was expected in the memory of the search."""
        line = self.predicted
        if line is None or self.budget_bytes is None or line.bytes_per_image < 1:
            return None
        return max(0, self.budget_bytes - line.base_bytes) // line.bytes_per_image


@dataclass(frozen=True)
class SweepPoint:
    """Training speed and memory at one batch size: seconds of each timed step, after the same
    number of untimed steps for every size."""

    model: str
    setting: Setting
    batch_size: int
    step_seconds: tuple[float, ...]
    peak_memory_bytes: int | None


SpeedLimit = Literal["arithmetic", "memory traffic", "kernel launches"]
"""What most of a step's time goes to; `kernel launches` are the host's."""


@dataclass(frozen=True)
class PredictedSpeed:
    """The time of a training step at a batch size on a card that need not be present, from its
    kernels; nothing was measured (`bench.prediction.speed`).

    The truth is expected between `step_seconds` divided by `factor` and `slowest_seconds`, which
    are `factor` times as long or, for a small step, what a slow host needs. `kind_seconds` are the
    step's by kind of kernel, `epoch_seconds` those of an epoch's training where its images are
    known, and `unknown` the operators that were counted as memory traffic for want of a rule.
    """

    batch_size: int
    step_seconds: float
    factor: float
    slowest_seconds: float
    limit: SpeedLimit
    kind_seconds: dict[str, float]
    epoch_seconds: float | None = None
    unknown: tuple[str, ...] = ()

    @property
    def images_per_second(self) -> float:
        """Images trained on in a second."""
        return self.batch_size / self.step_seconds

    @property
    def images_per_second_range(self) -> tuple[float, float]:
        """The least and the most that are expected."""
        return self.batch_size / self.slowest_seconds, self.images_per_second * self.factor


@dataclass(frozen=True)
class Predicted:
    """The largest batch on a card that need not be present, from a simulated training step.

    `usable_bytes` is the memory available to tensors. The range follows from the known error of
    such predictions (`bench.prediction.memory`). Near `max_batch`, peak memory is `base_bytes` plus
    `bytes_per_image` for every image. `speeds` are at `max_batch`, the first, and at other batch
    sizes that were asked for; none where there is no figure.
    """

    model: str
    setting: Setting
    card: str
    num_classes: int
    usable_bytes: int
    max_batch: int
    max_batch_low: int
    max_batch_high: int
    base_bytes: int
    bytes_per_image: int
    source: Source = "predicted"
    speeds: tuple[PredictedSpeed, ...] = ()


@dataclass(frozen=True)
class MemoryBreakdown:
    """The memory of a training step on a CUDA card at one batch size, in bytes by category; from
    a simulated step.

    All parts together are enough. Down to `spare_bytes` less, some capacities are and some are not.
    """

    model: str
    setting: Setting
    batch_size: int
    parts: dict[str, int]
    source: Source = "predicted"
    spare_bytes: int = 0


@dataclass(frozen=True)
class TuningRole:
    """What a trial is for in a run that tunes: a `point` that is tried, to be judged by validation;
    or a training on all images, `tuned` at the chosen point, or with the `default` values.

    `default` is the setting before tuning: with model and choice of batch, a contestant. Points
    count from 1.
    """

    part: Literal["point", "tuned", "default"]
    default: Setting
    point: int | None = None

    @property
    def text(self) -> str:
        """As columns and labels have it: `point 3`, `tuned`."""
        return self.part if self.point is None else f"point {self.point}"


@dataclass(frozen=True)
class Contestant:
    """What tuning gives its budget to: a model in the setting that it has by `default`, and how its
    batch is chosen."""

    model: str
    default: Setting
    batch_choice: str


@dataclass(frozen=True)
class Trial:
    """One model with one seed, under one setting, with one batch size. `batch_choice` is the option
    given (a number, `auto`, `own`, `max`), `batch_size` the size that follows from it; None if no
    size works. `variant` tells trials apart that differ in nothing else that their name has.
    `tuning` is its part where a run tunes."""

    model: str
    seed: int
    setting: Setting
    batch_choice: str
    batch_size: int | None
    variant: str = ""
    tuning: TuningRole | None = None

    @property
    def id(self) -> str:
        """The name in the log, unique within a run."""
        s = self.setting
        parts = (self.model, f"{s.image_size}px", s.optimizer, s.precision, f"b{self.batch_choice}")
        role = self.tuning.text.replace(" ", "") if self.tuning else ""
        return " ".join(filter(None, (*parts, self.variant, role, f"seed{self.seed}")))

    @property
    def shape(self) -> tuple[str, Setting]:
        """What its memory and its speed depend on, besides the batch size: the values that tuning
        changes make no difference to them."""
        return self.model, self.tuning.default if self.tuning else self.setting

    @property
    def contestant(self) -> Contestant:
        """Whose budget it belongs to, where a run tunes."""
        return Contestant(*self.shape, self.batch_choice)

    @property
    def is_point(self) -> bool:
        """Whether it only tries a point: it then has no part in comparisons."""
        return self.tuning is not None and self.tuning.part == "point"


@dataclass(frozen=True)
class StepsTimed:
    """A few real training steps and evaluation batches of a model at one batch size, before any
    trial: what the time of its trials is predicted from.

    `step_seconds` are of the steps after the first; `evaluation_seconds` are per image, after the
    first batch. `checkpoint_seconds` are of writing one, `inspection_seconds` follow from the times
    of evaluation. `seconds` is what all of this took, `start_seconds` what starting and ending its
    process took beyond that and beyond calibration.
    """

    model: str
    setting: Setting
    batch_size: int
    first_step_seconds: float
    step_seconds: tuple[float, ...]
    first_evaluation_seconds: float
    evaluation_seconds: float
    checkpoint_seconds: float
    inspection_seconds: float
    peak_memory_bytes: int | None
    seconds: float
    start_seconds: float = 0.0
    calibration_seconds: float = 0.0


@dataclass(frozen=True)
class TrialTime:
    """What a trial, or what is left of it, is predicted to take: seconds by phase of the run, the
    same phases as in `RunTimed`."""

    trial: Trial
    seconds: dict[str, float]

    @property
    def total_seconds(self) -> float:
        """Seconds of all phases."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class TimePredicted:
    """How long a run will take, predicted before its first trial, when `passed_seconds` had passed
    since its start or its resumption. `report_seconds` is an allowance. With a time limit,
    `cut_seeds` are those for which there would be no time. `factor` is 1 where steps were timed;
    else the trials take these seconds divided or multiplied by at most that, and `cut_seeds` are
    those that find no time even if they are divided. Trials run side
    by side in `slots`."""

    passed_seconds: float
    trials: tuple[TrialTime, ...]
    report_seconds: float
    limit_seconds: float | None = None
    cut_seeds: tuple[int, ...] = ()
    source: Source = "predicted"
    factor: float = 1.0
    slots: int = 1


@dataclass(frozen=True)
class SeedsCut:
    """Seeds that a time limit left out, of every model: the next of them would have taken
    `needed_seconds`, when `passed_seconds` of the limit had passed. With `points`, those of tuning
    that it left out, of every contestant."""

    seeds: tuple[int, ...]
    limit_seconds: float
    passed_seconds: float
    needed_seconds: float
    points: tuple[int, ...] = ()


@dataclass(frozen=True)
class TuningDeclared:
    """What tuning may change, written before the first trial: the `spaces` by name, and the
    `points` that every contestant tries, as shares (0 to 1) of each dimension in its scale.

    The points are a scrambled Sobol sequence with the seed `points_seed`; all of them are trained
    with the seed `trial_seed`, which no other trial has. `retrained_on` are the images of all other
    trials: the validation images are training images again.
    """

    spaces: dict[str, tuple[Dimension, ...]]
    points: tuple[tuple[float, ...], ...]
    points_seed: int
    trial_seed: int
    retrained_on: DatasetFacts


@dataclass(frozen=True)
class PointChosen:
    """The best of the points that a contestant `tried`, by validation accuracy after the last
    epoch; of equals the first. `failed` of them came to nothing and count as tried. All is None
    where every point failed. `edges` has the dimensions whose value lies at an end of their range:
    `low` or `high`."""

    contestant: Contestant
    tried: int
    failed: int
    point: int | None
    setting: Setting | None
    validation_accuracy: float | None
    edges: dict[str, Literal["low", "high"]]


@dataclass(frozen=True)
class TrialStarted:
    """A trial begins in a slot. `notes` are decisions made for the user, such as an unchecked batch
    size."""

    trial: Trial
    started_at: str
    notes: tuple[str, ...] = ()
    slot: int = 0


@dataclass(frozen=True)
class TrialResumed:
    """A trial continues in a new process after `epochs` whole epochs, from its checkpoint; 0 means
    from the start."""

    trial: Trial
    started_at: str
    epochs: int
    slot: int = 0


@dataclass(frozen=True)
class TrialRepeated:
    """A trial starts over because its timings were noisy, as `because` explains; the log keeps the
    earlier measurements."""

    trial: Trial
    started_at: str
    because: str
    slot: int = 0


@dataclass(frozen=True)
class TrialNoted:
    """Something noticed during a trial, as a sentence that readers of its results must see."""

    trial: str
    note: str


@dataclass(frozen=True)
class TimeBudget:
    """Where an epoch's wall-clock seconds went; the parts add up to `total_seconds`.

    Forward includes the loss. The four parts of a step are measured on a sample of steps and scaled
    to all of them; `other_seconds` is the rest.
    """

    data_seconds: float
    forward_seconds: float
    backward_seconds: float
    optimizer_seconds: float
    evaluation_seconds: float
    other_seconds: float

    @property
    def total_seconds(self) -> float:
        """Wall-clock seconds of the epoch, evaluation included."""
        return float(sum(asdict(self).values()))


@dataclass(frozen=True)
class Telemetry:
    """NVML's figures over one epoch's training: means, except maxima of memory and temperature.

    `throttled_by` are NVML's reasons for a reduced clock; `other_processes` is the largest number
    of other processes that computed on the card.
    """

    power_watts: float
    energy_joules: float
    utilisation: float
    memory_used_bytes: float
    temperature_celsius: float
    sm_clock_mhz: float
    samples: int
    throttled_by: tuple[str, ...] = ()
    other_processes: int = 0


@dataclass(frozen=True)
class Surroundings:
    """What else ran during an epoch's training on the `cores` processors that this process may use.

    `other_busy_cores` is the processor time of everything else (other processes, and time taken by
    a hypervisor) divided by wall-clock time. `major_faults`, page faults that read a disk, and
    `involuntary_switches` are of the process itself. None where the system does not report it.
    """

    cores: int
    other_busy_cores: float | None
    cpu_mhz: float | None
    major_faults: int | None
    involuntary_switches: int | None


def _known(validation: float | None, test: float | None) -> float:
    """The figure of the images that were evaluated; ValueError if there is none."""
    if validation is not None:
        return validation
    if test is None:
        raise ValueError("it has no evaluation")
    return test


@dataclass(frozen=True)
class RankFacts:
    """One process of several that trained together, over an epoch: the most memory, and on the CPU
    the seconds that it worked."""

    peak_memory_bytes: int | None
    cpu_seconds: float


@dataclass(frozen=True)
class KeptLogits:
    """The logits of all test images after a trial's last epoch: `file` in the run folder's
    `logits/`, float16 (images, classes) as numpy writes it, each image's highest moved to 0. Beside
    it, `labels.npy` has the images' labels in the same order. Hashes are of the files, SHA-256."""

    file: str
    images: int
    classes: int
    sha256: str
    labels_sha256: str


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images and one over the validation images, or over the test images
    if none are for validation; figures of what it was not evaluated on are None: of both, where
    tuning has chosen and the validation images are trained on again.

    `epoch` counts from 1. Train loss and accuracy are running means over the images as they were
    trained on; `train_loss` is of the main head, `aux_losses` of the auxiliary heads by name.
    `train_seconds` includes the first step; `test_seconds` are of the evaluation on either.
    `step_seconds` is the median over the steps, without the trial's first. `step_times` are the
    seconds of every step in order, or of every `step_times_every`-th step of a long epoch.
    `resumed` if the epoch was interrupted or is the first in a new process: its times are not
    comparable with the others. Of the trial's last epoch only, if it was evaluated on the test
    images, are `logits`, and `tta_test_accuracy`, with test-time augmentation where the recipe has
    it, which took `tta_seconds`. `ranks` are the processes that trained together, if several did;
    then `peak_memory_bytes` is the most of any, and times are of the first.
    """

    model: str
    seed: int
    trial: str
    epoch: int
    train_seconds: float
    test_seconds: float
    images_per_second: float
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    aux_losses: dict[str, float]
    steps: int
    images_trained: int
    images_dropped: int
    step_seconds: float
    step_seconds_p95: float
    first_step_seconds: float | None
    peak_memory_bytes: int | None
    reserved_memory_bytes: int | None
    time_budget: TimeBudget
    cpu_seconds: float
    telemetry: Telemetry | None = None
    resumed: bool = False
    step_times: tuple[float, ...] = ()
    step_times_every: int = 1
    surroundings: Surroundings | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    logits: KeptLogits | None = None
    tta_test_accuracy: float | None = None
    tta_seconds: float = 0.0
    ranks: tuple[RankFacts, ...] = ()

    def __post_init__(self) -> None:
        if self.evaluated:
            _ = self.loss, self.accuracy

    @property
    def evaluated(self) -> bool:
        """Whether it was evaluated on any images."""
        figures = (self.validation_loss, self.validation_accuracy, self.test_loss)
        return any(figure is not None for figure in (*figures, self.test_accuracy))

    @property
    def evaluated_on(self) -> HeldOut:
        """The images that it was evaluated on."""
        return "test" if self.validation_accuracy is None else "validation"

    @property
    def loss(self) -> float:
        """Loss on the images that it was evaluated on."""
        return _known(self.validation_loss, self.test_loss)

    @property
    def accuracy(self) -> float:
        """Accuracy on the images that it was evaluated on."""
        return _known(self.validation_accuracy, self.test_accuracy)


@dataclass(frozen=True)
class FinalTest:
    """The one evaluation of a trial on the test images, after its last epoch, where every epoch was
    evaluated on validation images. A log has at most one of each trial. `tta_accuracy` is with
    test-time augmentation, where the recipe has it, and took `tta_seconds`."""

    trial: str
    loss: float
    accuracy: float
    images: int
    seconds: float
    logits: KeptLogits | None = None
    tta_accuracy: float | None = None
    tta_seconds: float = 0.0


@dataclass(frozen=True)
class Calibrated:
    """The machine's speed around a trial: seconds of each repetition of a fixed matrix product,
    `size` by `size` in the trial's precision, after `epochs` epochs (0: before the first). If
    `shared`, it was measured when the trial before had ended."""

    trial: str
    epochs: int
    precision: str
    size: int
    seconds: tuple[float, ...]
    shared: bool = False

    @property
    def gflops(self) -> float:
        """Speed in 10^9 floating-point operations per second, from the median."""
        return self._gflops(median(self.seconds))

    @property
    def peak_gflops(self) -> float:
        """The same from the fastest repetition."""
        return self._gflops(min(self.seconds))

    def _gflops(self, seconds: float) -> float:
        return 2 * self.size**3 / seconds / 1e9


@dataclass(frozen=True)
class LayerChange:
    """What training did to a layer's weights: `depth` counts layers with weights from the input.

    `relative_change` is ‖w - w₀‖ / ‖w₀‖; `changed_share` of the weights moved by more than 1 % of
    the layer's initial root mean square. Gradient norms are Euclidean, of the training loss on one
    batch, at the initial weights and at the final ones.
    """

    layer: str
    depth: int
    relative_change: float
    changed_share: float
    gradient_norm_first: float
    gradient_norm_last: float


@dataclass(frozen=True)
class EvaluationMode:
    """Accuracy over `images` images with batch norm in inference or training mode, in batches of
    `batch_size` that are `shuffled` or `sorted by class`: of validation images, or of test images
    if there are none."""

    mode: str
    composition: str
    batch_size: int
    images: int
    test_accuracy: float | None
    validation_accuracy: float | None = None

    def __post_init__(self) -> None:
        _ = self.accuracy

    @property
    def accuracy(self) -> float:
        """Accuracy on the images that it was evaluated on."""
        return _known(self.validation_accuracy, self.test_accuracy)


@dataclass(frozen=True)
class Inspected:
    """A trained network inspected after its last epoch. `kernels` names a file in the run folder's
    `kernels/` with the weights of the first two convolutions before and after training."""

    trial: str
    layers: tuple[LayerChange, ...]
    evaluation_modes: tuple[EvaluationMode, ...]
    kernels: str


@dataclass(frozen=True)
class TrialEnded:
    """A trial is over. `reason` says in one sentence why it is not `done`; wall-clock `seconds`.

    `retry` if the failure says nothing about the trial (its process died): a resumed run tries it
    again. `diverged` if its loss was no longer finite.
    """

    trial: Trial
    status: Status
    reason: str | None
    seconds: float
    retry: bool = False
    diverged: bool = False


@dataclass(frozen=True)
class RunTimed:
    """Where the wall-clock seconds of a run went, by phase, between its start, or a resumption,
    and its end; making the report is not among them."""

    seconds: dict[str, float]


@dataclass(frozen=True)
class RunEnded:
    """A run came to its end, or was stopped: by a signal if the code is 128 or more. A log goes on
    after it if the run is resumed."""

    exit_code: int
    seconds: float


Record = (
    RunStarted
    | DatasetFacts
    | DeviceFacts
    | Slots
    | ModelFacts
    | ModelDescribed
    | Probe
    | LargestBatch
    | SweepPoint
    | Predicted
    | MemoryBreakdown
    | StepsTimed
    | TimePredicted
    | SeedsCut
    | TuningDeclared
    | PointChosen
    | TrialStarted
    | TrialResumed
    | TrialRepeated
    | TrialNoted
    | Calibrated
    | Epoch
    | FinalTest
    | Inspected
    | TrialEnded
    | RunTimed
    | RunEnded
)

_NAMES: dict[type[Any], str] = {LargestBatch: "Fitted"}
"""Kinds whose name in the log differs from the class, so that older logs stay readable."""

_KINDS: dict[str, type[Any]] = {_NAMES.get(kind, kind.__name__): kind for kind in Record.__args__}


def encode(record: Record) -> bytes:
    """One line of JSON, without a newline; `event` names the kind."""
    kind, values = type(record), msgspec.to_builtins(record)
    return msgspec.json.encode({"event": _NAMES.get(kind, kind.__name__)} | values)


def decode(line: bytes) -> Record:
    """The record in one line; Refused if it is not one of this schema."""
    try:
        values = msgspec.json.decode(line, type=dict[str, Any])
        kind = _KINDS[values.pop("event")]
        record: Record = convert(values, kind)
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise Refused(f"not a record of schema {SCHEMA}: {error}") from error
    return record


def convert(values: Any, kind: type[Any]) -> Any:
    """`values` as an instance of the dataclass `kind`, checked; raises msgspec.ValidationError."""
    return msgspec.convert(values, type=kind, strict=False)

"""One table of everything that is known of a trial; a new figure is a row in it.

`models.csv`, every table, plot, comparison and claim, and the documentation read it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from bench.analysis import noise
from bench.analysis.intervals import Spread, median
from bench.analysis.slots import slots_beside
from bench.analysis.time_to_accuracy import clock
from bench.records.records import Epoch, SweepPoint
from bench.records.run import TrialResult
from bench.settings import decay_of, label_smoothing_of, warmup_of

if TYPE_CHECKING:  # with numpy and scipy
    from bench.analysis.classification import Classification

Value = str | int | float | None


@dataclass(frozen=True)
class Metric:
    """A column of `models.csv`.

    `value` of a trial is None where the figure is not known. `unit` is empty for text and plain
    numbers; `better` is None where neither way is. `exact` if chance has no part in it: a count
    that is the same for every seed. `aliases` are other names that people may use for it.
    `optional` if the table has the column only where some model has it.
    """

    name: str
    label: str
    unit: str
    value: Callable[[TrialResult], Value]
    description: str
    better: Literal["higher", "lower"] | None = None
    exact: bool = False
    aliases: tuple[str, ...] = ()
    optional: bool = False


def _asked(option: str) -> Callable[[TrialResult], Value]:
    return lambda result: result.run.started.config.get(option)


def _augmentation(result: TrialResult) -> Value:
    """True for what `--augment` meant when it was yes or no."""
    kind = result.trial.setting.augment
    return {"none": False, "shift": True}.get(kind, kind)


def _answers(value: Callable[["Classification", TrialResult], Value]) -> Callable[..., Value]:
    def of(result: TrialResult) -> Value:
        if result.logits is None:
            return None
        # Arrays are for those runs alone that have any.
        from bench.analysis.classified import classified

        answers = classified(result)
        return value(answers, result) if answers else None

    return of


def _worst_class(answers: "Classification", result: TrialResult) -> str:
    return result.run.dataset.classes[answers.worst_class]


def _over_epochs(value: Callable[[Epoch], float]) -> Callable[[TrialResult], float | None]:
    return lambda r: median(map(value, noise.steady_epochs(r))) if r.epochs else None


def _first(value: Callable[[Epoch], Value]) -> Callable[[TrialResult], Value]:
    return lambda result: value(result.epochs[0]) if result.epochs else None


def _last(value: Callable[[Epoch], Value]) -> Callable[[TrialResult], Value]:
    return lambda result: value(result.epochs[-1]) if result.epochs else None


def _described(name: str) -> Callable[[TrialResult], Value]:
    return lambda result: getattr(result.described, name, None)


def _of_kind(kind: str) -> Callable[[TrialResult], Value]:
    return lambda r: r.described.params_by_kind.get(kind) if r.described else None


def _search(name: str) -> Callable[[TrialResult], Value]:
    return lambda result: getattr(result.largest_batch, name, None)


def _expected(name: str) -> Callable[[TrialResult], Value]:
    return lambda result: getattr(getattr(result.largest_batch, "predicted", None), name, None)


def _fastest(result: TrialResult) -> SweepPoint | None:
    """The batch size that trains the most images per second, of those that a sweep timed."""
    return max(result.sweep, key=lambda p: p.batch_size / median(p.step_seconds), default=None)


def _telemetry(name: str) -> Callable[[TrialResult], float | None]:
    return lambda result: _average(median, (getattr(t, name) for t in noise.telemetry(result)))


def _average(average: Callable[[list[float]], float], values: Iterable[float]) -> float | None:
    known = list(values)
    return average(known) if known else None


def _steps(value: Callable[[Spread], float | None]) -> Callable[[TrialResult], float | None]:
    return lambda result: value(steps) if (steps := noise.step_spread(result)) else None


def _surroundings(name: str) -> Callable[[TrialResult], float | None]:
    return lambda result: _average(fmean, noise.surroundings(result.epochs, name))


def _calibration(result: TrialResult) -> float | None:
    """GFLOP/s of the fixed matrix product around the trial: the mean of its medians."""
    return fmean(c.gflops for c in result.calibrations) if result.calibrations else None


def _matmul_peak(result: TrialResult) -> float | None:
    """GFLOP/s of the fastest matrix product that was timed in this run in the same precision."""
    setting = result.trial.setting
    precision, ranks = setting.precision, setting.ranks
    alike = (trial for trial in result.run.trials if trial.trial.setting.ranks == ranks)
    timed = chain.from_iterable(trial.calibrations for trial in alike)
    return max((c.peak_gflops for c in timed if c.precision == precision), default=None)


def _global_batch(result: TrialResult) -> int | None:
    size, ranks = result.trial.batch_size, result.trial.setting.ranks
    return None if size is None or ranks == 1 else size * ranks


def _step_gmacs(result: TrialResult) -> float | None:
    """A training step's multiply-adds for an image: three times those of inference, for backward
    takes twice as many as forward (Kaplan et al., *Scaling Laws for Neural Language Models*, 2.1).
    A frozen body has no backward; that of the last layer is left out."""
    if result.described is None:
        return None
    return result.described.gmacs * (1 if result.trial.setting.freeze == "body" else 3)


def _evaluation_seconds(result: TrialResult) -> float | None:
    """Of the one test, where no epoch was evaluated."""
    if result.epochs and not result.epochs[-1].evaluated:
        return result.final_test.seconds if result.final_test else None
    return _over_epochs(lambda e: e.test_seconds)(result)


def training_flop(result: TrialResult) -> float | None:
    """Floating-point operations of a trial's training, two for each multiply-add; without auxiliary
    heads, optimizer and evaluation. None where its operations were not counted."""
    gmacs, images = _step_gmacs(result), sum(epoch.images_trained for epoch in result.epochs)
    return None if gmacs is None else 2e9 * gmacs * images


def _mfu(result: TrialResult) -> float | None:
    """Model FLOP utilisation (Chowdhery et al., *PaLM*, appendix B), over the measured peak, which
    is that of one of the processes that train together."""
    peak, rate, gmacs = _matmul_peak(result), _step_rate(result), _step_gmacs(result)
    if not peak or rate is None or gmacs is None:
        return None
    return 2 * gmacs * rate / (peak * result.trial.setting.ranks)


def _of_one_card(
    read: Callable[[TrialResult], float | None],
) -> Callable[[TrialResult], float | None]:
    """What is read from the first card alone, and so is not that of several."""
    return lambda result: read(result) if result.trial.setting.ranks == 1 else None


def _energies(result: TrialResult) -> list[tuple[Epoch, float]]:
    """The steady epochs with their energy in joules, but for those that a card was watched in from
    an interruption on."""
    return [
        (e, e.telemetry.energy_joules)
        for e in noise.steady_epochs(result)
        if e.telemetry and not (e.resumed and len(e.step_times) * e.step_times_every < e.steps)
    ]


def _energy_of_epoch(result: TrialResult) -> float | None:
    return _average(median, (joules for _, joules in _energies(result)))


def _energy_per_image(result: TrialResult) -> float | None:
    return _average(median, (joules / e.images_trained for e, joules in _energies(result)))


def _step_rate(result: TrialResult) -> float | None:
    """Images per second of the median step, whose images are the median of those of the steps."""
    batch = (result.trial.batch_size or 0) * result.trial.setting.ranks

    def rate(epoch: Epoch) -> float:
        last = epoch.images_trained - (epoch.steps - 1) * batch
        images = [*[batch] * min(epoch.steps - 1, 3), last]  # of more, the median is the same
        steady = (images[1:] or images) if epoch.epoch == 1 else images
        return median(steady) / epoch.step_seconds

    return _over_epochs(rate)(result)


def _epochs_with(name: str, result: TrialResult) -> list[Epoch]:
    """The epochs that have a figure: of the test, or of validation."""
    return [epoch for epoch in result.epochs if getattr(epoch, name) is not None]


def _best(by: str, name: str) -> Callable[[TrialResult], Value]:
    return lambda result: getattr(
        max(_epochs_with(by, result), key=attrgetter(by), default=None), name, None
    )


def _tested(name: str) -> Callable[[TrialResult], Value]:
    """Of the test images after the last epoch, whether every epoch was evaluated on them or not."""
    last = _last(lambda epoch: getattr(epoch, f"test_{name}"))
    return lambda r: getattr(r.final_test, name) if r.final_test else last(r)


def _in_views(result: TrialResult) -> Value:
    return (
        result.final_test.tta_accuracy
        if result.final_test
        else _last(lambda e: e.tta_test_accuracy)(result)
    )


def _highest(name: str) -> Callable[[TrialResult], int | None]:
    return lambda result: max(filter(None, (getattr(e, name) for e in result.epochs)), default=None)


def _share(part: str) -> Callable[[TrialResult], float | None]:
    return _over_epochs(lambda e: getattr(e.time_budget, part) / e.time_budget.total_seconds)


# One row per figure, on as few lines as it takes.
# fmt: off
METRICS: tuple[Metric, ...] = (
    Metric("model", "Model", "", lambda r: r.trial.model,
           "The network, by its name in the registry, or `FILE.py:NAME`."),
    Metric("seed", "Seed", "", lambda r: r.trial.seed,
           "Random seed of the initial weights, the order of images and the augmentation."),
    Metric("status", "Status", "", lambda r: r.status,
           "`done`, `failed`, `refused`, or `unfinished` where the log ends before the trial."),
    Metric("dataset", "Data set", "", lambda r: r.run.dataset.name,
           "The data set that was used."),
    Metric("device", "Device", "", lambda r: r.run.device.device,
           "Where it ran: `cpu`, `cuda:0`, `mps`."),
    Metric("preset", "Preset", "", _asked("preset"),
           "The preset that the options started from."),
    Metric("image_size", "Image size", "px", lambda r: r.trial.setting.image_size,
           "Pixels a side of the images that the network saw.", exact=True),
    Metric("precision", "Precision", "", lambda r: r.trial.setting.precision,
           "Arithmetic of a training step: `fp32`, `tf32`, `bf16`, `fp16`."),
    Metric("optimizer", "Optimizer", "", lambda r: r.trial.setting.optimizer,
           "The optimizer by name."),
    Metric("batch_size", "Batch size", "images", lambda r: r.trial.batch_size,
           "Images of each process per optimizer update.", exact=True),
    Metric("max_batch", "Largest batch", "images", _search("max_batch"),
           "The largest batch that trains in memory; one image more was seen to fail.",
           "higher", exact=True),
    Metric("max_batch_source", "Largest batch is", "", _search("source"),
           "How the largest batch was got: `measured` or `predicted`."),
    Metric("params", "Parameters", "parameters", _described("params"),
           "Parameters as trained, auxiliary heads and frozen ones included.", "lower", exact=True),
    Metric("params_imagenet", "Parameters, 1,000 classes", "parameters",
           _described("params_imagenet"),
           "Parameters of the network as it comes, with 1,000 classes.", exact=True),
    Metric("params_aux", "Parameters in auxiliary heads", "parameters", _described("params_aux"),
           "Those of the trained parameters that only training uses.", exact=True),
    Metric("gmacs", "GMACs per image", "10^9 multiply-adds/image", _described("gmacs"),
           "Multiply-adds of one inference at the trial's image size, without auxiliary heads.",
           "lower", exact=True),
    Metric("epochs", "Epochs", "epochs", lambda r: len(r.epochs),
           "Epochs that were completed.", exact=True),
    Metric("epoch_seconds", "Epoch", "s", _over_epochs(lambda e: e.train_seconds),
           "Training for one epoch, evaluation apart: the median over the epochs after the first.",
           "lower"),
    Metric("test_seconds", "Evaluation", "s", _evaluation_seconds,
           "One pass over the test images, or over the validation images if there are any: the "
           "median over the epochs after the first.", "lower"),
    Metric("images_per_second", "Throughput", "images/s",
           _over_epochs(lambda e: e.images_per_second),
           "Training images per second of an epoch: the median over the epochs after the first.",
           "higher"),
    Metric("step_milliseconds", "Step", "ms", _over_epochs(lambda e: e.step_seconds * 1e3),
           "One optimizer update: the median step of the median epoch.", "lower"),
    Metric("peak_memory_bytes", "Peak memory", "bytes", _highest("peak_memory_bytes"),
           "Memory in tensors at most (CUDA), or how far the process grew (CPU).", "lower"),
    Metric("final_test_accuracy", "Test accuracy, last epoch", "fraction",
           _tested("accuracy"),
           "Test accuracy after the last epoch, batch norm in inference mode.",
           "higher", aliases=("test_accuracy",)),
    Metric("best_test_accuracy", "Test accuracy, best epoch¹", "fraction",
           _best("test_accuracy", "test_accuracy"),
           "The highest test accuracy of any epoch: picked on the test set, so optimistic.",
           "higher"),
    Metric("train_samples_per_sec", "Throughput of the median step", "images/s", _step_rate,
           "Images per second of the median step; timm's name for it.", "higher"),
    Metric("train_step_time", "Median step", "ms", _over_epochs(lambda e: e.step_seconds * 1e3),
           "As `step_milliseconds`, under timm's name.", "lower"),
    Metric("train_batch_size", "Batch size, timm's column", "images", lambda r: r.trial.batch_size,
           "As `batch_size`, under timm's name.", exact=True),
    Metric("train_img_size", "Image size, timm's column", "px",
           lambda r: r.trial.setting.image_size,
           "As `image_size`, under timm's name.", exact=True),
    Metric("param_count", "Parameters, millions", "10^6",
           lambda r: None if r.described is None else round(r.described.params / 1e6, 2),
           "As `params`, in millions, under timm's name.", "lower", exact=True),
    Metric("reason", "Why not done", "", lambda r: r.ended.reason if r.ended else None,
           "Why the trial failed or was refused, in a sentence."),
    Metric("notes", "Notes", "", lambda r: " ".join(r.notes) or None,
           "What was decided for the user, or came to light during the trial."),
    Metric("dataset_asked", "Data set asked for", "", lambda r: r.run.dataset.asked,
           "The value of `--dataset`."),
    Metric("dataset_sha256", "Data hash", "", lambda r: r.dataset.sha256,
           "SHA-256 of the prepared images and labels."),
    Metric("train_images", "Training images", "images", lambda r: r.dataset.train_images,
           "Images that an epoch passes over.", exact=True),
    Metric("test_images", "Test images", "images", lambda r: r.run.dataset.test_images,
           "Images of the test: of every evaluation, unless some are for validation.", exact=True),
    Metric("device_name", "Device name", "", lambda r: r.run.device.name,
           "The card or processor as its maker calls it."),
    Metric("threads", "Threads", "", lambda r: r.run.device.threads,
           "Threads of torch's intra-op pool (CPU only)."),
    Metric("learning_rate", "Learning rate", "", lambda r: r.trial.setting.learning_rate,
           "The optimizer's learning rate; the highest, where it changes."),
    Metric("batch_choice", "Batch size asked for", "", lambda r: r.trial.batch_choice,
           "The value of `--batch-size`: a number, `auto`, `own` or `max`."),
    Metric("max_batch_limited_by", "Largest batch limited by", "", _search("limited_by"),
           "What limits the largest batch: `memory`, or the size of the `data set`."),
    Metric("memory_budget_bytes", "Memory searched", "bytes", _search("budget_bytes"),
           "Memory that the search for the largest batch was allowed."),
    Metric("predicted_max_batch", "Largest batch (predicted)", "images",
           _search("predicted_batch"),
           "The largest batch that the search expected after its first, small probe.",
           exact=True, optional=True),
    Metric("predicted_base_bytes", "Fixed memory (predicted)", "bytes",
           _expected("base_bytes"),
           "Memory that the search expected beside images, of a simulated step and its first "
           "probe.", exact=True, optional=True),
    Metric("predicted_bytes_per_image", "Memory of an image (predicted)", "bytes",
           _expected("bytes_per_image"),
           "Memory that the search expected each image to take, of a simulated step.",
           exact=True, optional=True),
    Metric("slot", "Slot", "", lambda r: r.slot if r.run.slots else None,
           "Where it ran, of the devices that ran trials side by side; from 0.",
           exact=True, optional=True),
    Metric("slots_busy_beside", "Slots busy beside it", "", slots_beside,
           "How many other devices, or other shares of the processors, ran a trial of this run at "
           "some time of this one's last stay.", exact=True, optional=True),
    Metric("updates_per_epoch", "Updates per epoch", "updates", _last(lambda e: e.steps),
           "Optimizer updates of one epoch.", exact=True),
    Metric("total_seconds", "All epochs", "s", lambda r: clock(r.epochs)[-1] if r.epochs else None,
           "Wall-clock time of all epochs, training and evaluation.", "lower"),
    Metric("first_step_seconds", "First step", "s", _first(lambda e: e.first_step_seconds),
           "The very first step, which loads and compiles kernels."),
    Metric("final_train_loss", "Train loss, last epoch", "nats", _last(lambda e: e.train_loss),
           "Running mean of the main head's loss over the last epoch."),
    Metric("final_test_loss", "Test loss, last epoch", "nats", _tested("loss"),
           "Mean test loss after the last epoch."),
    Metric("best_epoch", "Best epoch¹", "", _best("test_accuracy", "epoch"),
           "The epoch of `best_test_accuracy`: picked on the test set."),
    Metric("first_test_accuracy", "Test accuracy, first epoch", "fraction",
           _first(lambda e: e.test_accuracy),
           "Test accuracy after the first epoch."),
    Metric("lowest_test_accuracy", "Test accuracy, worst epoch", "fraction",
           lambda r: min(map(attrgetter("test_accuracy"), _epochs_with("test_accuracy", r)),
                         default=None),
           "The lowest test accuracy of any epoch."),
    Metric("reserved_memory_bytes", "Peak memory reserved", "bytes",
           _highest("reserved_memory_bytes"),
           "Memory that CUDA's caching allocator held at most."),
    Metric("weight_bytes", "Weights", "bytes", _described("weight_bytes"),
           "Memory of parameters and buffers.", exact=True),
    Metric("gmacs_native", "GMACs at native size", "10^9 multiply-adds/image",
           _described("gmacs_native"),
           "As `gmacs`, at the network's own image size with 1,000 classes.", exact=True),
    Metric("published_gmacs", "GMACs, published", "10^9 multiply-adds/image",
           lambda r: getattr(r.facts, "gmacs", None),
           "What was published; compare with `gmacs_native`.", exact=True),
    Metric("published_params", "Parameters, published", "parameters",
           lambda r: getattr(r.facts, "params_imagenet", None),
           "What was published; compare with `params_imagenet`.", exact=True),
    Metric("data_share", "Waiting for data", "fraction", _share("data_seconds"),
           "Share of an epoch's wall-clock time spent waiting for the next batch."),
    Metric("forward_share", "Forward", "fraction", _share("forward_seconds"),
           "Share of an epoch's time in the forward pass and the loss."),
    Metric("backward_share", "Backward", "fraction", _share("backward_seconds"),
           "Share of an epoch's time in the backward pass."),
    Metric("optimizer_share", "Optimizer update", "fraction", _share("optimizer_seconds"),
           "Share of an epoch's time in the optimizer's update."),
    Metric("evaluation_share", "Evaluation, share", "fraction", _share("evaluation_seconds"),
           "Share of an epoch's time in the evaluation."),
    Metric("other_share", "Elsewhere", "fraction", _share("other_seconds"),
           "The rest of an epoch's time."),
    Metric("params_convolution", "Parameters in convolutions", "parameters",
           _of_kind("convolution"), "Parameters of convolutions.", exact=True),
    Metric("params_linear", "Parameters in linear layers", "parameters", _of_kind("linear"),
           "Parameters of linear layers.", exact=True),
    Metric("params_normalisation", "Parameters in normalisation", "parameters",
           _of_kind("normalisation"), "Parameters of normalisation layers.", exact=True),
    Metric("params_other", "Parameters elsewhere", "parameters", _of_kind("other"),
           "Parameters of all other layers.", exact=True),
    Metric("power_watts", "Power", "W", _of_one_card(_telemetry("power_watts")),
           "Mean power of the card in training (NVML).", "lower"),
    Metric("energy_joules", "Energy of an epoch", "J", _of_one_card(_energy_of_epoch),
           "Energy of the card for one epoch's training (NVML).", "lower"),
    Metric("utilisation", "GPU utilisation", "fraction", _telemetry("utilisation"),
           "Share of time in which a kernel ran (NVML).", "higher"),
    Metric("temperature_celsius", "GPU temperature", "°C", _telemetry("temperature_celsius"),
           "The card's highest temperature in an epoch (NVML)."),
    Metric("sm_clock_mhz", "GPU clock", "MHz", _telemetry("sm_clock_mhz"),
           "Mean clock of the card's multiprocessors (NVML)."),
    Metric("fastest_batch", "Fastest batch of a sweep", "images",
           lambda r: getattr(_fastest(r), "batch_size", None),
           "The batch size with the most images per second, of those that `--sweep-batch` timed."),
    Metric("first_epoch_seconds", "First epoch", "s", _first(lambda e: e.train_seconds),
           "Training for the first epoch, which warms up and is in no median."),
    Metric("first_epoch_ratio", "First epoch over the others", "times", noise.first_epoch_ratio,
           "The first epoch's time over the median of the others."),
    Metric("step_mean_milliseconds", "Step, mean", "ms", _steps(lambda s: s.mean * 1e3),
           "Mean of all steps after the warm-up.", "lower"),
    Metric("step_p95_milliseconds", "Step, p95", "ms", _steps(lambda s: s.p95 * 1e3),
           "95th percentile of all steps after the warm-up.", "lower"),
    Metric("step_mad_milliseconds", "Step, MAD", "ms", _steps(lambda s: s.mad * 1e3),
           "Median absolute deviation of the steps from their median.", "lower"),
    Metric("step_low_milliseconds", "Step, median from", "ms",
           _steps(lambda s: s.low and s.low * 1e3),
           "Lower end of the 95 % interval of the median step."),
    Metric("step_high_milliseconds", "Step, median to", "ms",
           _steps(lambda s: s.high and s.high * 1e3),
           "Upper end of the 95 % interval of the median step."),
    Metric("step_spread", "Step, IQR over median", "fraction", _steps(lambda s: s.relative),
           "Distance between the quartiles of the steps, over their median.", "lower"),
    Metric("step_outliers", "Steps that are outliers", "steps", _steps(lambda s: len(s.outliers)),
           "Steps further from the median than 14.8 times the median absolute deviation.", "lower"),
    Metric("steps_counted", "Steps counted", "steps", _steps(lambda s: s.n),
           "Steps after the warm-up whose times were kept."),
    Metric("other_busy_cores", "Cores used by others", "cores", _surroundings("other_busy_cores"),
           "Processor time of everything else on the same cores, over wall-clock time."),
    Metric("cpu_mhz", "Processor clock", "MHz", _surroundings("cpu_mhz"),
           "The processor's clock during training."),
    Metric("major_faults", "Page faults from disk per epoch", "faults",
           _surroundings("major_faults"),
           "Pages that had to be read back from disk: memory is short."),
    Metric("involuntary_switches", "Involuntary context switches per epoch", "switches",
           _surroundings("involuntary_switches"),
           "Times that the process had to leave a core."),
    Metric("calibration_gflops", "Fixed matrix product", "GFLOP/s", _calibration,
           "Speed of a fixed matrix product timed before and after the trial: the machine's own."),
    Metric("machine_change", "Fixed matrix product, slower after than before", "fraction",
           noise.machine_change,
           "How much slower the fixed matrix product ran after the trial than before."),
    Metric("matmul_peak_gflops", "Matrix product, fastest in the run", "GFLOP/s", _matmul_peak,
           "The fastest matrix product that the run timed in this precision."),
    Metric("mfu", "Model FLOP utilisation", "fraction", _mfu,
           "Three times the inference's multiply-adds per image, or once if the body is frozen, "
           "over the fastest matrix product.",
           "higher"),
    Metric("energy_per_image_joules", "Energy of an image", "J", _of_one_card(_energy_per_image),
           "Energy of the card for training on one image (NVML).", "lower"),
    Metric("augment", "Augmentation", "", _augmentation,
           "How training images were changed at random: False for none, True for `shift`, else as "
           "`--augment` calls it."),
    Metric("pretrained", "From published weights", "", lambda r: r.trial.setting.pretrained,
           "Whether training started from published ImageNet weights."),
    Metric("channels_last", "Channels-last memory", "", lambda r: r.trial.setting.channels_last,
           "Whether images and weights were kept in channels-last memory."),
    Metric("repeats", "Times repeated for noise", "", lambda r: len(r.repeated),
           "How often the trial was trained again because its times were noisy."),
    Metric("noise", "Why its times may mislead", "", lambda r: "; ".join(noise.noise_of(r)) or None,
           "Reasons to distrust the trial's times; empty where they are quiet."),
    Metric("recipe", "Recipe", "", lambda r: r.trial.setting.recipe,
           "How it was trained, by the name of the recipe; left out where all are `constant`."),
    Metric("weight_decay", "Weight decay", "", lambda r: decay_of(r.trial.setting),
           "Weight decay of all parameters; left out where all have their optimizer's own."),
    Metric("freeze", "Frozen", "", lambda r: r.trial.setting.freeze,
           "What kept its weights, `none` or `body`; left out where nothing did."),
    Metric("accumulate", "Parts of a batch", "parts", lambda r: r.trial.setting.accumulate,
           "Parts that a batch was trained in before each update; left out where all are 1.",
           exact=True),
    Metric("warmup", "Warm-up", "fraction", lambda r: warmup_of(r.trial.setting),
           "Share of all updates in which the rate rises; left out where all have their recipe's."),
    Metric("label_smoothing", "Label smoothing", "fraction",
           lambda r: label_smoothing_of(r.trial.setting),
           "Share of each label that is spread over all classes; left out where all have their "
           "recipe's."),
    Metric("nproc_per_node", "Processes", "", lambda r: r.trial.setting.nproc_per_node,
           "Processes that trained a trial together, on each node; left out where each was "
           "trained by one.",
           exact=True),
    Metric("nnodes", "Nodes", "", lambda r: r.trial.setting.nnodes,
           "Nodes whose processes trained a trial together; left out where each was on one.",
           exact=True),
    Metric("sync_batch_norm", "Batch norm synchronised", "",
           lambda r: r.trial.setting.sync_batch_norm,
           "Whether batch norm's statistics were of the images of all processes; left out where "
           "none were."),
    Metric("global_batch_size", "Batch size of all processes", "images", _global_batch,
           "Images of an update, of all processes that trained together.",
           exact=True, optional=True),
    Metric("tuning", "Tuned", "", lambda r: r.trial.tuning.text if r.trial.tuning else None,
           "`tuned` at the chosen point, or with the `default` values; only with `--tune`. The "
           "points that were tried are in `tuning.csv`.", optional=True),
    Metric("validation_images", "Validation images", "images",
           lambda r: r.dataset.validation_images or None,
           "Images that were kept from the training images, and that every epoch was evaluated on.",
           exact=True, optional=True),
    Metric("validation_sha256", "Hash of the validation split", "",
           lambda r: r.dataset.validation_sha256,
           "SHA-256 of which images of the training set are for validation.", optional=True),
    Metric("final_validation_accuracy", "Validation accuracy, last epoch", "fraction",
           _last(lambda e: e.validation_accuracy),
           "Validation accuracy after the last epoch, batch norm in inference mode.",
           "higher", aliases=("validation_accuracy",), optional=True),
    Metric("best_validation_accuracy", "Validation accuracy, best epoch¹", "fraction",
           _best("validation_accuracy", "validation_accuracy"),
           "The highest validation accuracy of any epoch: picked on the validation images, so "
           "optimistic.", "higher", optional=True),
    Metric("best_validation_epoch", "Best epoch on validation images¹", "",
           _best("validation_accuracy", "epoch"),
           "The epoch of `best_validation_accuracy`.", optional=True),
    Metric("first_validation_accuracy", "Validation accuracy, first epoch", "fraction",
           _first(lambda e: e.validation_accuracy),
           "Validation accuracy after the first epoch.", optional=True),
    Metric("final_validation_loss", "Validation loss, last epoch", "nats",
           _last(lambda e: e.validation_loss),
           "Mean validation loss after the last epoch.", optional=True),
    Metric("ece", "Calibration error", "fraction",
           _answers(lambda answers, _: answers.reliability.ece),
           "Expected calibration error on the test images after the last epoch, in 15 bins of "
           "equal width: how far confidence is from accuracy. Only in runs that kept test logits.",
           "lower", optional=True),
    Metric("worst_class", "Worst class", "",
           _answers(_worst_class),
           "The class with the lowest test accuracy after the last epoch.", optional=True),
    Metric("worst_class_accuracy", "Accuracy in the worst class", "fraction",
           _answers(lambda answers, _: answers.worst_accuracy),
           "The test accuracy in that class, the lowest of its network: picked, so pessimistic.",
           "higher", optional=True),
    Metric("tta_test_accuracy", "Test accuracy with test-time augmentation", "fraction",
           _in_views,
           "After the last epoch, over six views of each image; the column is there only in runs "
           "with the recipe `airbench94`.", "higher", optional=True),
    Metric("source_sha256", "Hash of the network's file", "",
           lambda r: r.facts.source_sha256 if r.facts else None,
           "SHA-256 of the file that a network of your own is from; the column is there, in every "
           "table with a column `model`, only if the run has such a network.", optional=True),
)
# fmt: on

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}

ALIASES: dict[str, str] = {alias: metric.name for metric in METRICS for alias in metric.aliases}

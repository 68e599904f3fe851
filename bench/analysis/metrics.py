"""One table of everything that is known of a trial: name, label, unit, which way is better, and
how.

`models.csv`, tables, plots and comparisons read it; a new figure is a row here. Each `value` takes
a trial's result and gives None where the figure is not known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from bench.analysis.intervals import Spread, median
from bench.analysis.noise import (
    first_epoch_ratio,
    machine_change,
    noise_of,
    steady_epochs,
    step_spread,
)
from bench.analysis.time_to_accuracy import clock
from bench.records.records import Epoch, SweepPoint
from bench.records.run import TrialResult

Value = str | int | float | None


@dataclass(frozen=True)
class Metric:
    """A column. `unit` is empty for names and counts; `better` None where neither way is."""

    name: str
    label: str
    unit: str
    value: Callable[[TrialResult], Value]
    better: Literal["higher", "lower"] | None = None


def _asked(option: str) -> Callable[[TrialResult], Value]:
    return lambda result: result.run.started.config.get(option)


def _over_epochs(value: Callable[[Epoch], float]) -> Callable[[TrialResult], float | None]:
    def middle(result: TrialResult) -> float | None:
        return median([value(e) for e in steady_epochs(result)]) if result.epochs else None

    return middle


def _last(result: TrialResult, value: Callable[[Epoch], Any]) -> Any:
    return value(result.epochs[-1]) if result.epochs else None


def _described(name: str) -> Callable[[TrialResult], Value]:
    return lambda result: getattr(result.described, name, None)


def _of_kind(kind: str) -> Callable[[TrialResult], Value]:
    def count(result: TrialResult) -> int | None:
        return None if result.described is None else result.described.params_by_kind.get(kind)

    return count


def _largest_batch(name: str) -> Callable[[TrialResult], Value]:
    return lambda result: getattr(result.largest_batch, name, None)


def _fastest(result: TrialResult) -> SweepPoint | None:
    """The batch size that trains the most images per second, of those that a sweep timed."""
    return max(
        result.sweep, key=lambda p: p.batch_size / median(list(p.step_seconds)), default=None
    )


def _telemetry(name: str) -> Callable[[TrialResult], float | None]:
    def middle(result: TrialResult) -> float | None:
        known = [getattr(e.telemetry, name) for e in steady_epochs(result) if e.telemetry]
        return median(known) if known else None

    return middle


def _steps(value: Callable[[Spread], float | None]) -> Callable[[TrialResult], float | None]:
    def of(result: TrialResult) -> float | None:
        found = step_spread(result)
        return value(found) if found else None

    return of


def _surroundings(name: str) -> Callable[[TrialResult], float | None]:
    def mean(result: TrialResult) -> float | None:
        values = [getattr(e.surroundings, name) for e in result.epochs if e.surroundings]
        known = [value for value in values if value is not None]
        return fmean(known) if known else None

    return mean


def _calibration(result: TrialResult) -> float | None:
    """GFLOP/s of the fixed matrix product around the trial: the mean of its medians."""
    return fmean(c.gflops for c in result.calibrations) if result.calibrations else None


def _matmul_peak(result: TrialResult) -> float | None:
    """GFLOP/s of the fastest matrix product that was timed in this run in the same precision."""
    precision = result.trial.setting.precision
    return max(
        (
            c.peak_gflops
            for other in result.run.trials
            for c in other.calibrations
            if c.precision == precision
        ),
        default=None,
    )


TRAINING_MACS = 3
"""A training step's multiply-adds over those of inference: forward, and backward twice as many
(Kaplan et al., *Scaling Laws for Neural Language Models*, 2.1)."""


def _mfu(result: TrialResult) -> float | None:
    """Model FLOP utilisation (Chowdhery et al., *PaLM*, appendix B), over the measured peak."""
    peak, rate, described = _matmul_peak(result), _step_rate(result), result.described
    if not peak or rate is None or described is None:
        return None
    return 2 * TRAINING_MACS * described.gmacs * rate / peak


def _energy_per_image(result: TrialResult) -> float | None:
    known = [
        e.telemetry.energy_joules / e.images_trained for e in steady_epochs(result) if e.telemetry
    ]
    return median(known) if known else None


_step_rate = _over_epochs(lambda e: e.images_trained / e.steps / e.step_seconds)


def _best_epoch(result: TrialResult) -> Epoch | None:
    return max(result.epochs, key=lambda e: e.test_accuracy, default=None)


def _peak(result: TrialResult) -> int | None:
    return max((e.peak_memory_bytes for e in result.epochs if e.peak_memory_bytes), default=None)


def _reserved(result: TrialResult) -> int | None:
    known = (e.reserved_memory_bytes for e in result.epochs if e.reserved_memory_bytes)
    return max(known, default=None)


def _share(part: str) -> Callable[[TrialResult], float | None]:
    return _over_epochs(lambda e: getattr(e.time_budget, part) / e.time_budget.total_seconds)


METRICS: tuple[Metric, ...] = (
    Metric("model", "Model", "", lambda r: r.trial.model),
    Metric("seed", "Seed", "", lambda r: r.trial.seed),
    Metric("status", "Status", "", lambda r: r.status),
    Metric("dataset", "Data set", "", lambda r: r.run.dataset.name),
    Metric("device", "Device", "", lambda r: r.run.device.device),
    Metric("preset", "Preset", "", lambda r: r.run.started.config.get("preset")),
    Metric("image_size", "Image size", "px", lambda r: r.trial.setting.image_size),
    Metric("precision", "Precision", "", lambda r: r.trial.setting.precision),
    Metric("optimizer", "Optimizer", "", lambda r: r.trial.setting.optimizer),
    Metric("batch_size", "Batch size", "images", lambda r: r.trial.batch_size),
    Metric("max_batch", "Largest batch", "images", _largest_batch("max_batch"), "higher"),
    Metric("max_batch_source", "Largest batch is", "", _largest_batch("source")),
    Metric("params", "Parameters", "", _described("params"), "lower"),
    Metric("params_imagenet", "Parameters, 1,000 classes", "", _described("params_imagenet")),
    Metric("params_aux", "Parameters in auxiliary heads", "", _described("params_aux")),
    Metric("gmacs", "GMACs", "10^9 multiply-adds/image", _described("gmacs"), "lower"),
    Metric("epochs", "Epochs", "", lambda r: len(r.epochs)),
    Metric("epoch_seconds", "Epoch", "s", _over_epochs(lambda e: e.train_seconds), "lower"),
    Metric("test_seconds", "Evaluation", "s", _over_epochs(lambda e: e.test_seconds), "lower"),
    Metric(
        "images_per_second",
        "Throughput",
        "images/s",
        _over_epochs(lambda e: e.images_per_second),
        "higher",
    ),
    Metric(
        "step_milliseconds", "Step", "ms", _over_epochs(lambda e: e.step_seconds * 1e3), "lower"
    ),
    Metric("peak_memory_bytes", "Peak memory", "bytes", _peak, "lower"),
    Metric(
        "final_test_accuracy",
        "Test accuracy, last epoch",
        "fraction",
        lambda r: _last(r, lambda e: e.test_accuracy),
        "higher",
    ),
    Metric(
        "best_test_accuracy",
        "Test accuracy, best epoch (picked on the test set)",
        "fraction",
        lambda r: getattr(_best_epoch(r), "test_accuracy", None),
        "higher",
    ),
    Metric(
        "train_samples_per_sec",
        "Throughput of the median step",
        "images/s",
        _step_rate,
        "higher",
    ),
    Metric("train_step_time", "Step", "ms", _over_epochs(lambda e: e.step_seconds * 1e3), "lower"),
    Metric("train_batch_size", "Batch size", "images", lambda r: r.trial.batch_size),
    Metric("train_img_size", "Image size", "px", lambda r: r.trial.setting.image_size),
    Metric(
        "param_count",
        "Parameters",
        "10^6",
        lambda r: None if r.described is None else round(r.described.params / 1e6, 2),
        "lower",
    ),
    Metric("reason", "Why not done", "", lambda r: r.ended.reason if r.ended else None),
    Metric("notes", "Notes", "", lambda r: " ".join(r.notes) or None),
    Metric("dataset_asked", "Data set asked for", "", lambda r: r.run.dataset.asked),
    Metric("dataset_sha256", "Data hash", "", lambda r: r.run.dataset.sha256),
    Metric("train_images", "Training images", "images", lambda r: r.run.dataset.train_images),
    Metric("test_images", "Test images", "images", lambda r: r.run.dataset.test_images),
    Metric("device_name", "Device name", "", lambda r: r.run.device.name),
    Metric("threads", "Threads", "", lambda r: r.run.device.threads),
    Metric("learning_rate", "Learning rate", "", lambda r: r.trial.setting.learning_rate),
    Metric("batch_choice", "Batch size asked for", "", lambda r: r.trial.batch_choice),
    Metric("max_batch_limited_by", "Largest batch limited by", "", _largest_batch("limited_by")),
    Metric("memory_budget_bytes", "Memory searched", "bytes", _largest_batch("budget_bytes")),
    Metric("updates_per_epoch", "Updates per epoch", "", lambda r: _last(r, lambda e: e.steps)),
    Metric(
        "total_seconds",
        "All epochs with evaluation",
        "s",
        lambda r: clock(r.epochs)[-1] if r.epochs else None,
        "lower",
    ),
    Metric(
        "first_step_seconds",
        "First step",
        "s",
        lambda r: r.epochs[0].first_step_seconds if r.epochs else None,
    ),
    Metric(
        "final_train_loss",
        "Train loss, last epoch",
        "nats",
        lambda r: _last(r, lambda e: e.train_loss),
    ),
    Metric(
        "final_test_loss",
        "Test loss, last epoch",
        "nats",
        lambda r: _last(r, lambda e: e.test_loss),
    ),
    Metric(
        "best_epoch",
        "Best epoch (picked on the test set)",
        "",
        lambda r: getattr(_best_epoch(r), "epoch", None),
    ),
    Metric(
        "first_test_accuracy",
        "Test accuracy, first epoch",
        "fraction",
        lambda r: r.epochs[0].test_accuracy if r.epochs else None,
    ),
    Metric(
        "lowest_test_accuracy",
        "Test accuracy, worst epoch",
        "fraction",
        lambda r: min((e.test_accuracy for e in r.epochs), default=None),
    ),
    Metric("reserved_memory_bytes", "Peak memory reserved", "bytes", _reserved),
    Metric("weight_bytes", "Weights", "bytes", _described("weight_bytes")),
    Metric(
        "gmacs_native",
        "GMACs at native size",
        "10^9 multiply-adds/image",
        _described("gmacs_native"),
    ),
    Metric(
        "published_gmacs",
        "GMACs, published",
        "10^9 multiply-adds/image",
        lambda r: getattr(r.facts, "gmacs", None),
    ),
    Metric(
        "published_params",
        "Parameters, published",
        "",
        lambda r: getattr(r.facts, "params_imagenet", None),
    ),
    Metric("data_share", "Share of time waiting for data", "fraction", _share("data_seconds")),
    Metric("forward_share", "Share of time in forward", "fraction", _share("forward_seconds")),
    Metric("backward_share", "Share of time in backward", "fraction", _share("backward_seconds")),
    Metric(
        "optimizer_share", "Share of time in the optimizer", "fraction", _share("optimizer_seconds")
    ),
    Metric(
        "evaluation_share", "Share of time in evaluation", "fraction", _share("evaluation_seconds")
    ),
    Metric("other_share", "Share of time elsewhere", "fraction", _share("other_seconds")),
    Metric("params_convolution", "Parameters in convolutions", "", _of_kind("convolution")),
    Metric("params_linear", "Parameters in linear layers", "", _of_kind("linear")),
    Metric("params_normalisation", "Parameters in normalisation", "", _of_kind("normalisation")),
    Metric("params_other", "Parameters elsewhere", "", _of_kind("other")),
    Metric("power_watts", "Power", "W", _telemetry("power_watts"), "lower"),
    Metric("energy_joules", "Energy of an epoch", "J", _telemetry("energy_joules"), "lower"),
    Metric("utilisation", "GPU utilisation", "fraction", _telemetry("utilisation"), "higher"),
    Metric("temperature_celsius", "GPU temperature", "°C", _telemetry("temperature_celsius")),
    Metric("sm_clock_mhz", "GPU clock", "MHz", _telemetry("sm_clock_mhz")),
    Metric(
        "fastest_batch",
        "Fastest batch (of a sweep)",
        "images",
        lambda r: getattr(_fastest(r), "batch_size", None),
    ),
    Metric(
        "first_epoch_seconds",
        "First epoch",
        "s",
        lambda r: r.epochs[0].train_seconds if r.epochs else None,
    ),
    Metric("first_epoch_ratio", "First epoch over the others", "", first_epoch_ratio),
    Metric("step_mean_milliseconds", "Step, mean", "ms", _steps(lambda s: s.mean * 1e3), "lower"),
    Metric("step_p95_milliseconds", "Step, p95", "ms", _steps(lambda s: s.p95 * 1e3), "lower"),
    Metric("step_mad_milliseconds", "Step, MAD", "ms", _steps(lambda s: s.mad * 1e3), "lower"),
    Metric(
        "step_low_milliseconds",
        "Step, median's interval from",
        "ms",
        _steps(lambda s: s.low and s.low * 1e3),
    ),
    Metric(
        "step_high_milliseconds",
        "Step, median's interval to",
        "ms",
        _steps(lambda s: s.high and s.high * 1e3),
    ),
    Metric(
        "step_spread", "Step, IQR over median", "fraction", _steps(lambda s: s.relative), "lower"
    ),
    Metric(
        "step_outliers", "Steps that are outliers", "", _steps(lambda s: len(s.outliers)), "lower"
    ),
    Metric("steps_counted", "Steps counted, after warm-up", "", _steps(lambda s: s.n)),
    Metric("other_busy_cores", "Cores that others used", "", _surroundings("other_busy_cores")),
    Metric("cpu_mhz", "Processor clock", "MHz", _surroundings("cpu_mhz")),
    Metric("major_faults", "Page faults from disk per epoch", "", _surroundings("major_faults")),
    Metric(
        "involuntary_switches",
        "Times it had to leave a core, per epoch",
        "",
        _surroundings("involuntary_switches"),
    ),
    Metric("calibration_gflops", "Fixed matrix product", "GFLOP/s", _calibration),
    Metric(
        "machine_change",
        "Fixed matrix product, slower after than before",
        "fraction",
        machine_change,
    ),
    Metric("matmul_peak_gflops", "Matrix product, fastest in the run", "GFLOP/s", _matmul_peak),
    Metric("mfu", "Model FLOP utilisation", "fraction", _mfu, "higher"),
    Metric("energy_per_image_joules", "Energy of an image", "J", _energy_per_image, "lower"),
    Metric("augment", "Images flipped and shifted", "", _asked("augment")),
    Metric("pretrained", "From published weights", "", _asked("pretrained")),
    Metric("channels_last", "Channels-last memory", "", _asked("channels_last")),
    Metric("repeats", "Times repeated for noise", "", lambda r: len(r.repeated)),
    Metric("noise", "Why its times may mislead", "", lambda r: "; ".join(noise_of(r)) or None),
)

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}

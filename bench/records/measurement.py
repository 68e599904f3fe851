"""A figure of a self-check: a row of `measurements.csv`, the same for whatever is measured.

The columns are those of `Measurement` with the unit of its quantity; rows and quantities are only
ever added, so that tables of many machines can be read together.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

from bench.records.files import csv_text
from bench.records.records import Source

QUANTITIES = {
    "loss": (
        "nats",
        "of a batch before an update and after it (`repeat`); variant `float64` is exact",
    ),
    "stray_tensors": ("", "weights, buffers and gradients that are not on the device"),
    "max_batch": ("images", "the largest batch: searched for, or predicted"),
    "max_batch_low": ("images", "the lower end of the range that was predicted for it"),
    "max_batch_high": ("images", "the upper end of that range"),
    "limit_bytes": ("bytes", "what a model might take in that search"),
    "probes": ("", "attempts that the search made"),
    "fits": ("", "whether a batch size ran (1) or not (0) in another process"),
    "peak_bytes": (
        "bytes",
        "the peak of such a probe as searches measure it; variant `search` is the search's own",
    ),
    "step_seconds": (
        "s",
        "a training step at that batch size: in `speed` each of five, and predicted; in `batches` "
        "the median of five, on cards",
    ),
    "step_seconds_low": ("s", "the fast end of the range that was predicted for it"),
    "step_seconds_high": ("s", "the slow end of that range"),
    "peak_flops": (
        "operations/s",
        "what that prediction has the device compute at most: published, or on the CPU measured",
    ),
    "peak_bandwidth": ("bytes/s", "the same of what it moves"),
    "tensor_bytes": (
        "bytes",
        "the most bytes in tensors during training steps, measured or predicted",
    ),
    "workspace_bytes": ("bytes", "what oneDNN may take besides on this processor"),
    "images_per_second": ("images/s", "an epoch in one of the ways `plain`, `ours` and `floor`"),
    "compared": ("", "lines of `compare` on a pair of equal runs"),
    "told_apart": ("", "lines that call them different"),
    "speed_ratio": ("", "images per second of the second run over those of the first"),
    "train_loss": (
        "nats",
        "of an epoch (`repeat`), with all digits, in the variants `first` and `second`, or `alone` "
        "and `together`",
    ),
    "test_loss": ("nats", "the same on the test images"),
    "sample_seconds": ("s", "what asking NVML once takes"),
    "sampling_interval": ("s", "the time between two samples"),
    "sampled_seconds": ("s", "how long the card was watched while it trained"),
    "samples": ("", "samples in that time"),
    "sm_clock_mhz": ("MHz", "the mean clock meanwhile"),
    "power_watts": ("W", "the mean power"),
    "temperature_celsius": ("°C", "the highest temperature"),
    "throttled": ("", "whether a reason to slow down, the variant, was seen (1) or not (0)"),
}
"""Every quantity: its unit, none of counts and of yes and no, and what it is."""


@dataclass(frozen=True)
class Measurement:
    """One figure of an experiment: a quantity of `QUANTITIES`, measured or predicted.

    `variant` tells several ways to do the same apart, `repeat` several times (from 1), which is the
    epoch of losses and the step of the training step. Image sizes are pixels per side.
    """

    experiment: str
    quantity: str
    value: float
    source: Source = "measured"
    model: str = ""
    image_size: int | None = None
    precision: str = ""
    batch_size: int | None = None
    variant: str = ""
    repeat: int = 1

    @property
    def unit(self) -> str:
        """The unit of its quantity."""
        return QUANTITIES[self.quantity][0]

    @property
    def case(self) -> tuple[str, int | None, str]:
        """What was measured: model, image size and precision."""
        return self.model, self.image_size, self.precision


COLUMNS = (*(field.name for field in fields(Measurement)), "unit")


def measurements_csv(measurements: Iterable[Measurement]) -> str:
    """The text of `measurements.csv`; values have all their digits."""
    return csv_text(COLUMNS, ((*astuple(one), one.unit) for one in measurements))

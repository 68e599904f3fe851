"""A figure of a self-check: a row of `measurements.csv`, the same for whatever is measured.

The columns are those of `Measurement` with the unit of its quantity; rows and quantities are only
ever added, so that tables of many machines can be read together.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from bench.records.records import Source

UNITS = {
    "stray_tensors": "",
    "loss": "nats",
    "train_loss": "nats",
    "test_loss": "nats",
    "max_batch": "images",
    "max_batch_low": "images",
    "max_batch_high": "images",
    "limit_bytes": "bytes",
    "probes": "",
    "fits": "",
    "peak_bytes": "bytes",
    "tensor_bytes": "bytes",
    "workspace_bytes": "bytes",
    "step_seconds": "s",
    "images_per_second": "images/s",
    "compared": "",
    "told_apart": "",
    "speed_ratio": "",
    "sample_seconds": "s",
    "sampling_interval": "s",
    "sampled_seconds": "s",
    "samples": "",
    "sm_clock_mhz": "MHz",
    "power_watts": "W",
    "temperature_celsius": "°C",
    "throttled": "",
}
"""Every quantity that is measured or predicted, and its unit; none of counts and of yes (1) or no
(0)."""


@dataclass(frozen=True)
class Measurement:
    """One figure: a quantity of `UNITS` in an experiment of a self-check, measured or predicted.

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
        return UNITS[self.quantity]

    @property
    def case(self) -> tuple[str, int | None, str]:
        """What was measured: model, image size and precision."""
        return self.model, self.image_size, self.precision


COLUMNS = (*(field.name for field in fields(Measurement)), "unit")


def measurements_csv(measurements: Iterable[Measurement]) -> str:
    """The text of `measurements.csv`; values have all their digits."""
    text = io.StringIO()
    rows = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    rows.writeheader()
    rows.writerows(asdict(one) | {"unit": one.unit} for one in measurements)
    return text.getvalue()

"""`--fail-on METRIC:BOUND`: which change for the worse is too much, for CI."""

import math
import re
from dataclasses import dataclass

from bench.compare.verdicts import is_points
from bench.errors import Refused
from bench.metrics import BY_NAME, Metric

ALIASES = {"test_accuracy": "final_test_accuracy", "throughput": "images_per_second"}
"""What people call some metrics, too."""

_FORM = re.compile(r"([A-Za-z_]\w*):([+-])(\d+(?:\.\d+)?)(%|pt)")


@dataclass(frozen=True)
class Bound:
    """The change of a metric that is too much, on the scale that it is compared on, with its sign.

    `text` is as it was given.
    """

    metric: Metric
    change: float
    text: str

    def broken_by(self, change: float) -> bool:
        """Whether a change goes beyond the bound."""
        return change < self.change if self.change < 0 else change > self.change


def metric_of(name: str, flag: str) -> Metric:
    """A metric by its name or alias.

    Raises:
        Refused: there is none, or it cannot be compared.
    """
    metric = BY_NAME.get(ALIASES.get(name, name))
    if metric is None:
        raise Refused(f"{flag} {name!r} is not a metric; the columns of models.csv are.")
    if metric.better is None:
        raise Refused(f"{flag} {name!r}: neither way is better, so nothing can be said of it.")
    return metric


def parse_bound(text: str) -> Bound:
    """What `images_per_second:-5%` or `test_accuracy:-1pt` means.

    Raises:
        Refused: it is not of that form, or would fail on a change for the better.
    """
    parts = _FORM.fullmatch(text)
    if parts is None:
        raise Refused(
            f"--fail-on {text!r} is not METRIC:BOUND, such as images_per_second:-5% or "
            "test_accuracy:-1pt."
        )
    name, sign, number, unit = parts.groups()
    metric, size = metric_of(name, "--fail-on"), float(number) / 100
    if is_points(metric) != (unit == "pt"):
        wanted = "points (pt)" if is_points(metric) else "percent (%)"
        raise Refused(f"--fail-on {text!r}: {metric.name} is compared in {wanted}.")
    worse = "-" if metric.better == "higher" else "+"
    if sign != worse:
        raise Refused(
            f"--fail-on {text!r} would fail on a change for the better: {metric.name} is better "
            f"{metric.better}, so write {worse}{number}{unit}."
        )
    if unit == "%" and sign == "-" and size >= 1:
        raise Refused(f"--fail-on {text!r}: nothing can fall by 100 % or more.")
    change = float(f"{sign}{size}")
    return Bound(metric, change if is_points(metric) else math.log1p(change), text)

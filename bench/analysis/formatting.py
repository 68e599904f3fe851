"""Figures as people write them, with their unit: in sentences, in tables and on axes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.analysis.compare.effects import Effect
from bench.analysis.metrics import BY_NAME, Metric
from bench.records.records import DatasetFacts

MISSING = "–"


@dataclass(frozen=True)
class Display:
    """How a unit is shown: multiplied by `scale`, with so many decimals, followed by `suffix` in a
    sentence, and as `header` in the head of a column."""

    scale: float
    suffix: str
    header: str
    decimals: int


DISPLAYS: dict[str, Display] = {
    "fraction": Display(100, " %", "%", 1),
    "s": Display(1, " s", "s", 1),
    "ms": Display(1, " ms", "ms", 1),
    "bytes": Display(2**-20, " MiB", "MiB", 0),
    "images/s": Display(1, " images/s", "images/s", 0),
    "images": Display(1, " images", "images", 0),
    "parameters": Display(1e-6, " million", "10⁶", 2),
    "nats": Display(1, " nats", "nats", 3),
    "10^6": Display(1, " million", "10⁶", 2),
    "10^9 multiply-adds/image": Display(1, " GMACs", "", 3),
    "J": Display(1, " J", "J", 1),
    "W": Display(1, " W", "W", 0),
    "°C": Display(1, " °C", "°C", 0),
    "MHz": Display(1, " MHz", "MHz", 0),
    "GFLOP/s": Display(1, " GFLOP/s", "GFLOP/s", 0),
    "times": Display(1, " times", "", 2),
    "cores": Display(1, " cores", "", 2),
}
_PLAIN = Display(1, "", "", 0)
_NO_METRIC = Display(1, "", "", 3)


def display_of(name: str) -> Display:
    """How a metric is shown. What is no metric of a trial is an accuracy or a share, or a loss."""
    metric = BY_NAME.get(name)
    if metric is None:
        return _NO_METRIC if "loss" in name else DISPLAYS["fraction"]
    return DISPLAYS.get(metric.unit, _PLAIN)


def shown(name: str, value: float, half_width: float | None = None) -> str:
    """A value of a metric in the unit that people read, `±` its interval if it has one.

    >>> shown("final_test_accuracy", 0.7377)
    '73.8 %'
    """
    metric = BY_NAME.get(name)
    # A sentence gives a count of parameters in full, a column in millions.
    display = _PLAIN if metric and metric.unit == "parameters" else display_of(name)
    decimals = display.decimals
    if half_width:
        decimals = supported(half_width * display.scale, decimals)
    return quantity(value, half_width, display, decimals) + display.suffix


def quantity(value: float, half_width: float | None, display: Display, decimals: int) -> str:
    """A value without its unit, `±` its interval if it has one."""
    text = f"{value * display.scale:,.{decimals}f}"
    if not half_width:
        return text
    return f"{text} ± {half_width * display.scale:,.{decimals}f}"


def supported(half_width: float, decimals: int) -> int:
    """How many decimals a figure can carry: two digits of its interval's half-width, and at most
    two more than are usual.

    >>> supported(0.021, 1), supported(57.0, 1)
    (3, 0)
    """
    return min(max(0, 1 - math.floor(math.log10(half_width))), decimals + 2)


def header_of(name: str) -> str:
    """A metric's label and unit, as the head of a column and as the label of an axis."""
    label, unit = BY_NAME[name].label, display_of(name).header
    return f"{label} ({unit})" if unit else label


def in_sentence(metric: Metric, among: Iterable[Metric] = ()) -> str:
    """A metric within a sentence: its label without its last details, unless another `among` those
    that are spoken of would be called the same: `test accuracy (best epoch)`."""
    label = _short(metric)
    details = metric.label.removeprefix(label).strip(", ()¹")
    if details and any(_short(other) == label and other.name != metric.name for other in among):
        label = f"{label} ({details})"
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def _short(metric: Metric) -> str:
    return metric.label.partition(",")[0].partition(" (")[0]


def shortened(name: str, length: int = 36) -> str:
    """A name that leaves room for a picture beside it: its two ends, if it is long."""
    end = length // 3
    return name if len(name) <= length else f"{name[: length - end - 1]}…{name[-end:]}"


def percent(fraction: float) -> str:
    """A fraction in percent, one decimal."""
    return f"{fraction * 100:.1f} %"


def signed_percent(fraction: float) -> str:
    """A change in percent with its sign, one decimal."""
    return f"{fraction * 100:+.1f} %"


def times(factor: float) -> str:
    """A ratio in words that fit after a verb: `2.1 times`."""
    return f"{factor:,.2f} times" if factor < 10 else f"{factor:,.0f} times"


def ratio(a: float, b: float) -> str:
    """How many times b goes into a."""
    return times(a / b) if b else "many times"


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1] if words else "")))


def image_counts(data: DatasetFacts, train: str = "train") -> str:
    """How many images of each kind: `540 train, 60 validation and 200 test images`."""
    names = {"train": train}
    return listed([f"{n:,} {names.get(part, part)}" for part, n in data.parts.items()]) + " images"


def sentence(clauses: str) -> str:
    """Clauses as a sentence: with a capital, and a full stop."""
    return f"{clauses[:1].upper()}{clauses[1:]}."


def change_text(effect: Effect) -> str:
    """A ratio or a difference in points, with its 95 % interval if it has one:
    `1.120 (1.090–1.150)`, `+1.2 pt (+0.4 to +2.0)`."""
    low, high = effect.low, effect.high
    if effect.scale == "ratio":
        text, interval = _factor(effect.change), "{}–{}"
        ends = [_factor(end) for end in (low, high) if end is not None]
    else:
        text, interval = f"{effect.change * 100:+.1f} pt", "{} to {}"
        ends = [f"{end * 100:+.1f}" for end in (low, high) if end is not None]
    return f"{text} ({interval.format(*ends)})" if ends else text


def against(effect: Effect, other: str) -> str:
    """How a figure stands to `other`, in words that fit after `is`: `1.120 times A's`."""
    if effect.scale == "ratio":
        if abs(effect.shift) < 1e-9:
            return f"equal to {other}"
        factor, bracket, interval = change_text(effect).partition(" (")
        return f"{factor} times {other}{bracket}{interval}"
    side = "above" if effect.change >= 0 else "below"
    points = f"{abs(effect.change) * 100:.1f} points {side} {other}"
    if effect.half_width is None:
        return points
    return f"{points} (± {effect.half_width * 100:.1f})"


def p_text(p: float | None) -> str:
    """A probability, or a dash where chance has no part."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _factor(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:,.1f}" if value < 1e6 else f"{value:.1e}"

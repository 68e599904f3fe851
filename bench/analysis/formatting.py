"""Figures as people write them, with their unit: for sentences and for tables of mixed figures."""

import math

from bench.analysis.metrics import BY_NAME

MISSING = "–"

_SCALES: dict[str, tuple[float, str, int]] = {
    "fraction": (100.0, " %", 1),
    "s": (1.0, " s", 1),
    "ms": (1.0, " ms", 1),
    "bytes": (2**-20, " MiB", 0),
    "images/s": (1.0, " images/s", 0),
    "images": (1.0, " images", 0),
    "nats": (1.0, " nats", 3),
    "10^6": (1.0, " million", 2),
    "10^9 multiply-adds/image": (1.0, " GMACs", 3),
    "J": (1.0, " J", 0),
    "W": (1.0, " W", 0),
    "°C": (1.0, " °C", 0),
    "MHz": (1.0, " MHz", 0),
}


def shown(metric: str, value: float, half_width: float | None = None) -> str:
    """A value of a metric in the unit that people read, `±` its interval if it has one.

    >>> shown("final_test_accuracy", 0.7377)
    '73.8 %'
    """
    known = BY_NAME.get(metric)
    # What is no metric of a trial is an accuracy or a share, but for losses.
    unit = known.unit if known else "" if "loss" in metric else "fraction"
    scale, suffix, decimals = _SCALES.get(unit, (1.0, "", 0 if known else 3))
    if half_width:
        decimals = supported(half_width * scale, decimals)
    text = f"{value * scale:,.{decimals}f}"
    if half_width:
        text += f" ± {half_width * scale:,.{decimals}f}"
    return text + suffix


def supported(half_width: float, decimals: int) -> int:
    """How many decimals a figure can carry: two digits of its interval's half-width, and at most
    two more than are usual.

    >>> supported(0.021, 1), supported(57.0, 1)
    (3, 0)
    """
    return min(max(0, 1 - math.floor(math.log10(half_width))), decimals + 2)


def axis_label(metric: str) -> str:
    """A metric's label with its unit; fractions have theirs on the axis."""
    known = BY_NAME[metric]
    return f"{known.label} ({known.unit})" if known.unit not in ("", "fraction") else known.label


def shortened(name: str, length: int = 36) -> str:
    """A name that leaves room for a picture beside it: its two ends, if it is long."""
    end = length // 3
    return name if len(name) <= length else f"{name[: length - end - 1]}…{name[-end:]}"


def percent(fraction: float) -> str:
    """A fraction in percent, one decimal."""
    return f"{fraction * 100:.1f} %"


def times(factor: float) -> str:
    """A ratio in words that fit after a verb: `2.1 times`."""
    return f"{factor:,.2f} times" if factor < 10 else f"{factor:,.0f} times"


def ratio(a: float, b: float) -> str:
    """How many times b goes into a."""
    return times(a / b) if b else "many times"


def signed_percent(fraction: float) -> str:
    """A change in percent with its sign, one decimal."""
    return f"{fraction * 100:+.1f} %"


def listed(words: list[str]) -> str:
    """Words as a list in a sentence: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1] if words else "")))

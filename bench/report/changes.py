"""Differences as people write them: `1.12 (1.09–1.15)` for ratios, `+1.2 pt` for accuracies."""

from bench.analysis.compare.effects import Effect
from bench.analysis.compare.verdicts import Verdict
from bench.analysis.metrics import Metric

KINDS = ("better", "worse", "different", "same", "cannot tell")
"""What a verdict comes to, for colours and for counting."""


def kind_of(verdict: Verdict) -> str:
    """Which of the `KINDS` a verdict is."""
    if verdict.apart:
        return {True: "better", False: "worse", None: "different"}[verdict.better]
    return "cannot tell" if verdict.word == "cannot tell" else "same"


def change_text(found: Effect) -> str:
    """A ratio or a difference in points, with its 95 % interval if it has one."""
    if found.scale == "ratio":
        text = _factor(found.change)
        if found.low is None or found.high is None:
            return text
        return f"{text} ({_factor(found.low)}–{_factor(found.high)})"
    text = f"{found.change * 100:+.1f} pt"
    if found.low is None or found.high is None:
        return text
    return f"{text} ({found.low * 100:+.1f} to {found.high * 100:+.1f})"


def against(found: Effect, other: str) -> str:
    """How a figure stands to `other`, in words that fit after `is`: `1.120 times A's`."""
    if found.scale == "ratio":
        if abs(found.shift) < 1e-9:
            return f"equal to {other}"
        room = ""
        if found.low is not None and found.high is not None:
            room = f" ({_factor(found.low)}–{_factor(found.high)})"
        return f"{_factor(found.change)} times {other}{room}"
    side = "above" if found.change >= 0 else "below"
    points = f"{abs(found.change) * 100:.1f} points {side} {other}"
    if found.half_width is None:
        return points
    return f"{points} (± {found.half_width * 100:.1f})"


def name_of(metric: Metric) -> str:
    """A metric within a sentence: its label without its last details."""
    label = metric.label.partition(",")[0].partition(" (")[0]
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def sentence(clauses: str) -> str:
    """Clauses as a sentence: with a capital, and a full stop."""
    return f"{clauses[:1].upper()}{clauses[1:]}."


def p_text(p: float | None) -> str:
    """A probability, or a dash where chance has no part."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _factor(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:,.1f}" if value < 1e6 else f"{value:.1e}"

"""What is said of a difference: faster or slower, the same, or that it cannot be told."""

import math
from dataclasses import dataclass

from bench.analysis.compare.effects import ALPHA, MOST_SEEDS, Effect, Scale, more_seeds
from bench.analysis.metrics import Metric
from bench.units import counted

FEWEST_SEEDS = 3
"""Seeds a side below which nothing is advised: two have an interval thirteen standard errors wide
each way."""

_WORDS = {
    "images/s": ("faster", "slower"),
    "s": ("slower", "faster"),
    "ms": ("slower", "faster"),
    "fraction": ("higher", "lower"),
    "nats": ("higher", "lower"),
    "°C": ("higher", "lower"),
    "MHz": ("higher", "lower"),
}
_OTHERWISE = ("more", "less")
SPEEDS = {"images/s": 1, "s": -1, "ms": -1}
"""Units of what a faster machine changes, and which way."""


@dataclass(frozen=True)
class Margins:
    """What counts as the same: `ratio` 0.05 is 5 % either way, `points` 0.01 one point."""

    ratio: float = 0.05
    points: float = 0.01

    def width(self, scale: Scale) -> float:
        """The margin on the scale of an effect's shift."""
        return math.log1p(self.ratio) if scale == "ratio" else self.points

    def text(self, scale: Scale) -> str:
        """The margin in words."""
        if scale == "ratio":
            return f"{self.ratio * 100:g} %"
        return f"{self.points * 100:g} point{'' if self.points == 0.01 else 's'}"


CANNOT_TELL = "cannot tell"

USUAL_MARGINS = Margins()
"""5 %, and a point of accuracy."""


KINDS = ("better", "worse", "different", "same", CANNOT_TELL)
"""What a verdict comes to, for colours and for counting."""


@dataclass(frozen=True)
class Verdict:
    """What can be said of B against A, in a word, and why if it is not said straight out.

    `better` is whether B is the better one: None where there is no difference to speak of, and
    where neither way is better. `significant` if the shift is beyond chance, however small, and the
    machine does not explain it. `more_seeds` is how many more a side would tell, where seeds can.
    """

    word: str
    reason: str = ""
    apart: bool = False
    better: bool | None = None
    significant: bool = False
    more_seeds: int | None = None

    @property
    def text(self) -> str:
        """Word and reason."""
        return f"{self.word}: {self.reason}" if self.reason else self.word

    @property
    def kind(self) -> str:
        """Which of the `KINDS` it is."""
        if self.apart:
            return {True: "better", False: "worse", None: "different"}[self.better]
        return CANNOT_TELL if self.word == CANNOT_TELL else "same"

    @property
    def certainty(self) -> str:
        """How sure a difference that a sentence has just stated is, as its last clause."""
        if self.apart:
            return "beyond chance"
        if self.word == CANNOT_TELL:
            return f"this run cannot tell them apart ({self.reason})"
        return "equal" if self.word == "equal" else f"the {self.word}"


def judge(
    metric: Metric,
    effect: Effect,
    p: float | None,
    *,
    comparisons: int = 1,
    margins: Margins = USUAL_MARGINS,
    machine: float | None = None,
) -> Verdict:
    """The verdict on one effect.

    `p` is corrected for the number of `comparisons`. `machine` is how fast the machine itself was
    for B, over how fast it was for A; None if that is not known, or if two machines are compared on
    purpose.
    """
    if effect.design == "too few":
        lacking = max(1, FEWEST_SEEDS - min(effect.seeds_a, effect.seeds_b))
        return Verdict(CANNOT_TELL, _too_few(effect), more_seeds=lacking)
    if effect.design == "exact" and abs(effect.shift) < 1e-9:
        return Verdict("equal")
    margin, drift = margins.width(effect.scale), _drift(metric, machine)
    # What the machine did alone, and as much or more, is no property of what was compared.
    explained = drift * effect.shift > 0 and abs(drift) >= abs(effect.shift)
    real = effect.design == "exact" or (p is not None and p < ALPHA)
    if abs(effect.shift) + (effect.half_width or 0.0) <= margin:
        if abs(drift) > margin:
            return Verdict(CANNOT_TELL, _changed(machine), more_seeds=1)
        same = f"same within {margins.text(effect.scale)}"
        return Verdict(same, significant=real and not explained)
    if real and explained:
        return Verdict(CANNOT_TELL, _changed(machine), more_seeds=1)
    if real:
        up = effect.shift > 0
        better = None if metric.better is None else up == (metric.better == "higher")
        return Verdict(word_of(metric, up), "", True, better, True)
    needed = more_seeds(effect, margin, comparisons)
    return Verdict(CANNOT_TELL, _needed(needed, effect.unit), more_seeds=needed)


def word_of(metric: Metric, up: bool) -> str:
    """What B is called where a metric goes up or down."""
    rising, falling = _WORDS.get(metric.unit, _OTHERWISE)
    return rising if up else falling


def _drift(metric: Metric, machine: float | None) -> float:
    """By how much the machine's own change moves a metric, a logarithm; 0 if none is known."""
    direction = SPEEDS.get(metric.unit)
    return 0.0 if machine is None or direction is None else direction * math.log(machine)


def _changed(machine: float | None) -> str:
    return f"the machine itself changed by {((machine or 1.0) - 1) * 100:+.1f} %"


def _too_few(effect: Effect) -> str:
    present = min(effect.seeds_a, effect.seeds_b)
    seeds = _counted(present, effect.unit)
    least = max(FEWEST_SEEDS, present + 1)
    return (
        f"{f'its {seeds} agree by chance' if present > 1 else seeds}; at least {least} "
        "a side are needed"
    )


def _needed(units: int | None, unit: str) -> str:
    if units is None:
        return f"more than {MOST_SEEDS} more {_counted(2, unit).partition(' ')[2]} would be needed"
    more = _counted(units, unit).replace(" ", " more ", 1)
    return f"{more} a side would tell"


def _counted(count: int, unit: str) -> str:
    """A number of seeds or people."""
    return counted(count, unit, {"person": "people"}.get(unit, ""))

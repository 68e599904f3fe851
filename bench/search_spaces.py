"""Search spaces: what tuning may change, and within which bounds, as rows of data.

A space belongs to an optimizer and to the units of its rate and decay, for those of one mean
nothing to another. Every space has the same dimensions in the same order, so that one point of
the unit cube is a point of each.
"""

import math
from dataclasses import dataclass
from typing import Literal

DECOUPLED = "sgd-decoupled"
"""The space of `sgd` with a `bench.recipes.Decoupled`."""

EDGE = 0.05
"""A value within this share of its range from an end lies at the edge."""


@dataclass(frozen=True)
class Dimension:
    """A value of a setting by its name there, from `low` to `high`: uniform, or with `log` uniform
    in its logarithm. `source` says where the range is from."""

    name: str
    low: float
    high: float
    log: bool
    source: str

    def at(self, share: float) -> float:
        """The value at a share (0 to 1) of the range, with four digits: they are typed again."""
        low, high = (math.log(end) if self.log else end for end in (self.low, self.high))
        value = low + share * (high - low)
        return float(f"{math.exp(value) if self.log else value:.4g}")

    def share(self, value: float) -> float:
        """Where in the range a value lies: 0 at `low`, 1 at `high`."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low)

    def edge(self, value: float) -> Literal["low", "high"] | None:
        """The end that a value lies at; a low end of 0 is no edge, for nothing is below it."""
        share = self.share(value)
        if share > 1 - EDGE:
            return "high"
        return "low" if share < EDGE and self.low > 0 else None


_ADAMW = (
    "AdamW in https://github.com/mlcommons/algorithmic-efficiency, reference_algorithms/"
    "paper_baselines"
)
_RECIPES = "the CIFAR recipes of this harness, and a factor around them"
_AIRBENCH = "a factor of 10 around airbench94's"
_DEFAULT = "a factor of 10 around the default rate"
_WEAKER = "L2 as for sgd, and weaker"
_WARMUP = Dimension("warmup", 0.0, 0.3, False, "none, up to what one-cycle recipes take")
_SMOOTHING = Dimension("label_smoothing", 0.0, 0.2, False, "none, up to airbench's and AlgoPerf's")


def _space(rate: Dimension, decay: Dimension) -> tuple[Dimension, ...]:
    return (rate, decay, _WARMUP, _SMOOTHING)


SEARCH_SPACES: dict[str, tuple[Dimension, ...]] = {
    "adam": _space(
        Dimension("learning_rate", 1e-4, 1e-2, True, _ADAMW),
        Dimension("weight_decay", 1e-6, 1e-3, True, _WEAKER),
    ),
    "adamw": _space(
        Dimension("learning_rate", 1e-4, 1e-2, True, _ADAMW),
        Dimension("weight_decay", 5e-3, 1.0, True, _ADAMW),
    ),
    "sgd": _space(
        Dimension("learning_rate", 3e-3, 1.0, True, _RECIPES),
        Dimension("weight_decay", 1e-5, 3e-3, True, _RECIPES),
    ),
    DECOUPLED: _space(
        Dimension("learning_rate", 1.15, 115.0, True, _AIRBENCH),
        Dimension("weight_decay", 1.5e-3, 0.15, True, _AIRBENCH),
    ),
    "sgd-plain": _space(
        Dimension("learning_rate", 3e-2, 10.0, True, "sgd's over 1 - 0.9, its momentum"),
        Dimension("weight_decay", 1e-5, 3e-3, True, "L2 as for sgd"),
    ),
    "rmsprop": _space(
        Dimension("learning_rate", 1e-4, 1e-2, True, _DEFAULT),
        Dimension("weight_decay", 1e-6, 1e-3, True, _WEAKER),
    ),
    "adagrad": _space(
        Dimension("learning_rate", 1e-3, 1e-1, True, _DEFAULT),
        Dimension("weight_decay", 1e-6, 1e-3, True, _WEAKER),
    ),
}
"""The space of every optimizer, and of sgd in decoupled units."""

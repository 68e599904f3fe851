"""What training costs on a card, from predicted times: money by the user's own prices, and energy.

Energy is at most the power that the board is built for, over the longest time that is expected; the
rest of the machine is not included.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import Refused
from bench.prediction.cards import Card, find_card
from bench.records.records import PredictedSpeed
from bench.units import finite_number

HIGHEST_PRICE = 1e9
"""More per hour is a slip of the keyboard."""


@dataclass(frozen=True)
class Range:
    """A predicted figure with the least and the most that are expected."""

    value: float
    low: float
    high: float

    def __add__(self, other: "Range") -> "Range":
        """Both together, end by end: predictions for one card may all err the same way."""
        return Range(self.value + other.value, self.low + other.low, self.high + other.high)

    def __mul__(self, factor: float) -> "Range":
        return Range(self.value * factor, self.low * factor, self.high * factor)


def parse_prices(texts: Sequence[str], cards: Sequence[str]) -> dict[str, float]:
    """Prices per hour by the name of the card, from texts such as `t4=0.35`.

    Raises:
        Refused: a price is no number above 0, or is of a card that is unknown, none of `cards`, or
            has one already.
    """
    prices: dict[str, float] = {}
    names = {find_card(card).name for card in cards}
    for text in texts:
        card, _, number = text.rpartition("=")
        price = finite_number(number)
        if not card or price is None or not 0 < price <= HIGHEST_PRICE:
            raise Refused(
                f"--price {text} must be a card and its price per hour, above 0, such as t4=0.35."
            )
        name = find_card(card).name
        if name not in names:
            raise Refused(f"--price {text} is of no card of --card; add {name} there.")
        if name in prices:
            raise Refused(f"--price names {name} twice.")
        prices[name] = price
    return prices


def epoch_range(speed: PredictedSpeed) -> Range | None:
    """Seconds of an epoch's training; None if the speed was predicted for no number of images."""
    if speed.epoch_seconds is None:
        return None
    slowest = speed.epoch_seconds * speed.slowest_seconds / speed.step_seconds
    return Range(speed.epoch_seconds, speed.epoch_seconds / speed.factor, slowest)


def money(seconds: Range, price: float | None) -> Range | None:
    """What so many seconds cost, in the price's own currency; None without a price per hour."""
    return None if price is None else seconds * (price / 3600)


def most_joules(seconds: Range, card: Card) -> float | None:
    """The most energy that so many seconds can take; None if the board's power is not known."""
    watts = card.board_power_watts
    return None if watts is None else watts * seconds.high

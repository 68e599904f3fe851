"""Which card to take for a plan: models, each trained for so many epochs, within bounds.

Each card is judged by predictions alone. A bound is kept or broken if the whole range lies on one
side of it; if the range straddles it, nobody can tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Literal

from bench.prediction.cards import Card
from bench.prediction.cost import Range, epoch_range, money, most_joules
from bench.prediction.speed import why_no_speed
from bench.records.records import Predicted

Answer = Literal["yes", "cannot tell", "no"]
ANSWERS: tuple[Answer, ...] = ("yes", "cannot tell", "no")
"""From the best to the worst."""


@dataclass(frozen=True)
class Plan:
    """What is trained: `epochs` by model, of so many `images`, at `batch_size` or, if that is None,
    each at its largest batch; and the bounds. `prices` are per hour, by card. With
    `epoch_seconds`, a card is wanted whose epoch takes so long."""

    epochs: Mapping[str, int]
    images: int
    batch_size: int | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    deadline_seconds: float | None = None
    budget: float | None = None
    epoch_seconds: float | None = None


@dataclass(frozen=True)
class Candidate:
    """A card judged for a plan: what all of it costs there, and an answer for each bound.

    Without `seconds` the card cannot be taken, or nothing is known, and `reason` says why.
    """

    card: Card
    predictions: tuple[Predicted, ...]
    reason: str | None = None
    seconds: Range | None = None
    money: Range | None = None
    most_joules: float | None = None
    answers: Mapping[str, Answer] = field(default_factory=dict)

    @property
    def answer(self) -> Answer:
        """Whether the card does it: the worst of its answers."""
        if self.seconds is None:
            return "no"
        return max(self.answers.values(), key=ANSWERS.index, default="yes")

    def cost(self, priced: bool) -> Range | None:
        """What cards are ranked by: money, or else time."""
        return self.money if priced else self.seconds

    def rivals(self, other: "Candidate", priced: bool) -> bool:
        """Whether the ranges of two cards overlap, so that either may cost less."""
        one, another = self.cost(priced), other.cost(priced)
        return bool(one and another and one.low < another.high and another.low < one.high)


def rank(cards: Sequence[Card], predictions: Sequence[Predicted], plan: Plan) -> list[Candidate]:
    """The cards, those that keep every bound first; then by money if all have a price, else by
    time; at the end those without a figure."""
    judged = [judge(c, [p for p in predictions if p.card == c.name], plan) for c in cards]
    priced = all_priced(judged)

    def place(candidate: Candidate) -> tuple[int, float]:
        cost = candidate.cost(priced)
        return (
            (len(ANSWERS), 0.0) if cost is None else (ANSWERS.index(candidate.answer), cost.value)
        )

    return sorted(judged, key=place)


def all_priced(candidates: Sequence[Candidate]) -> bool:
    """Whether all cards that have a time have a price too."""
    return all(c.money for c in candidates if c.seconds)


def judge(card: Card, predictions: Sequence[Predicted], plan: Plan) -> Candidate:
    """One card, from the predictions that were made for it."""
    parts: list[Range] = []
    for p in predictions:
        size = plan.batch_size or p.max_batch
        speed = next((s for s in p.speeds if s.batch_size == size), None)
        epoch = epoch_range(speed) if speed else None
        if not 0 < size <= p.max_batch:
            batch = f" with a batch of {plan.batch_size:,}" if plan.batch_size else ""
            return Candidate(card, tuple(predictions), f"{p.model} does not fit{batch}")
        if epoch is None:
            why = why_no_speed(card, p.setting.precision) or f"{p.model} has no predicted speed"
            return Candidate(card, tuple(predictions), why)
        parts.append(epoch * plan.epochs[p.model])
    seconds: Range = reduce(add, parts)
    cost = money(seconds, plan.prices.get(card.name))
    answers: dict[str, Answer] = {
        "fits": "yes"
        if all(p.max_batch_low >= (plan.batch_size or 2) for p in predictions)
        else "cannot tell"
    }
    if plan.deadline_seconds is not None:
        answers["deadline"] = within(seconds, plan.deadline_seconds)
    if plan.budget is not None:
        answers["budget"] = within(cost, plan.budget)
    if plan.epoch_seconds is not None:
        answers["epoch"] = "yes" if seconds.low <= plan.epoch_seconds <= seconds.high else "no"
    return Candidate(
        card, tuple(predictions), None, seconds, cost, most_joules(seconds, card), answers
    )


def within(cost: Range | None, bound: float) -> Answer:
    """Whether a cost stays within a bound; nobody can tell of one that is not known."""
    if cost is None or cost.low <= bound < cost.high:
        return "cannot tell"
    return "yes" if cost.high <= bound else "no"

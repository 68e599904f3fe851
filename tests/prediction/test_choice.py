"""Cards judged for a plan, from predictions by hand: an epoch takes a T4 60 s (40 to 90)."""

from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.prediction.cards import find_card
from bench.prediction.choice import Candidate, Plan, judge, rank, within
from bench.prediction.cost import Range
from bench.records.records import Predicted
from tests.builders import a_prediction, a_speed


def predicted(card: str = "t4", model: str = "resnet18", seconds: float = 60.0) -> Predicted:
    """At its largest batch, 1,234, and at 32."""
    speeds = (a_speed(1234, epoch_seconds=seconds), a_speed(32, epoch_seconds=2 * seconds))
    return a_prediction(model, card, speeds=speeds)


def plan(**changes: Any) -> Plan:
    values: dict[str, Any] = {"epochs": {"resnet18": 10, "vgg16": 30}, "images": 50_000}
    return Plan(**values | changes)


def judged(*predictions: Predicted, card: str = "t4", **changes: Any) -> Candidate:
    return judge(find_card(card), predictions or (predicted(),), plan(**changes))


def test_models_are_added_each_for_its_epochs() -> None:
    found = judged(predicted(), predicted(model="vgg16"), prices={"t4": 0.9})
    assert found.seconds is not None
    assert astuple(found.seconds) == pytest.approx((2400, 1600, 3600))
    assert found.money is not None
    assert found.money.high == pytest.approx(0.9)
    assert found.most_joules == pytest.approx(70 * 3600)
    assert found.answer == "yes"


def test_a_batch_size_has_its_own_speed() -> None:
    found = judged(batch_size=32).seconds
    assert found is not None
    assert astuple(found) == pytest.approx((1200, 800, 1800))


@pytest.mark.parametrize(
    ("bounds", "answers"),
    [
        ({}, {}),
        ({"deadline_seconds": 901}, {"deadline": "yes"}),
        ({"deadline_seconds": 899}, {"deadline": "cannot tell"}),
        ({"deadline_seconds": 399}, {"deadline": "no"}),
        ({"budget": 0.5, "prices": {"t4": 1.0}}, {"budget": "yes"}),
        ({"budget": 0.2, "prices": {"t4": 1.0}}, {"budget": "cannot tell"}),
        ({"budget": 0.1, "prices": {"t4": 1.0}}, {"budget": "no"}),
        ({"budget": 0.1, "prices": {"l4": 1.0}}, {"budget": "cannot tell"}),
        ({"epoch_seconds": 500}, {"epoch": "yes"}),
        ({"epoch_seconds": 1000}, {"epoch": "no"}),
        (
            {"deadline_seconds": 901, "budget": 0.1, "prices": {"t4": 1}},
            {"deadline": "yes", "budget": "no"},
        ),
    ],
)
def test_a_bound_is_kept_broken_or_open(bounds: dict[str, Any], answers: dict[str, str]) -> None:
    found = judged(**bounds)
    assert found.answers == {"fits": "yes"} | answers
    worst = max(("yes", *answers.values()), key=("yes", "cannot tell", "no").index)
    assert found.answer == worst


@given(st.floats(0.1, 10), st.floats(1, 10), st.floats(1, 10), st.floats(0.001, 1e3))
def test_yes_and_no_are_said_only_of_a_whole_range(
    value: float, down: float, up: float, bound: float
) -> None:
    cost = Range(value, value / down, value * up)
    answer = within(cost, bound)
    assert (answer == "yes") == (cost.high <= bound)
    assert (answer == "no") == (cost.low > bound)


def test_a_card_without_a_figure_says_why() -> None:
    nothing = a_prediction(max_batch=0, max_batch_low=0, max_batch_high=9, model="vgg16")
    cases = {
        "vgg16 does not fit": judged(predicted(), nothing),
        "resnet18 does not fit with a batch of 2,000": judged(batch_size=2000),
        "its memory bandwidth is not known": judged(a_prediction(card="k80"), card="k80"),
        "resnet18 has no predicted speed": judged(a_prediction()),
    }
    for reason, found in cases.items():
        assert (found.reason, found.seconds, found.answer) == (reason, None, "no")


def test_a_batch_near_the_largest_may_not_fit() -> None:
    close = a_prediction(speeds=(a_speed(1200, epoch_seconds=60.0),))  # 1,170 to 1,298 fit
    assert judged(close, batch_size=1200).answer == "cannot tell"


def test_cards_that_keep_the_bounds_come_first_then_the_cheapest() -> None:
    seconds = {"t4": 60.0, "l4": 30.0, "rtx3090": 10.0, "k80": 5.0}
    cards = [find_card(name) for name in seconds]
    made = [predicted(name, seconds=s) for name, s in seconds.items() if name != "k80"]
    made.append(a_prediction(card="k80"))

    def order(**changes: Any) -> list[str]:
        return [c.card.name for c in rank(cards, made, plan(**changes))]

    assert order() == ["rtx3090", "l4", "t4", "k80"]
    dear = {"t4": 0.1, "l4": 1.0, "rtx3090": 9.0}
    assert order(prices=dear) == ["t4", "l4", "rtx3090", "k80"]
    # Without a price for all of them, time decides.
    assert order(prices={"t4": 0.1, "l4": 1.0}) == ["rtx3090", "l4", "t4", "k80"]
    # The T4 is too slow for sure, the L4 perhaps.
    assert order(prices=dear, deadline_seconds=310) == ["rtx3090", "l4", "t4", "k80"]

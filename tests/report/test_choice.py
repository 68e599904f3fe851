"""What `choose` says of cards that were judged, from predictions made by hand."""

from typing import Any

import pytest

from bench.prediction.cards import find_card
from bench.prediction.choice import Candidate, Plan, rank
from bench.report.choice import (
    choice_figure,
    choice_rows,
    choice_sentence,
    choice_table,
    plan_sentence,
)
from tests.builders import a_prediction, a_speed

PRICES = {"t4": 0.35, "l4": 0.8, "rtx3090": 9.0}
SECONDS = {"t4": 3600.0, "l4": 1800.0, "rtx3090": 600.0}
"""Of an epoch, with a range from two thirds to one and a half of it; K80s have no figure."""


def ranked(**changes: Any) -> tuple[list[Candidate], Plan]:
    plan = Plan({"resnet18": 2}, 50_000, **changes)
    made = [
        a_prediction(card=card, speeds=(a_speed(1234, epoch_seconds=seconds),))
        for card, seconds in SECONDS.items()
    ]
    cards = [find_card(name) for name in ("k80", *SECONDS)]
    return rank(cards, [*made, a_prediction(card="k80")], plan), plan


def table_of(**changes: Any) -> list[dict[str, str]]:
    table = choice_table(*ranked(**changes))
    return [dict(zip(table.headers, (c.text for c in row), strict=True)) for row in table.rows]


def test_a_row_per_card_with_ranges_and_answers() -> None:
    best, *_, last = table_of(prices=PRICES, deadline_seconds=5400, budget=1.5)
    assert best == {
        "Card": "l4",
        "Largest batch (predicted)": "resnet18: 1,234 (1,170–1,298)",
        "Hours (predicted)": "1 (0.67–1.5)",
        "Money (predicted; price per hour as given)": "0.8 (0.53–1.2)",
        "Energy (kWh, at most)": "0.11",
        "Within 1h30m": "yes",
        "Within a budget of 1.5": "yes",
    }
    assert last["Card"] == "k80"
    assert last["Hours (predicted)"] == "its memory bandwidth is not known"
    assert last["Within 1h30m"] == "–"


def test_without_prices_there_is_no_money() -> None:
    assert [row["Card"] for row in table_of()] == ["rtx3090", "l4", "t4", "k80"]
    assert not any("Money" in header for header in table_of()[0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "Predicted best: rtx3090, 0.33 (0.22–0.5) hours; no range of an equally good card "
            "overlaps.",
        ),
        (
            {"prices": PRICES, "budget": 1.5},
            "Predicted best: t4, 2 (1.3–3) hours for 0.7 (0.47–1.1); all of its range stays "
            "within the budget; l4 may be cheaper, because the ranges overlap.",
        ),
        (
            {"deadline_seconds": 1500},
            "whether it stays within the deadline cannot be told from the ranges",
        ),
        (
            {"deadline_seconds": 60},
            "No card does it: rtx3090, the fastest, takes 0.33 (0.22–0.5) hours, which breaks the "
            "deadline.",
        ),
        ({"batch_size": 9999}, "No card does it: none has a figure for the whole plan (resnet18 "),
        (
            {"epoch_seconds": 3700},
            "An epoch of 3700 s lies in the predicted range of l4.",
        ),
        ({"epoch_seconds": 1}, "An epoch of 1 s lies in the predicted range of none of these"),
    ],
)
def test_one_sentence_says_the_best_answer(changes: dict[str, Any], said: str) -> None:
    assert said in choice_sentence(*ranked(**changes))


def test_the_plan_is_said() -> None:
    assert plan_sentence(*ranked(batch_size=32)) == (
        "The plan: 2 epochs of resnet18 (32 px, adam, fp32); 50,000 images an epoch, at a batch "
        "of 32."
    )


def test_rows_for_other_programs_have_plain_figures() -> None:
    first, *_, last = choice_rows(*ranked(prices=PRICES))
    assert (first["rank"], first["card"], first["answer"]) == (1, "t4", "yes")
    assert first["seconds"] == 7200
    assert first["money_high"] == pytest.approx(3 * 0.35)
    assert first["joules_at_most"] == 70 * 10800
    assert (last["seconds"], last["reason"]) == (None, "its memory bandwidth is not known")


@pytest.mark.parametrize("prices", [{}, PRICES])
def test_the_picture_has_every_card_with_a_figure_and_the_bounds(prices: dict[str, float]) -> None:
    bounds: dict[str, Any] = {"deadline_seconds": 7200, "budget": 1.0 if prices else None}
    figure = choice_figure(*ranked(prices=prices, **bounds))
    assert figure is not None
    (ax,) = figure.axes
    if prices:
        (legend,) = figure.legends
        named = {text.get_text() for text in legend.get_texts()}
        assert named == {*SECONDS, "deadline of 2h", "budget of 1"}
    else:
        named = {label.get_text() for label in ax.get_yticklabels()}
        assert "rtx3090   0.33 (0.22–0.5)" in named
        assert ax.get_xlabel() == "Hours, predicted; dotted: deadline of 2h"
    assert "k80" in figure._supxlabel.get_text()  # type: ignore[attr-defined]


def test_without_any_figure_there_is_no_picture() -> None:
    assert choice_figure(*ranked(batch_size=9999)) is None

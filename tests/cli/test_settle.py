"""What `settle` prints: a step, the plan, and the claims in three groups."""

import io
from typing import Any

import pytest
from rich.console import Console

from bench.analysis.claims.claim import Claim, ClaimVerdict
from bench.analysis.claims.evidence import Subject, Wanted
from bench.analysis.claims.schedule import Step
from bench.analysis.claims.settled import Settled, would_take
from bench.cli.settle import _Show, plan_table, show_settled, step_text
from bench.records.records import TrialEnded
from bench.records.run import UNTRAINED
from bench.runner.settle import Round
from tests.builders import a_dataset, a_trial, an_epoch

ADAM, SGD = Subject("resnet18", "adam"), Subject("resnet18", "sgd")
STEP = Step(frozenset({Wanted(3, 0, ADAM), Wanted(3, 0, SGD), Wanted(3, 1, ADAM)}), ("a", "b"), 90)


def printed(show: Any) -> str:
    text = io.StringIO()
    show(Console(file=text, width=200))
    return text.getvalue()


def test_a_step_says_what_is_run_for_how_long_and_for_what() -> None:
    assert step_text(STEP) == (
        "run 3: resnet18 adam (seeds 0, 1), resnet18 sgd (seed 0); about 90 s, for a and b"
    )


def test_the_plan_adds_up() -> None:
    rows = [[cell.text for cell in row] for row in plan_table([STEP, STEP]).rows]
    assert [row[2:4] for row in rows] == [["90 s", "90 s"], ["90 s", "3 minutes"]]
    assert rows[0][4] == "a b"


def test_claims_are_in_three_groups_with_what_they_would_take() -> None:
    def claim(name: str) -> Claim:
        return Claim(name, f"It is [b]{name}[/b]", "falls")

    text = printed(
        lambda console: show_settled(
            [
                Settled(claim("far"), "cannot be decided here", ClaimVerdict("cannot tell", "far")),
                Settled(
                    claim("open"),
                    "open",
                    ClaimVerdict("cannot tell", "the interval overlaps 4 ± 1 times", "4.9 times"),
                    would_take="7 more seeds, about 50 minutes",
                ),
                Settled(claim("so"), "decided", ClaimVerdict("holds", "so", "12", "predicted")),
            ],
            console,
        )
    )
    assert text.index("decided (1)") < text.index("open (1)")
    assert text.index("open (1)") < text.index("cannot be decided here (1)")
    assert "so: It is [b]so[/b]\n    holds: so [12, predicted]" in text
    assert (
        "the interval overlaps 4 ± 1 times [4.9 times, measured]; it would take 7 more seeds, "
        "about 50 minutes" in text
    )


@pytest.mark.parametrize(
    ("seeds", "said"), [((0,), "1 seed"), ((0, 1), "2 seeds"), ((3,), "1 more seed")]
)
def test_what_a_verdict_would_take(seeds: tuple[int, ...], said: str) -> None:
    wanted = [Wanted(1, seed, subject) for seed in seeds for subject in (ADAM, SGD)]
    assert would_take(wanted, 45 * 60) == f"{said}, about 45 minutes"


def test_rounds_repeat_nothing_that_was_shown() -> None:
    trial = a_trial()
    messages = [a_dataset(), a_dataset(), an_epoch(trial), an_epoch(trial), Round(STEP)]
    messages.append(TrialEnded(trial, "refused", UNTRAINED, 0.0))
    text = printed(lambda console: list(map(_Show(console), messages)))
    assert [text.count(part) for part in ("data shapes10", "epoch 1 ", "run 3:")] == [1, 1, 1]
    assert "not trained" not in text

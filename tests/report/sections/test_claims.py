"""Claims as a section: a row each, with figure, verdict and reason."""

from dataclasses import replace
from pathlib import Path

from bench.analysis.claims.claim import Claim
from bench.records.run import collect
from bench.report.context import Context
from bench.report.sections.claims import SECTIONS
from tests.builders import a_description, a_done_trial, a_trial, run_start

(SECTION,) = SECTIONS
HERE = [*run_start(), a_description("a"), *a_done_trial(a_trial("a"))]
QUOTED = Claim(
    *("x", "It is so", "about", 1.0, "million", ("params",), ("a",)), threshold=1e6, tolerance=10.0
)
RATIO = Claim("y", "It is so", "ratio", metric=("max_batch",), models=("a", "a"), threshold=4.0)


def context(*claims: Claim) -> Context:
    return Context(collect(Path("somewhere"), HERE), claims)


def test_what_is_decided_has_a_row_per_claim_with_figure_verdict_and_reason() -> None:
    wrong = replace(QUOTED, threshold=2e6)
    holds, does_not, undecided = SECTION.tables(context(wrong, RATIO, QUOTED))
    assert [[cell.text for cell in row] for row in holds.rows] == [
        ["It is so", "holds", "within 1,000,000 ± 10", "1 million", "1,000,000 (measured)"],
    ]
    assert [[cell.text for cell in row] for row in does_not.rows] == [
        [
            "It is so",
            "does not hold",
            "outside 2,000,000 ± 10",
            "1 million",
            "1,000,000 (measured)",
        ],
    ]
    assert [[cell.text for cell in row] for row in undecided.rows] == [
        ["no search was made for a", "1 claim", "–"],
    ]


def test_what_is_open_has_a_row_per_reason_with_the_command_that_would_decide_it() -> None:
    missing = Claim("z", "It is there", "more", metric=("params",), models=("a", "b@sgd"))
    again = replace(missing, id="zz", claim="It is there too")
    late = Claim(
        "l", "Late", "at_epoch", metric=("test_accuracy",), models=("a",), at=9, threshold=1
    )
    *_, undecided = SECTION.tables(context(missing, late, again))
    assert [[cell.text for cell in row] for row in undecided.rows] == [
        [
            "not run: b@sgd",
            "2 claims",
            "python run_bench.py --preset smoke --models a b --optimizer sgd",
        ],
        [
            "the run has 3 epochs",
            "1 claim",
            "python run_bench.py --preset smoke --models a --epochs 9",
        ],
    ]
    ours = replace(late, needs=("cifar10",), evidence=("recipe=lecture",))
    *_, undecided = SECTION.tables(context(ours))
    assert [cell.text for cell in undecided.rows[0]] == [
        *("other recipe: constant, not lecture", "1 claim", "python -m bench settle")
    ]


def test_what_several_claims_lack_is_one_row() -> None:
    missing = Claim("z", "It is there", "more", metric=("params",), models=("a", "b@sgd"))
    again = replace(missing, id="zz", claim="It is there too")
    *_, undecided = SECTION.tables(context(missing, again))
    assert undecided.rows[0][1].more == ("It is there", "It is there too")


def test_the_finding_counts() -> None:
    assert SECTION.finding(context(QUOTED, RATIO)) == (
        "Of 2 claims, 1 holds and 1 cannot be told from this run."
    )
    assert SECTION.finding(context(QUOTED)) == "Of 1 claim, 1 holds."
    assert SECTION.finding(context()) is None

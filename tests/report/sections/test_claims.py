"""Claims as a section: a row each, with figure, verdict and reason."""

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


def test_the_table_has_a_row_per_claim_with_figure_verdict_and_reason() -> None:
    (table,) = SECTION.tables(context(QUOTED, RATIO))
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["It is so", "holds", "within 1,000,000 ± 10", "1 million", "1,000,000"],
        ["It is so", "cannot tell", "no search was made for a", "–", "–"],
    ]


def test_the_finding_counts() -> None:
    assert SECTION.finding(context(QUOTED, RATIO)) == (
        "Of 2 claims, 1 holds and 1 cannot be told from this run."
    )
    assert SECTION.finding(context(QUOTED)) == "Of 1 claim, 1 holds."
    assert SECTION.finding(context()) is None

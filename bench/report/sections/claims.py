"""Published statements, beside what this run says to them."""

from collections import Counter

from bench.analysis.claims.claim import Claim
from bench.analysis.formatting import MISSING, listed
from bench.report.context import Context
from bench.report.sections.base import Section
from bench.report.tables import Table, table_of

VERBS = {
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "cannot tell": ("cannot be told from this run",) * 2,
}


def _finding(context: Context) -> str | None:
    """How many of the claims hold."""
    answers: Counter[str] = Counter(judged.verdict.answer for judged in context.judged)
    parts = [
        f"{answers[answer]} {one if answers[answer] == 1 else many}"
        for answer, (one, many) in VERBS.items()
        if answers[answer]
    ]
    count = len(context.judged)
    return f"Of {count} claim{'s' if count > 1 else ''}, {listed(parts)}." if count else None


def _tables(context: Context) -> tuple[Table, ...]:
    """A row per claim: the verdict and why, the figure quoted, what was measured here."""
    claims = [judged.claim for judged in context.judged]
    verdicts = [judged.verdict for judged in context.judged]
    columns: dict[str, list[str]] = {
        "Claim": [claim.claim for claim in claims],
        "Verdict": [verdict.answer for verdict in verdicts],
        "Why": [verdict.reason for verdict in verdicts],
        "Quoted (published)": [_quoted(claim) for claim in claims],
        "Here (measured)": [verdict.measured or MISSING for verdict in verdicts],
    }
    return (table_of(columns, prose=True),)


def _quoted(claim: Claim) -> str:
    return MISSING if claim.quoted is None else f"{claim.quoted:,g} {claim.unit}".rstrip()


SECTIONS = (
    Section(
        160,
        "claims",
        "Claims",
        _finding,
        _tables,
        remarks=lambda context: (
            "Statements that were published, beside what this run says to them. Seconds and batch "
            "sizes of another machine do not compare: ratios do.",
        ),
    ),
)

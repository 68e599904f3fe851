"""Published statements, beside what this run says to them."""

from collections import Counter
from collections.abc import Sequence

from bench.analysis.claims.claim import Claim
from bench.analysis.claims.judge import JudgedClaim
from bench.analysis.formatting import MISSING, listed
from bench.report.sections.base import Section
from bench.report.tables import Table, table_of


def claims_finding(judged: Sequence[JudgedClaim], source: str) -> str | None:
    """How many of the claims hold; `source` is what they cannot be told from."""
    verbs = {
        "holds": ("holds", "hold"),
        "does not hold": ("does not hold", "do not hold"),
        "cannot tell": (f"cannot be told from {source}",) * 2,
    }
    answers: Counter[str] = Counter(one.verdict.answer for one in judged)
    parts = [
        f"{answers[answer]} {one if answers[answer] == 1 else many}"
        for answer, (one, many) in verbs.items()
        if answers[answer]
    ]
    count = len(judged)
    return f"Of {count} claim{'s' if count > 1 else ''}, {listed(parts)}." if count else None


def claims_table(judged: Sequence[JudgedClaim]) -> Table:
    """A row per claim: the verdict and why, the figure quoted, what was measured here."""
    claims = [one.claim for one in judged]
    verdicts = [one.verdict for one in judged]
    columns: dict[str, list[str]] = {
        "Claim": [claim.claim for claim in claims],
        "Verdict": [verdict.answer for verdict in verdicts],
        "Why": [verdict.reason for verdict in verdicts],
        "Quoted (published)": [_quoted(claim) for claim in claims],
        "Here (measured)": [verdict.measured or MISSING for verdict in verdicts],
    }
    return table_of(columns, prose=True)


def _quoted(claim: Claim) -> str:
    return MISSING if claim.quoted is None else f"{claim.quoted:,g} {claim.unit}".rstrip()


SECTIONS = (
    Section(
        160,
        "claims",
        "Claims",
        lambda context: claims_finding(context.judged, "this run"),
        lambda context: (claims_table(context.judged),),
        remarks=lambda context: (
            "Statements that were published, beside what this run says to them. Seconds and batch "
            "sizes of another machine do not compare: ratios do.",
        ),
    ),
)

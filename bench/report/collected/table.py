"""`collected.csv`: a row for every trial that was read, to analyse at will."""

from collections.abc import Iterator

from bench.analysis.collected.collection import Collected, Submission
from bench.analysis.collected.rows import COLUMNS, SentRow
from bench.records.files import csv_text
from bench.units import finite_number

SENT = ("sender", "file", "run", "counted", "archbench")
"""Columns before those of `models.csv`."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def collected_csv(collected: Collected) -> str:
    """The table; `counted` is `yes`, `times only`, or why a trial does not count."""
    rows = (
        map(inert, (s.sender, s.where, _run(s), counted(row), s.version, *_cells(row)))
        for s in collected.submissions
        for row in s.rows
    )
    return csv_text((*SENT, *COLUMNS), rows)


def _run(submission: Submission) -> str:
    """The beginning of a log's hash; of tables without a log, a name."""
    return submission.id if submission.ended is None else submission.id[:12]


def counted(row: SentRow) -> str:
    """What a trial counts for."""
    if not row.done:
        return f"no: {row.text('status')}"
    if row.copy_of:
        return f"no: a copy of {row.copy_of}'s"
    if row.repeats:
        return f"times only: the same numbers as {row.repeats}'s"
    return "yes"


def inert(text: str) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, *CSV Injection*)."""
    if text.startswith(_FORMULA) and finite_number(text) is None:
        return f"'{text}"
    return text


def _cells(row: SentRow) -> Iterator[str]:
    return (row.text(name) for name in COLUMNS)

"""The page of a class, in a folder: `report.html`, `report.md`, pictures and `collected.csv`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.analysis.claims.claim import Claim
from bench.analysis.collected.collection import Collected
from bench.records.files import write_atomic
from bench.report.collected.accuracy import accuracy
from bench.report.collected.largest_batches import largest_batches
from bench.report.collected.machines import times
from bench.report.collected.sent import claims, comparable, left_out, senders
from bench.report.collected.table import collected_csv
from bench.report.document import Page
from bench.report.render.html import html_page
from bench.report.render.markdown import markdown_page
from bench.report.sections.base import Answer, drawn
from bench.units import counted

MOST_COHORTS = 5
"""Sets of conditions with sections of their own; all are in `collected.csv`."""


def write_class(collected: Collected, statements: Sequence[Claim], folder: Path) -> Page:
    """Write everything into a folder, and return what the page says.

    Raises:
        BenchError: a file cannot be written.
    """
    page = page_of(collected, statements)
    svg = drawn(page.answers, folder / "plots")
    write_atomic(folder / "report.html", html_page(page, svg))
    write_atomic(folder / "report.md", markdown_page(page))
    write_atomic(folder / "collected.csv", collected_csv(collected))
    return page


def page_of(collected: Collected, statements: Sequence[Claim]) -> Page:
    """What the page of a class says."""
    people = dict.fromkeys(submission.sender for submission in collected.submissions)
    machines = dict.fromkeys(row.machine for row in collected.rows)
    facts = (
        ("Runs", f"{len(collected.submissions):,} of {counted(len(people), 'person', 'people')}"),
        ("Trials", f"{sum(row.done for row in collected.rows):,}"),
        ("Kinds of machine", f"{len(machines):,}"),
        ("Left out", counted(len(collected.left_out), "file")),
    )
    answers = tuple(answer for answer in _answers(collected, statements) if answer)
    return Page("a class", facts, tuple(_warnings(collected)), answers)


def _answers(collected: Collected, statements: Sequence[Claim]) -> Iterator[Answer | None]:
    cohorts = collected.cohorts[:MOST_COHORTS]
    several = len(collected.cohorts) > 1
    for number, cohort in enumerate(cohorts, 1):
        yield accuracy(cohort, number, several)
    for number, cohort in enumerate(cohorts, 1):
        yield times(cohort, number, several)
    yield largest_batches(collected)
    yield claims(collected, statements)
    yield comparable(collected)
    yield senders(collected)
    yield left_out(collected)


def _warnings(collected: Collected) -> Iterator[str]:
    """Sentences that a reader must see first."""
    runs = [cohort.run for cohort in collected.cohorts if cohort.run]
    yield from dict.fromkeys(note for run in runs for note in run.dataset.notes)
    if collected.left_out:
        yield (
            f"{counted(len(collected.left_out), 'file')} could not be used; the last section says "
            "why."
        )
    tables = sum(submission.ended is None for submission in collected.submissions)
    if tables:
        yield (
            f"{counted(tables, 'run')} came as tables alone, in which nothing shows whether a "
            "figure was changed: `python -m bench pack` sends the log with its checksums."
        )
    for cohort in collected.cohorts[:MOST_COHORTS]:
        seeds = {row.seed for row in cohort.rows}
        if len(cohort.people) > 2 and len(seeds) < 3:
            yield (
                f"{cohort.name}: {len(cohort.people)} people share {counted(len(seeds), 'seed')}, "
                "which is as many sets of initial weights; more seeds would say more than more "
                "people."
            )
    versions = sorted({s.version for s in collected.submissions if s.version})
    if len(versions) > 1:
        yield f"Several versions of archbench measured this: {', '.join(versions)}."

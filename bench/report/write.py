"""The report of a run: pictures, `report.md`, and `report.html` that stands alone."""

from pathlib import Path

from bench.analysis.claims.claim import Claim
from bench.analysis.claims.reader import KEPT, lecture_claims, read_claims
from bench.records.files import write_atomic
from bench.records.run import Run
from bench.report.context import Context
from bench.report.document import document
from bench.report.render.html import render_html
from bench.report.render.markdown import render_markdown
from bench.report.sections import all_sections
from bench.report.sections.base import answers
from bench.report.style import saved_in_parallel


def write_report(run: Run) -> None:
    """Replace pictures, `report.md` and `report.html` in the run's folder.

    Its claims are those that the run was given (`claims.csv` in its folder), else the lecture's.

    Raises:
        BenchError: a file cannot be written.
        Refused: `claims.csv` was damaged.
    """
    context, plots = Context(run, claims_of(run.path)), run.path / "plots"
    with saved_in_parallel() as save:
        sections = answers(all_sections(), context, lambda name, figure: save(figure, plots / name))
        made = list(sections)
    report = document(context, made)
    write_atomic(run.path / "report.md", render_markdown(report))
    files = [picture.file for answer in made for picture in answer.pictures]
    pictures = {name: (plots / f"{name}.svg").read_text("utf-8") for name in files}
    write_atomic(run.path / "report.html", render_html(report, pictures))


def claims_of(folder: Path) -> tuple[Claim, ...]:
    """The claims that a run folder's report checks; Refused if its own are damaged."""
    kept = folder / KEPT
    return read_claims(kept) if kept.is_file() else lecture_claims()

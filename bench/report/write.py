"""The report of a run: pictures, `report.md`, and `report.html` that stands alone."""

from bench.analysis.claims.reader import KEPT, lecture_claims, read_claims
from bench.analysis.references import known_references
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
    context, plots = context_of(run), run.path / "plots"
    with saved_in_parallel() as save:
        sections = answers(all_sections(), context, lambda name, figure: save(figure, plots / name))
        made = list(sections)
    report = document(context, made)
    write_atomic(run.path / "report.md", render_markdown(report))
    files = [picture.file for answer in made for picture in answer.pictures]
    pictures = {name: (plots / f"{name}.svg").read_text("utf-8") for name in files}
    write_atomic(run.path / "report.html", render_html(report, pictures))


def context_of(run: Run) -> Context:
    """A run beside its claims and the project's references; Refused if its own claims are
    damaged."""
    kept = run.path / KEPT
    claims = read_claims(kept) if kept.is_file() else lecture_claims()
    return Context(run, claims, known_references())

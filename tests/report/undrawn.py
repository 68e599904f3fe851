"""A report whose pictures are made, but neither laid out nor written, which takes seconds."""

from bench.records.run import Run
from bench.report.context import Context
from bench.report.document import document
from bench.report.render.markdown import render_markdown
from bench.report.sections import all_sections
from bench.report.sections.base import Answer, answers
from bench.report.write import claims_of


def answers_of(run: Run) -> list[Answer]:
    """What the report of a run answers."""
    return list(answers(all_sections(), Context(run, claims_of(run.path)), lambda *picture: None))


def markdown_of(run: Run) -> str:
    """Its `report.md`."""
    return render_markdown(document(Context(run, claims_of(run.path)), answers_of(run)))

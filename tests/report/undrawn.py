"""A report whose pictures are made, but neither laid out nor written, which takes seconds."""

from bench.records.run import Run
from bench.report.document import document
from bench.report.render.markdown import render_markdown
from bench.report.sections import all_sections
from bench.report.sections.base import Answer, answers
from bench.report.write import context_of


def answers_of(run: Run) -> list[Answer]:
    """What the report of a run answers."""
    return list(answers(all_sections(), context_of(run), lambda *picture: None))


def markdown_of(run: Run) -> str:
    """Its `report.md`."""
    return render_markdown(document(context_of(run), answers_of(run)))

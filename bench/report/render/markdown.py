"""`report.md`, and Markdown's escapes: the only place that knows them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from bench.report.tables import Cell, Table

if TYPE_CHECKING:  # a comparison is written in Markdown without drawing anything
    from bench.report.document import Document, Page

TEMPLATES = Path(__file__).parent / "templates"


def template(name: str, **filters: Callable[..., Any]) -> Template:
    """One of the templates; HTML escapes what comes from outside by itself."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Markdown has `escaped` below for what comes from outside.
        autoescape=name.endswith(".html.jinja"),
    )
    environment.filters |= filters
    return environment.get_template(name)


def render_markdown(document: "Document") -> str:
    """The report in Markdown."""
    page = template("report.md.jinja", escaped=escaped, table=markdown)
    return page.render(document=document, page=document)


def markdown_page(page: "Page") -> str:
    """A page that is no report of one run."""
    return template("page.md.jinja", escaped=escaped, table=markdown).render(page=page)


def escaped(text: object) -> str:
    """Text from outside without Markdown's and HTML's special characters, on one line."""
    flat = _without_tags(str(text))
    for mark in "\\`*_{}[]|#":
        flat = flat.replace(mark, f"\\{mark}")
    return flat


def markdown(table: Table) -> str:
    """A table in GitHub's Markdown, best values bold."""
    lines = [_line(table.headers), _line(["---", *["---:"] * (len(table.headers) - 1)])]
    lines += [_line([_cell(cell) for cell in row]) for row in table.rows]
    title = f"**{escaped(table.title)}**\n\n" if table.title else ""
    return title + "\n".join(lines)


def _cell(cell: Cell) -> str:
    text = f"{cell.text}: {'; '.join(cell.more)}" if cell.more else cell.text
    return f"**{text}**" if cell.best else text


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_in_table, cells))} |"


def _in_table(text: str) -> str:
    """Text of a cell in which no tag, link or other cell begins."""
    flat = _without_tags(text)
    for mark in "\\|[":  # the backslash first: one before a mark would free it
        flat = flat.replace(mark, f"\\{mark}")
    return flat


def _without_tags(text: str) -> str:
    """Text on one line in which no tag begins."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")

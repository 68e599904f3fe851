"""`report.html`: one file that needs nothing else, opened from disk. No request leaves it.

A policy in its head forbids the browser to load anything, and to run any script but its own.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from bench.report.document import Document, Page
from bench.report.render.markdown import TEMPLATES, template
from bench.report.tables import Table

PIXELS_PER_POINT = 1.25 * 96 / 72
"""A quarter above its size in print, for a projector."""

MARKS = {"holds": "✓", "does not hold": "✗"}
"""Verdicts on claims, and the sign before each."""

_WITHIN_FIGURE = re.compile(r"(?<=\d) (?=[±%]|s\b|ms\b|MiB\b)|(?<=±) ")
_COMMAND = re.compile(r"`([^`]+)`")
_WITHIN_RANGE = re.compile(r"(?<=\d)–(?=\d)")
_NUMBER = re.compile(r"[\d.,±–()%\s+-]*")


def render_html(document: Document, pictures: Mapping[str, str]) -> str:
    """The report as a page of HTML; `pictures` are SVG files by name, as matplotlib writes them."""
    return render_page(
        "report.html.jinja", pictures, page=document, document=document, run=document.run
    )


def html_page(page: Page, pictures: Mapping[str, str]) -> str:
    """A page that is no report of one run, in HTML."""
    return render_page("page.html.jinja", pictures, page=page)


def render_page(name: str, pictures: Mapping[str, str], **values: Any) -> str:
    """A page of HTML from a template with these values, in the report's style."""
    filters = {"numeric": numeric_columns, "predicted": predicted_columns}
    filled = template(name, unbroken=unbroken, commands=commands, **filters)
    script = (TEMPLATES / "report.js").read_text("utf-8")

    def svg(file: str, prefix: str = "") -> Markup:
        """A picture for its place in the page; a second one needs ids of its own."""
        return inline_svg(pictures[file], prefix + file.replace("/", "-"))

    return filled.render(
        **values,
        svg=svg,
        marks=MARKS,
        # The files beside the template are ours: what they hold is markup.
        style=Markup((TEMPLATES / "report.css").read_text("utf-8")),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def inline_svg(svg: str, name: str) -> Markup:
    """A matplotlib SVG as an element of a page: its ids apart from those of other pictures', and
    without what only a file of its own needs (prologue, metadata, comments, a global style)."""
    width = re.search(r'width="([\d.]+)pt"', svg)
    body = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg[svg.index("<svg") :])
    for unneeded in (r"<!--.*?-->", r"<metadata>.*?</metadata>", r"<style\b.*?</style>"):
        body = re.sub(unneeded, "", body, flags=re.DOTALL)
    body = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", body)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = body.replace("xlink:href=", "href=").replace('href="#', f'href="#{name}-')
    body = body.replace("url(#", f"url(#{name}-")
    # Its text is drawn as paths: the figure around it says what it shows, its titles the values.
    size = f' style="--width: {float(width[1]) * PIXELS_PER_POINT:.0f}px"' if width else ""
    tag = f'<svg role="group" focusable="false"{size}'
    return Markup(body.replace("<svg", tag, 1))  # noqa: S704


def unbroken(text: str) -> str:
    """A sentence whose figures stay on a line with their units, and ranges on one."""
    return _WITHIN_RANGE.sub(
        "\N{WORD JOINER}–\N{WORD JOINER}", _WITHIN_FIGURE.sub("\N{NO-BREAK SPACE}", text)
    )


def commands(text: str) -> Markup:
    """A sentence of ours whose commands, in backquotes, are set as code."""
    return Markup(_COMMAND.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704


def numeric_columns(table: Table) -> list[bool]:
    """Which columns hold figures alone, to be set flush right."""
    return [
        bool(i) and all(_NUMBER.fullmatch(row[i].text) for row in table.rows)
        for i in range(len(table.headers))
    ]


def predicted_columns(table: Table) -> list[bool]:
    """Which columns hold what was not measured."""
    return ["predicted" in header for header in table.headers]

"""The page: one file that loads nothing, in which text from outside is text."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.analysis.claims.reader import KEPT
from bench.records.run import Run, load_run
from bench.report.context import Context
from bench.report.document import document
from bench.report.render.html import inline_svg, numeric_columns, render_html, unbroken
from bench.report.tables import Cell, Table
from tests.builders import a_dataset, a_run, run_start, write_log
from tests.report.page import write_page
from tests.report.rich import rich_records
from tests.report.undrawn import answers_of, markdown_of

pytestmark = pytest.mark.slow

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;$x$'
VOID = {"meta", "link", "img", "br", "input", "hr"}
LOADING = {"src", "srcset", "data", "poster", "background", "action", "formaction", "xlink:href"}


class Page(HTMLParser):
    """A page taken apart: its elements with their attributes, its text, and what is left open."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.scripts = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts += data
        elif not (self.open and self.open[-1] == "style"):
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def rich(rich_report: Run) -> tuple[Run, Page, str]:
    text = (rich_report.path / "report.html").read_text("utf-8")
    return rich_report, Page(text), text


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, str]:
    """A report whose every name, reason and claim is an attack."""
    start, device, _ = run_start()
    records = [
        start,
        replace(device, name=EVIL),
        a_dataset(name=EVIL, notes=(EVIL,), classes=(EVIL,)),
    ]
    records += rich_records((f"resnet18{EVIL}", "b'<b>\\"), reason=EVIL)[3:]
    folder = write_log(tmp_path_factory.mktemp("hostile") / "run", records)
    row = '"' + EVIL.replace('"', '""') + '"'
    (folder / KEPT).write_text(
        f"id,claim,rule,metric,models\n{row},{row},falls,train_loss,<b>x</b>\n"
    )
    write_page(load_run(folder))
    text = (folder / "report.html").read_text("utf-8")
    return Page(text), text


def test_every_element_is_closed(rich: tuple[Run, Page, str]) -> None:
    assert rich[1].open == []


def test_every_question_is_a_section_in_order(rich: tuple[Run, Page, str]) -> None:
    assert [section["id"] for section in rich[1].all("section")] == [
        "summary",
        "comparison",
        "ranking",
        "accuracy",
        "picked-epochs",
        "time",
        "epoch-time",
        "memory",
        "parameters",
        "kernels",
        "gradients",
        "evaluation",
        "optimizers",
        "batch-sizes",
        "depth",
        "auxiliary-heads",
        "seeds",
        "trust",
        "claims",
        "environment",
        "again",
        "failures",
    ]


def test_what_the_run_does_not_vary_is_no_section(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    names = {answer.name for answer in answers_of(run)}
    assert names & {"optimizers", "batch-sizes", "depth", "auxiliary-heads", "seeds"} == set()
    assert "No trial has failed" in markdown_of(run)


def test_it_says_on_what_and_how_it_was_measured(rich: tuple[Run, Page, str]) -> None:
    run, page, _ = rich
    for text in ("shapes10: 640 training", "Test CPU", "fp32", "smoke", run.started.command):
        assert text in page.text
    assert "run(Config(models=" in page.text
    assert run.dataset.sha256 in page.text
    assert "the loss is nan." in page.text
    assert "nothing fits." in page.text


def test_nothing_is_loaded_from_anywhere(rich: tuple[Run, Page, str]) -> None:
    _, page, text = rich
    for tag, attributes in page.elements:
        assert tag not in {"iframe", "object", "embed", "base", "img", "video", "audio"}
        assert LOADING & set(attributes) == set()
        here = "data:image/png;base64," if tag == "image" else "#"
        if tag not in ("a", "link"):
            assert attributes.get("href", here).startswith(here)
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert not re.search(r"@import|url\((?!#)", text)


def test_the_policy_allows_its_own_script_alone(rich: tuple[Run, Page, str]) -> None:
    _, page, _ = rich
    (policy,) = [
        meta["content"]
        for meta in page.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    digest = base64.b64encode(hashlib.sha256(page.scripts.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert len(page.all("script")) == 1


def test_every_picture_has_a_text_alternative(rich: tuple[Run, Page, str]) -> None:
    run, page, _ = rich
    figures = page.all("figure")
    drawn = list((run.path / "plots").rglob("*.svg"))
    # One of them stands beside the comparison too.
    assert len(figures) == len(page.all("svg")) == len(drawn) + 1
    assert all(len(figure["aria-label"]) > 60 for figure in figures)
    assert not any(figure.get("role") for figure in figures)
    assert all(svg["role"] == "group" and "aria-hidden" not in svg for svg in page.all("svg"))


def test_no_id_is_used_twice_and_every_reference_is_met(rich: tuple[Run, Page, str]) -> None:
    _, page, text = rich
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    assert used <= set(ids)


def test_every_table_sorts_and_scrolls_by_keyboard(rich: tuple[Run, Page, str]) -> None:
    _, page, _ = rich
    heads = [th for th in page.all("th") if th.get("scope") == "col"]
    tables = [button for button in page.all("button") if button.get("class") == "csv"]
    others = [button for button in page.all("button") if "id" in button or "value" in button]
    assert len(heads) == len(page.all("button")) - len(tables) - len(others) > 40
    assert {th["aria-sort"] for th in heads} == {"none"}
    # The environment's is no table of figures.
    assert len(tables) == len(page.all("table")) - 1
    scrolls = [div for div in page.all("div") if div.get("class") == "scroll"]
    assert len(scrolls) == len(page.all("table"))
    assert all(div["tabindex"] == "0" and div["aria-label"] for div in scrolls)


def test_what_is_predicted_is_marked(rich: tuple[Run, Page, str]) -> None:
    _, page, _ = rich
    cells = [td for td in page.all("td") if "predicted" in td.get("class", "")]
    assert len(cells) > 10
    assert "Largest batch on t4 (predicted)" in page.text


def test_text_from_outside_is_text(hostile: tuple[Page, str]) -> None:
    page, _ = hostile
    assert page.open == []
    assert len(page.all("script")) == 1
    assert "alert" not in page.scripts
    assert page.all("img") == []
    assert page.all("b") == []
    assert not any(name.startswith("on") for _, a in page.elements for name in a)
    assert page.text.count("<script>alert(1)</script>") > 5


def test_a_hostile_name_stays_out_of_paths_and_markdown(hostile: tuple[Page, str]) -> None:
    _, text = hostile
    assert "</script><img" not in text


def test_an_svg_becomes_an_element_of_the_page() -> None:
    svg = (
        '<?xml version="1.0"?><!DOCTYPE svg><svg xmlns:xlink="http://x" width="72pt" height="9pt" '
        'viewBox="0 0 1 1"><metadata>m</metadata><style type="text/css">*{}</style><!-- c -->'
        '<g id="a" clip-path="url(#p)"/><use xlink:href="#a"/></svg>'
    )
    assert inline_svg(svg, "n") == (
        '<svg role="group" focusable="false" style="--width: 120px" viewBox="0 0 1 1">'
        '<g id="n-a" clip-path="url(#n-p)"/><use href="#n-a"/></svg>'
    )


def test_columns_of_figures_are_told_from_columns_of_words() -> None:
    row = tuple(map(Cell, ("9", "1,283", "61.0 ± 12.7", "1,234 (1,170–1,298)", "–", "a 1")))
    assert numeric_columns(Table(("a",) * 6, (row,))) == [False, True, True, True, True, False]


def test_details_are_folded_and_the_first_screen_is_not(rich: tuple[Run, Page, str]) -> None:
    _, page, text = rich
    assert page.all("details")
    assert not any("open" in details for details in page.all("details"))
    first = text[text.index('id="summary"') : text.index('id="ranking"')]
    summary = first[: first.index('id="comparison"')]
    for label in ("Speed", "Accuracy", "Memory", "Recipe", "Epochs", "Seeds"):
        assert f"<dt>{label}</dt>" in summary
    assert summary.index("notes before you quote") < summary.index("<dt>Speed</dt>")
    assert 'id="first-accuracy_over_time-figure_1"' in first


def test_up_to_six_models_are_columns(tmp_path: Path) -> None:
    for count, head in ((6, "row"), (7, "col")):
        run = a_run(tmp_path / str(count), models=[f"m{i}" for i in range(count)], epochs=1)
        made = document(Context(run), ())
        assert made.headline.turned == (head == "row")
        page = Page(render_html(made, {}))
        sorting = {th["scope"] for th in page.all("th") if "aria-sort" in th}
        assert sorting == {head}
    assert made.models == "m0, m1, m2 and 4 more models"


def test_figures_stay_with_their_units() -> None:
    assert unbroken("at 61.0 ± 12.7 %, a 5 s") == "at 61.0\xa0±\xa012.7\xa0%, a 5\xa0s"
    assert unbroken("(1,170–1,298)") == "(1,170\u2060–\u20601,298)"

"""The page as a browser shows it, opened from disk; skipped where there is no Chromium."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.records.run import Run
from tests.builders import a_failed_trial, a_prediction, a_run, a_trial
from tests.report.page import write_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.thorough

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZES = [(1280, 800), (390, 844)]
LOOK = """
pictures => pictures.map(e => {
    const box = e.getBoundingClientRect(), shown = e.checkVisibility({visibilityProperty: true});
    return [shown, box.width, box.height, e.getBBox().width];
})
"""
"""Of every picture: whether it is visible, its width and height, and how wide what is drawn is. Not
asked of each alone: a page with thousands of marks is slow to be looked through."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser on the PATH: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as client:
        # Containers often run as root and have little shared memory.
        started = client.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(rich_report: Run) -> str:
    return (rich_report.path / "report.html").as_uri()


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of as many models as stand beside each other."""
    models = ("resnet18", "googlenet", "densenet121", "resnet152", "inception_v3", "resnet18:cifar")
    run = a_run(tmp_path_factory.mktemp("six") / "run", seeds=2, models=models, epochs=2)
    for model in models:
        run.add(a_prediction(model))
    write_page(run)
    return (run.path / "report.html").as_uri()


class Watched:
    """An open page, with everything that it complained of and asked for."""

    def __init__(self, browser: Any, address: str, size: tuple[int, int], scheme: str) -> None:
        width, height = size
        self.page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def column(self, number: int) -> list[str]:
        """The texts of a column of the first table."""
        cells = self.page.locator(f"#comparison tbody tr > :nth-child({number})")
        return [text.strip() for text in cells.all_text_contents()]


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("size", SIZES, ids=["1280", "390"])
def test_it_opens_without_a_word_a_request_or_overflow_and_shows_every_picture(
    browser: Any, address: str, size: tuple[int, int], scheme: str
) -> None:
    shown = Watched(browser, address, size, scheme)
    assert shown.said == []
    assert shown.requests == [address]
    width = "document.documentElement.scrollWidth"
    assert shown.page.evaluate(width) <= size[0]
    shown.page.locator("#open-all").click()
    assert shown.page.evaluate(width) <= size[0]
    if scheme == "light":
        assert_every_picture_is_visible(shown.page)
    shown.page.close()


def assert_every_picture_is_visible(page: Any) -> None:
    pictures = page.locator("figure svg").evaluate_all(LOOK)
    assert len(pictures) >= 12
    for visible, width, height, drawn in pictures:
        assert visible
        assert width > 300
        assert height > 100
        # Glyphs that are referred to and not found are drawn nowhere.
        assert drawn > 100


@pytest.mark.parametrize("size", SIZES, ids=["1280", "390"])
def test_the_first_screen_answers(browser: Any, six: str, size: tuple[int, int]) -> None:
    shown = Watched(browser, six, size, "light")
    frame = shown.page.locator("#comparison .scroll")
    assert frame.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    answers = shown.page.locator("#summary .answer dd")
    assert answers.count() == 3
    picture = shown.page.locator("#comparison figure svg")
    parts = [*answers.all(), picture, *([frame] if size[0] == 1280 else [])]
    for part in parts:
        box = part.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= size[1]
    shown.page.close()


def test_forty_models_and_a_failure_have_room(browser: Any, tmp_path: Path) -> None:
    models = [f"network{number:02}" for number in range(40)]
    run = a_run(tmp_path / "run", models=models, epochs=2)
    for record in a_failed_trial(a_trial(models[0], seed=1), reason="memory ran out."):
        run.add(record)
    write_page(run)
    for size in SIZES:
        shown = Watched(browser, (run.path / "report.html").as_uri(), size, "light")
        assert shown.page.locator("#comparison tbody tr").count() == 40
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        shown.page.locator("#open-all").click()
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert "memory ran out." in shown.page.locator("#failures").inner_text()
        assert not shown.said
        shown.page.close()


def test_a_row_sorts_the_models_where_they_are_columns(browser: Any, six: str) -> None:
    shown = Watched(browser, six, SIZES[0], "light")
    row = shown.page.locator("#comparison tbody tr").first
    row.locator("button").click()
    row.locator("button").click()
    assert row.locator("th").get_attribute("aria-sort") == "descending"
    assert [text.strip() for text in row.locator("td").all_text_contents()] == [
        "6.00",
        "5.00",
        "4.00",
        "3.00",
        "2.00",
        "1.00",
    ]
    heads = [
        text.strip() for text in shown.page.locator("#comparison thead th").all_text_contents()
    ]
    assert heads[1] == "resnet18:cifar"
    assert heads[-1] == "resnet18"
    shown.page.close()


def test_details_open_by_a_button_and_in_print(browser: Any, address: str) -> None:
    shown = Watched(browser, address, SIZES[0], "light")
    table, button = shown.page.locator("#accuracy table").first, shown.page.locator("#open-all")
    assert not table.is_visible()
    button.click()
    assert table.is_visible()
    assert button.text_content() == "Close all"
    button.click()
    assert not table.is_visible()
    opened = "document.querySelectorAll('details[open]').length"
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.page.evaluate(opened) == shown.page.locator("details").count()
    shown.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shown.page.evaluate(opened) == 0
    assert shown.said == []
    shown.page.close()


def test_points_and_bars_say_their_value(browser: Any, address: str) -> None:
    shown = Watched(browser, address, SIZES[0], "light")
    # The browser finds a mark in no time, where a locator looks through all of them.
    find = "document.querySelector('#accuracy figure use:has(title)')"
    point = shown.page.evaluate_handle(find).as_element()
    text = point.query_selector("title").text_content()
    assert text.startswith("resnet18 · adam · batch auto, Training: Epoch 1, Accuracy ")
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    at = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    # What the pointer meets there is a mark that has a title of its own.
    meets = "([x, y]) => document.elementFromPoint(x, y).querySelector(':scope > title') !== null"
    assert shown.page.evaluate(meets, at)
    find = "document.querySelector('#epoch-time figure g > title').textContent"
    bar = shown.page.evaluate(find)
    assert bar == "resnet18 · adam · batch auto, training: Seconds 10"
    shown.page.close()


def test_a_presenter_turns_sections_by_key(browser: Any, address: str) -> None:
    shown = Watched(browser, address, SIZES[0], "light")
    page, keyboard = shown.page, shown.page.keyboard
    visible = "[...document.querySelectorAll('main > section')]" + (
        ".filter(e => e.checkVisibility()).map(e => e.id)"
    )
    keyboard.press("p")
    assert page.evaluate(visible) == ["summary"]
    for key, section in (
        ("ArrowRight", "comparison"),
        ("Space", "ranking"),
        ("ArrowLeft", "comparison"),
        ("End", "failures"),
        ("ArrowDown", "failures"),
        ("Home", "summary"),
    ):
        keyboard.press(key)
        assert page.evaluate(visible) == [section]
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[0][0]
    page.locator("#pager").get_by_label("Next slide").click()
    assert page.evaluate(visible) == ["comparison"]
    assert page.locator("#place").inner_text().startswith("2 / ")
    page.locator("#pager").get_by_text("End").click()
    assert len(page.evaluate(visible)) == page.locator("main > section").count()
    page.locator("#comparison p").first.click()
    keyboard.press("p")
    assert page.evaluate(visible) != []
    assert len(page.evaluate(visible)) == 1
    keyboard.press("Escape")
    assert len(page.evaluate(visible)) == page.locator("main > section").count()
    assert shown.said == []
    page.close()


def test_slides_are_printed_a_page_each(browser: Any, six: str, tmp_path: Path) -> None:
    shown = Watched(browser, six + "#present", SIZES[0], "light")
    assert shown.page.locator("section.current").get_attribute("id") == "summary"
    shown.page.pdf(path=tmp_path / "slides.pdf", prefer_css_page_size=True)
    pdf = (tmp_path / "slides.pdf").read_bytes()
    slides = shown.page.locator("main > section:not(.aside)").count()
    # Claims may go on, on another page.
    assert slides <= len(re.findall(rb"/Type ?/Page\b", pdf)) <= slides + 4
    assert b"/MediaBox [0 0 960 540]" in pdf or b"/MediaBox [0 0 959" in pdf
    shown.page.close()


def test_a_table_is_saved_as_csv(browser: Any, six: str) -> None:
    shown = Watched(browser, six, SIZES[0], "light")
    with shown.page.expect_download() as begun:
        shown.page.locator("#comparison button.csv").click()
    assert begun.value.suggested_filename == "comparison.csv"
    lines = Path(begun.value.path()).read_text("utf-8-sig").splitlines()
    assert lines[0].startswith('"","resnet18","googlenet"')
    assert lines[1].startswith('"Parameters (10⁶)","1.00","2.00"')
    shown.page.close()


def test_the_dark_page_is_dark_with_light_writing_in_its_pictures(
    browser: Any, address: str
) -> None:
    shown = Watched(browser, address, SIZES[0], "dark")
    colour = "e => getComputedStyle(e).{}"
    body = shown.page.locator("body")
    assert body.evaluate(colour.format("backgroundColor")) == "rgb(16, 19, 23)"
    patch = shown.page.locator("figure svg [id$='-patch_1'] path").first
    assert patch.evaluate(colour.format("fill")) == "rgb(23, 27, 32)"
    text = shown.page.locator("figure svg [id$='-text_1'] use").first
    assert text.evaluate(colour.format("fill")) == "rgb(233, 236, 239)"
    shown.page.close()


def test_a_table_sorts_by_click_and_by_key(browser: Any, address: str) -> None:
    shown = Watched(browser, address, SIZES[0], "light")
    head = shown.page.locator("#comparison thead th").nth(1)
    before = shown.column(2)
    numbers = sorted(float(text) for text in before if text != "–")
    missing = ["–"] * (len(before) - len(numbers))
    assert missing

    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert shown.column(2) == [f"{n:.2f}" for n in numbers] + missing

    head.locator("button").focus()
    shown.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert shown.column(2) == [f"{n:.2f}" for n in reversed(numbers)] + missing

    shown.page.keyboard.press("Shift+Tab")
    shown.page.keyboard.press("Space")
    names = shown.column(1)
    # As people count: 18 before 152.
    models = list(dict.fromkeys(name.split()[0] for name in names))
    assert models == [
        "densenet201",
        "googlenet",
        "googlenet:noaux",
        "resnet18",
        "resnet50",
        "resnet152",
    ]
    sorted_by = shown.page.locator("#comparison th[aria-sort='ascending']").all_text_contents()
    assert [text.strip() for text in sorted_by] == ["Model"]
    assert head.get_attribute("aria-sort") == "none"
    assert shown.said == []
    shown.page.close()


def test_numbers_sort_by_what_they_are_and_formulas_are_saved_as_text(
    browser: Any, address: str
) -> None:
    shown = Watched(browser, address, SIZES[0], "light")
    texts = ["0.01", "≥ 50,000", "1e-05", "−3 %", "128", "–"]
    fill = """texts => document.querySelectorAll('#comparison tbody tr').forEach(
        (row, i) => { row.cells[1].textContent = texts[i] || '–'; })"""
    shown.page.evaluate(fill, texts)
    shown.page.locator("#comparison thead th").nth(1).locator("button").click()
    assert shown.column(2)[:6] == ["−3 %", "1e-05", "0.01", "128", "≥ 50,000", "–"]

    effect = "+1.2 pt (+0.4 to +2.0)"
    shown.page.evaluate(fill, ["=1+1", "-2+3+cmd|x", effect, "-1,000", "@x"])
    with shown.page.expect_download() as begun:
        shown.page.locator("#comparison button.csv").click()
    lines = Path(begun.value.path()).read_text("utf-8-sig").splitlines()
    saved = [line.split('","')[1] for line in lines[1:6]]
    assert saved == ["'=1+1", "'-2+3+cmd|x", effect, "-1,000", "'@x"]
    shown.page.close()


def test_a_wide_table_scrolls_in_its_own_frame_by_key(browser: Any, address: str) -> None:
    shown = Watched(browser, address, SIZES[1], "light")
    shown.page.locator("#open-all").click()
    frame = shown.page.locator("#trust .scroll").first
    frame.focus()
    shown.page.keyboard.press("ArrowRight")
    # Scrolling is animated; waiting by a function in the page is what its policy forbids.
    deadline = time.monotonic() + 10
    while not frame.evaluate("e => e.scrollLeft") and time.monotonic() < deadline:
        shown.page.wait_for_timeout(50)
    assert frame.evaluate("e => e.scrollLeft") > 0
    assert shown.page.evaluate("scrollX") == 0
    shown.page.close()


def test_it_can_be_printed(browser: Any, address: str, tmp_path: Path) -> None:
    shown = Watched(browser, address, SIZES[0], "dark")
    shown.page.emulate_media(media="print")
    paper = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    shown.page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").stat().st_size > 50_000
    shown.page.close()

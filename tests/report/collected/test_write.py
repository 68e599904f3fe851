"""The page of a class: everything that was sent is on it, and nothing of it is taken for markup."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.claims.reader import lecture_claims
from bench.analysis.collected.collection import Collected, Collector
from bench.analysis.collected.rows import COLUMNS
from bench.records.pack import LeftOut, Sent
from bench.report.collected.table import SENT, collected_csv, inert
from bench.report.collected.write import page_of, write_class
from tests.analysis.collected.test_collection import a_class, collected, run_of, sent

HOSTILE = "<script>alert(1)</script>"
FORMULA = '=HYPERLINK("http://example.org")'


@pytest.fixture(scope="module")
def class_of_all(tmp_path_factory: pytest.TempPathFactory) -> tuple[Collected, Path]:
    collector = Collector(lecture_claims())
    whole = a_class(4)
    again = run_of(9, speed=3.0, device=FORMULA)
    hostile = replace(sent("x", run_of(7, luck=0.07, memory=1500)), sender=HOSTILE, where=HOSTILE)
    found: Sequence[Sent | LeftOut] = [
        *whole,
        replace(whole[0], where="twice.zip"),
        sent(FORMULA, again),
        hostile,
        sent("cut", run_of(8, luck=0.08)[:-6]),
        LeftOut("[click](javascript:alert(1)) | x", f"it is {HOSTILE}."),
    ]
    for one in found:
        collector.add(one)
    made = collector.finish()
    folder = tmp_path_factory.mktemp("class")
    write_class(made, lecture_claims(), folder)
    return made, folder


def test_every_question_has_its_section(class_of_all: tuple[Collected, Path]) -> None:
    page = page_of(class_of_all[0], lecture_claims())
    assert [answer.name for answer in page.answers] == [
        *("accuracy-1", "times-1", "largest-batches", "claims"),
        *("comparable", "senders", "left-out"),
    ]
    by_name = {answer.name: answer for answer in page.answers}
    assert by_name["times-1"].finding == (
        "resnet18 is 2.00 times as fast as googlenet on all 7 machines; it is faster beyond "
        "chance on none of 7."
    )
    assert "over 6 people and 2 seeds" in by_name["accuracy-1"].finding
    rows = [[cell.text for cell in row] for row in by_name["left-out"].tables[0].rows]
    assert [row[1] for row in rows] == [
        f"it is {HOSTILE}.",
        "it holds the run of p0.zip, which counts once.",
        "4 trials with the very numbers of p0's, for times alone.",
        "1 trial unfinished and the run never ended; its finished trials count.",
    ]


def test_nothing_that_was_sent_is_markup(class_of_all: tuple[Collected, Path]) -> None:
    html = (class_of_all[1] / "report.html").read_text("utf-8")
    assert HOSTILE not in html
    assert "&lt;script&gt;alert(1)" in html
    markdown = (class_of_all[1] / "report.md").read_text("utf-8")
    assert "<script" not in markdown
    assert "\\[click](javascript" in markdown
    for file in (class_of_all[1] / "plots").glob("*.svg"):
        assert "<script" not in file.read_text("utf-8")


def test_every_picture_is_there(class_of_all: tuple[Collected, Path]) -> None:
    names = {path.name for path in (class_of_all[1] / "plots").iterdir()}
    pictures = ("accuracy-1", "ratio-1-1", "largest_batches")
    assert names == {f"{name}.{kind}" for name in pictures for kind in ("png", "svg")}


def test_the_table_has_a_row_for_every_trial(class_of_all: tuple[Collected, Path]) -> None:
    text = (class_of_all[1] / "collected.csv").read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == (*SENT, *COLUMNS)
    assert len(rows) == 7 * 4
    counted = [row["counted"] for row in rows]
    assert counted.count("yes") == 5 * 4 + 3
    assert counted.count("times only: the same numbers as p0's") == 4
    assert counted.count("no: unfinished") == 1
    assert all(row["sender"] != FORMULA for row in rows)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *(("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("+cmd|x", "'+cmd|x"), ("-x", "'-x")),
        *(("-1.5", "-1.5"), ("anna", "anna"), ("", "")),
    ],
)
def test_no_cell_is_a_formula(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_a_single_run_is_a_class_of_one() -> None:
    made = collected(a_class(1)[0])
    page = page_of(made, ())
    assert page.answers[0].finding.endswith(
        "they cannot be told apart (1 person; at least 3 a side are needed)."
    )
    assert page.answers[1].finding == "No two models were timed on two machines (1 machine)."
    assert len(collected_csv(made).splitlines()) == 5


def test_tables_of_two_runs_have_two_names() -> None:
    tables = {"models.csv": collected_csv(collected(a_class(1)[0]))}
    places = ("results/of-the-class/anna.zip", "results/of-the-class/ben.zip")
    made = collected(*(Sent(place, "x", tables=tables) for place in places))
    rows = csv.DictReader(io.StringIO(collected_csv(made)))
    assert {row["run"] for row in rows} == {f"{places[0]} 0", f"{places[1]} 1"}


def test_few_seeds_of_many_people_are_pointed_out() -> None:
    page = page_of(collected(*a_class(3)), ())
    assert any("3 people share 2 seeds" in warning for warning in page.warnings)


def test_tables_alone_are_pointed_out() -> None:
    made = a_class(3)
    table = collected_csv(collected(made[0]))
    bundle = Sent("handout.zip", "p9", tables={"models.csv": table})
    page = page_of(collected(*made, bundle), ())
    assert any("1 run came as tables alone" in warning for warning in page.warnings)

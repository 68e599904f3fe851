"""A comparison in words: which side to use, how sure that is, and what to know of it."""

from pathlib import Path
from typing import Any

import pytest

from bench.compare.lines import METRICS, Line, compare, metrics_of
from bench.compare.matching import match
from bench.compare.verdicts import Margins
from bench.report.canvas import save
from bench.report.comparison import (
    comparison_figure,
    comparison_records,
    comparison_table,
    sentences,
)
from tests.compare.tables import a_row, a_side, seeds


def lines_of(a: list[Any], b: list[Any], *across: str) -> list[Line]:
    return compare(match(a_side(*a), a_side(*b), across).found, metrics_of(METRICS), Margins())


FAST, SLOW = seeds("a", [100, 101, 99]), seeds("a", [90, 91, 89])


def test_a_row_per_line_with_its_verdict() -> None:
    table = comparison_table(lines_of(FAST, SLOW))
    rows = [[cell.text for cell in row] for row in table.rows]
    assert rows[0][:4] == ["a", "Throughput", "100 images/s (n = 3)", "90 images/s (n = 3)"]
    assert rows[0][4] == "0.900 times"
    assert rows[0][5].startswith("0.87")
    assert rows[0][6] == "slower"
    assert [row[6] for row in rows[1:]] == ["equal", "equal", "equal"]
    assert "Across" not in table.headers


def test_what_was_crossed_is_in_every_line() -> None:
    other = [a_row("a", s, device_name="Another") for s in range(3)]
    lines = lines_of([a_row("a", s) for s in range(3)], other, "device")
    table = comparison_table(lines)
    assert table.headers[2] == "Across"
    assert {row[2].text for row in table.rows} == {"device"}
    assert {record["across"] for record in comparison_records(lines)} == {"device"}


def test_records_are_plain_numbers() -> None:
    record = comparison_records(lines_of(FAST, SLOW))[0]
    assert (record["metric"], record["scale"]) == ("images_per_second", "ratio")
    assert record["change"] == pytest.approx(0.9, abs=1e-3)
    assert record["low"] < record["change"] < record["high"]
    assert (record["verdict"], record["answer"]) == ("slower", "worse")
    assert record["machine_ratio"] == pytest.approx(1.0)
    points = comparison_records(lines_of(FAST, SLOW))[1]
    assert (points["scale"], points["change"]) == ("difference", 0.0)


def first(a: list[Any], b: list[Any]) -> str:
    return sentences(lines_of(a, b), Margins())[0]


def test_which_side_to_use() -> None:
    worse = first(FAST, SLOW)
    assert worse.startswith("Use A: B is slower for a (throughput 0.900 times, 0.87")
    assert worse.endswith("and nothing speaks against it.")
    assert first(SLOW, FAST).startswith("Use B: B is faster for a (throughput 1.111 times")
    assert first(FAST, FAST) == "Use either: they are the same."
    noisy = seeds("a", [80, 100, 118])
    assert first(FAST, noisy).startswith("No difference was found that noise could not have made")


def test_a_trade_is_called_one() -> None:
    richer = seeds("a", [90, 91, 89], max_batch=200)
    assert first(FAST, richer) == (
        "B is higher for a (largest batch 2.000 times); but slower for a "
        f"(throughput {_interval(FAST, richer)})."
    )


def _interval(a: list[Any], b: list[Any]) -> str:
    row = comparison_table(lines_of(a, b)).rows[0]
    return f"{row[4].text}, {row[5].text}"


def test_what_to_know_of_it() -> None:
    said = " ".join(sentences(lines_of(FAST, SLOW), Margins()))
    assert "p < 0.05, corrected for 1 question;" in said
    moved = seeds("a", [90, 91, 89], calibration_gflops=88.0, noise="loud")
    said = " ".join(sentences(lines_of(FAST, moved), Margins()))
    assert "ran up to 2.2 % slower beside B" in said
    assert "Up to 3 trials of a line are marked as noisy" in said
    alone = seeds("a", [100])
    assert "3 of 4 questions cannot be told" in " ".join(
        sentences(lines_of(alone, alone), Margins())
    )


def test_the_picture_shows_both_kinds_of_change(tmp_path: Path) -> None:
    figure = comparison_figure(lines_of(FAST, SLOW), ("first", "second"), Margins())
    assert [ax.get_xlabel() for ax in figure.axes] == [
        "B against A, ratio",
        "B against A, difference in points",
    ]
    assert len(figure.axes[0].get_yticklabels()) == 3
    save(figure, tmp_path / "picture")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")

"""Points and bars of a picture say their value: titles in the SVG, whatever they are named."""

import re
from pathlib import Path

from matplotlib.figure import Figure

from bench.report.hover import say
from bench.report.style import canvas, name_rows, percent_axis, save_as


def svg_of(figure: Figure, folder: Path) -> str:
    save_as(figure, folder / "x.svg")
    return (folder / "x.svg").read_text("utf-8")


def titles(svg: str) -> list[str]:
    return re.findall("<title>(.*?)</title>", svg)


def test_every_mark_of_a_line_says_where_it_is(tmp_path: Path) -> None:
    with canvas("made up", "A line") as (figure, (ax,)):
        ax.plot([1, 2], [0.25, 0.5], "o-", label="a<b>")
        ax.set(xlabel="Epoch", ylabel="Accuracy; of the test")
        percent_axis(ax)
    svg = svg_of(figure, tmp_path)
    assert titles(svg) == [
        "a&lt;b&gt;",
        "a&lt;b&gt;: Epoch 1, Accuracy 25.0 %",
        "a&lt;b&gt;: Epoch 2, Accuracy 50.0 %",
    ]
    assert len(re.findall("<use [^>]*><title>", svg)) == 2


def test_a_line_without_marks_says_its_name_alone(tmp_path: Path) -> None:
    with canvas("made up", "A line") as (figure, (ax,)):
        ax.plot([1, 2], [3, 4], label="a")
        ax.axhline(3)
    assert titles(svg_of(figure, tmp_path)) == ["a"]


def test_bars_say_their_row_their_part_and_their_value(tmp_path: Path) -> None:
    with canvas("made up", "Bars", bars=2) as (figure, (ax,)):
        ax.barh([0, 1], [5, 12345.6], label="data")
        ax.barh([0, 1], [1, 2], left=[5, 12345.6])
        name_rows(ax, ["one", "two"])
        ax.set(xlabel="Seconds")
    assert titles(svg_of(figure, tmp_path)) == [
        "one, data: Seconds 5",
        "two, data: Seconds 12,346",
        "one: Seconds 1",
        "two: Seconds 2",
    ]


def test_points_with_intervals_say_both_ends(tmp_path: Path) -> None:
    with canvas("made up", "Points") as (figure, (ax,)):
        ax.errorbar(0.5, 0.1, xerr=0.25, fmt="o")
        ax.set_yticks([0, 1], ["one", "two"])
        ax.set(xlabel="Share")
        percent_axis(ax, "x")
    (text,) = titles(svg_of(figure, tmp_path))
    assert text == "one, Share 50.0 % (25.0 % to 75.0 %)"


def test_a_point_without_an_interval_takes_none_from_the_next(tmp_path: Path) -> None:
    with canvas("made up", "Points") as (figure, (ax,)):
        ax.errorbar([1, 2], [10, 20], [0, 5], fmt="o", label="a")
        ax.set(xlabel="Processes", ylabel="Ratio")
    assert titles(svg_of(figure, tmp_path)) == [
        "a",
        "a: Processes 1, Ratio 10",
        "a: Processes 2, Ratio 20 (15 to 25)",
    ]


def test_marks_can_be_given_words(tmp_path: Path) -> None:
    with canvas("made up", "Crosses") as (figure, (ax,)):
        (line,) = ax.plot([1, 2], [1, 1], "x")
        say(line, ["first", "second"])
    assert titles(svg_of(figure, tmp_path)) == ["first", "second"]


def test_what_lies_outside_takes_no_words_from_its_neighbours(tmp_path: Path) -> None:
    with canvas("made up", "A gap") as (figure, (ax,)):
        ax.plot([1, 2, 3], [1, float("nan"), 3], "o-", label="a")
    assert titles(svg_of(figure, tmp_path)) == ["a"]

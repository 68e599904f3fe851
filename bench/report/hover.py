"""What the points and bars of a picture say when they are pointed at, and to screen readers: SVG's
own titles, found from what was drawn, so that no section has to write them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter

_SAID = "said_by_marks"

_MARK = re.compile(r"<use ([^>]*?)/>")


@dataclass(frozen=True)
class Titles:
    """What an artist is called, and what each of its marks says, in order."""

    artist: Artist
    name: str
    marks: tuple[str, ...] = ()


def titles_of(figure: Figure) -> list[Titles]:
    """The titles of all bars, and of all points and lines that are drawn over data."""
    return [titles for axes in figure.axes for titles in _titles(axes)]


def say(artist: Artist, marks: Sequence[str]) -> None:
    """Give the marks of a line words of their own, one for each."""
    vars(artist)[_SAID] = tuple(marks)


def with_titles(svg: str, titles: Sequence[Titles]) -> str:
    """A picture with its titles; the gid of each artist must be in the SVG as an element's id."""
    for one in titles:
        head, tag, rest = svg.partition(f'<g id="{one.artist.get_gid()}">')
        if not tag:
            continue
        # The artist's own marks end where the next artist begins.
        own, begun, after = rest.partition('<g id="')
        if one.marks and len(_MARK.findall(own)) == len(one.marks):
            texts = iter(one.marks)
            own = _MARK.sub(lambda mark: f"<use {mark[1]}>{_title(next(texts))}</use>", own)  # noqa: B023
        svg = f"{head}{tag}{_title(one.name) if one.name else ''}{own}{begun}{after}"
    return svg


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def _titles(axes: Axes) -> Iterator[Titles]:
    parts: set[Artist] = set()
    for container in axes.containers:
        if isinstance(container, BarContainer):
            yield from _bars(axes, container)
        elif isinstance(container, ErrorbarContainer):
            line, caps, bars = container.lines
            parts |= {*caps, *([line] if line else ())}
            if line:
                yield _points(axes, line, _name(container), _intervals(bars))
    for line in axes.get_lines():
        if line not in parts and line.get_transform() == axes.transData:
            yield _points(axes, line, _name(line))


def _bars(axes: Axes, bars: BarContainer) -> Iterator[Titles]:
    across = bars.orientation == "horizontal"
    value_axis, other = (axes.xaxis, axes.yaxis) if across else (axes.yaxis, axes.xaxis)
    for bar in bars.patches:
        at, size = bar.get_y() + bar.get_height() / 2, bar.get_width()
        if not across:
            at, size = bar.get_x() + bar.get_width() / 2, bar.get_height()
        name = ", ".join(filter(None, (_category(other, at), _name(bars))))
        yield Titles(bar, f"{name}: {_label(value_axis)} {_text(value_axis, size)}")


def _points(
    axes: Axes, line: Line2D, name: str, intervals: Sequence[tuple[int, float, float]] = ()
) -> Titles:
    """A line says its name, and each of its marks where it is, with its interval if it has one."""
    name = ", ".join(filter(None, (name, axes.get_title())))
    if line.get_marker() in ("None", "none", "", " ", None):
        return Titles(line, name)
    if _SAID in vars(line):
        return Titles(line, name, vars(line)[_SAID])
    x, y = (np.asarray(v, float) for v in (line.get_xdata(orig=False), line.get_ydata(orig=False)))
    texts = []
    for number, at in enumerate(zip(x, y, strict=True)):
        words = [_said(axis, v) for axis, v in zip((axes.xaxis, axes.yaxis), at, strict=True)]
        row = _category(axes.yaxis, at[1])
        if number < len(intervals):
            which, low, high = intervals[number]
            if low != high:
                axis = (axes.xaxis, axes.yaxis)[which]
                words[which] += f" ({_text(axis, low)} to {_text(axis, high)})"
        if row:  # its name says what the figure is of
            words = [row, words[0]]
        texts.append(": ".join(filter(None, (name, ", ".join(words)))))
    return Titles(line, name, tuple(texts))


def _intervals(bars: Sequence[Any]) -> list[tuple[int, float, float]]:
    """Both ends of each error bar, and the axis that it lies along (0 is x); a point without an
    interval has a bar, too, whose ends are the same."""
    made = []
    for segment in (segment for collection in bars for segment in collection.get_segments()):
        if len(segment) == 2:
            which = int(segment[0][0] == segment[1][0])
            made.append((which, float(segment[0][which]), float(segment[1][which])))
    return made


def _name(artist: Any) -> str:
    """The label of a line or of bars, if it has one: matplotlib's own begin with a bar."""
    label = str(artist.get_label() or "")
    return "" if label.startswith("_") else label


def _said(axis: Axis, value: float) -> str:
    """A place on an axis: the row's name where rows have names, else the label and the figure."""
    category = _category(axis, value)
    return category or f"{_label(axis)} {_text(axis, value)}".strip()


def _label(axis: Axis) -> str:
    """An axis's label without what it explains after a semicolon."""
    return axis.get_label_text().partition(";")[0]


def _category(axis: Axis, value: float) -> str:
    formatter = axis.get_major_formatter()
    # Names that were given with their places are a table that matplotlib looks them up in.
    if not (isinstance(formatter, FuncFormatter) and isinstance(formatter.func, partial)):
        return ""
    places = list(axis.get_majorticklocs())
    nearest = min(range(len(places)), key=lambda i: abs(places[i] - value), default=None)
    if nearest is None or abs(places[nearest] - value) > 0.5:
        return ""
    return " ".join(str(formatter(places[nearest], nearest)).split())


def _text(axis: Axis, value: float) -> str:
    formatter = axis.get_major_formatter()
    if isinstance(formatter, PercentFormatter):
        return f"{100 * value:.1f} %"
    if isinstance(formatter, FuncFormatter):
        return str(formatter(value, 0))
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"

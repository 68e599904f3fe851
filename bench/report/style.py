"""What every picture shares: colours, title, curves, a caption that says what was measured."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bench.analysis.formatting import image_counts, shortened
from bench.analysis.intervals import Estimate
from bench.analysis.run_time import trained_seeds
from bench.analysis.trial_group import TrialGroup
from bench.records.files import write_atomic
from bench.records.run import Run
from bench.report.hover import titles_of, with_titles
from bench.units import counted

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
"""Okabe and Ito's colours, which people with any colour vision tell apart (yellow, too pale for
lines, replaced by brown)."""

LineStyle = str | tuple[int, tuple[int, ...]]

LINE_STYLES: tuple[LineStyle, ...] = (
    *("-", "--", ":", "-."),
    *((0, (8, 2)), (0, (1, 3)), (0, (6, 2, 1, 2, 1, 2)), (0, (3, 4))),
)
"""Matplotlib's: by name, or an offset and the lengths of dashes and gaps."""

STYLE: Any = {
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e0e0e0",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    # A model's name is text, also with a dollar sign in it.
    "text.parse_math": False,
    # Whatever the user has set for figures of their own.
    "text.usetex": False,
    "axes.formatter.use_locale": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "archbench",
}

MOST_MARKED = 30
"""Points of a curve above which their marks would run into each other."""

MOST_INSIDE = 6
"""Labels above which a legend would cover the curves."""

MOST_BELOW = 20
"""Labels below each other in a legend beside a picture."""

FEW_BARS = 8
"""Bars that are drawn as thick as they look best."""

CAPTION_LETTERS = 14
"""Letters of a caption in an inch of a picture's width."""

CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
"""Processes that draw; elsewhere a fork is missing, or not safe."""

DPI = 150
"""Pixels an inch of a PNG."""


class ReportFigure(Figure):
    """A figure that a notebook shows in the report's style, without pyplot."""

    def png(self) -> tuple[bytes, dict[str, int]]:
        """The figure as a PNG, and how large a page shows it, in pixels: sharp on any screen."""
        buffer = BytesIO()
        with mpl.rc_context(STYLE):
            _png(self, buffer)
        width, height = (round(inches * 96) for inches in self.get_size_inches())
        return buffer.getvalue(), {"width": width, "height": height}

    _repr_png_ = png


@dataclass(frozen=True)
class Look:
    """How a group is drawn, the same in every picture of a report."""

    colour: str
    line_style: LineStyle


def looks_of(groups: Sequence[TrialGroup]) -> dict[str, Look]:
    """The look of each group by its label: a colour per model, a line style per setting."""
    models = list(dict.fromkeys(group.model for group in groups))
    seen: dict[str, int] = {}
    looks = {}
    for group in groups:
        number, turn = models.index(group.model), seen.setdefault(group.model, 0)
        seen[group.model] += 1
        if len(models) == 1:  # colours are easier to tell apart, and no other model needs them
            number, turn = turn, 0
        # Beyond the palette, colours come again with another style.
        style = LINE_STYLES[(turn + number // len(PALETTE)) % len(LINE_STYLES)]
        looks[group.label] = Look(PALETTE[number % len(PALETTE)], style)
    return looks


def colours_of(groups: Sequence[TrialGroup], looks: Mapping[str, Look]) -> dict[str, str]:
    """A colour for each model: that of its last group."""
    return {group.model: looks[group.label].colour for group in groups}


def save(figure: Figure, path: Path) -> None:
    """Write a picture as PNG and SVG beside each other; `path` has no suffix."""
    for suffix in FORMATS:
        save_as(figure, path.with_name(f"{path.name}.{suffix}"))


def save_as(figure: Figure, path: Path) -> None:
    """Write a picture in the format that the file's name ends in."""
    buffer = BytesIO()
    with mpl.rc_context(STYLE):
        FORMATS[path.suffix.removeprefix(".")](figure, buffer)
    # Its parts have found their places: laying them out again takes as long as drawing.
    figure.set_layout_engine("none")
    write_atomic(path, buffer.getvalue())


def _png(figure: Figure, buffer: BytesIO) -> None:
    FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]


def _svg(figure: Figure, buffer: BytesIO) -> None:
    titles, plain = titles_of(figure), BytesIO()
    for number, one in enumerate(titles):
        one.artist.set_gid(f"titled-{number}")
    FigureCanvasSVG(figure).print_svg(plain, metadata={"Date": None})  # type: ignore[no-untyped-call]
    buffer.write(with_titles(plain.getvalue().decode(), titles).encode())


FORMATS = {"png": _png, "svg": _svg}
"""What writes a picture, by format. `Figure.savefig` would draw everything twice."""


@contextmanager
def saved_in_parallel() -> Iterator[Callable[[Figure, Path], None]]:
    """A `save` that only takes note; the pictures are written at the end of the block, by as many
    processes as there are cores where a fork is safe."""
    noted: list[tuple[Figure, Path]] = []
    yield lambda figure, path: noted.append((figure, path))
    shares = [noted[k::CORES] for k in range(CORES)]
    # A fork has the figures already, which a fresh process would have to be sent.
    fork = multiprocessing.get_context("fork") if CORES > 1 else None
    children = [fork.Process(target=_save_or_fail, args=(s,)) for s in shares[1:] if fork]
    for child in children:
        child.start()
    try:
        _save_all(shares[0])
    finally:
        for child in children:
            child.join()
    for child, share in zip(children, shares[1:], strict=True):
        if child.exitcode:  # what went wrong there is raised here
            _save_all(share)


def _save_all(share: Sequence[tuple[Figure, Path]]) -> None:
    for figure, path in share:
        save(figure, path)


def _save_or_fail(share: Sequence[tuple[Figure, Path]]) -> None:
    try:
        _save_all(share)
    except Exception:
        sys.exit(1)


@contextmanager
def canvas(
    source: Run | str, title: str, columns: int = 1, bars: int | None = None, rows: int = 1
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure in the report's style with its title and, below, a caption or what it was measured
    on; as high as its bars, or its rows of axes, need. Axes are given row by row."""
    # Of many bars each is thinner: a picture of them all still fits a page.
    height = (
        2.25 * (1 + rows) if bars is None else 1.8 + max(0.7 * min(bars, FEW_BARS), 0.25 * bars)
    )
    with mpl.rc_context(STYLE):
        size = (7 if columns == 1 else 5.25 * columns, height)
        figure = ReportFigure(figsize=size, dpi=DPI, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        yield figure, list(axes.flat)
        figure.suptitle(title, fontsize=14, fontweight="bold")
        caption = source if isinstance(source, str) else measured_on(source)
        lines = wrap(caption, int(CAPTION_LETTERS * figure.get_figwidth()))
        figure.supxlabel("\n".join(lines), fontsize=8, color="#555555")


def measured_on(run: Run) -> str:
    """The line below a picture: data, image sizes, seeds and device."""
    data, device = run.dataset, run.device
    sizes = sorted({t.trial.setting.image_size for t in run.trials})
    seeds = len(trained_seeds(run))
    repeated = f"{counted(seeds, 'seed')}, " if seeds else ""
    return (
        f"measured: {data.name}, {image_counts(data)}, "
        f"{', '.join(map(str, sizes))} px, {repeated}{device.name} ({device.device})"
    )


def draw_line(
    axes: Axes, group: TrialGroup, look: Look, x: Sequence[float], curve: Sequence[Estimate]
) -> None:
    """A curve with its band over seeds, marked where the points are few."""
    y = [e.mean for e in curve]
    places = list(x)[: len(y)]
    marker = "o" if len(y) <= MOST_MARKED else None
    label = shortened(group.label)
    style: Any = look.line_style
    axes.plot(places, y, color=look.colour, linestyle=style, marker=marker, label=label)
    low = [e.mean - (e.half_width or 0) for e in curve]
    high = [e.mean + (e.half_width or 0) for e in curve]
    if any(e.half_width for e in curve):
        axes.fill_between(places, low, high, color=look.colour, alpha=0.15, linewidth=0)


def name_rows(axes: Axes, names: Sequence[str], **options: Any) -> None:
    """Names beside horizontal bars, the first on top."""
    axes.set_yticks(range(len(names)), list(names), **options)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def draw_legend(axes: Axes, inside: int = MOST_INSIDE) -> None:
    """The labels of the curves: in the axes, or beside them where there are more than `inside`, for
    which the figure grows."""
    lines, labels = axes.get_legend_handles_labels()
    # Lines may differ in their dashes alone, which a short handle hides.
    if len(labels) <= inside:
        axes.legend(frameon=False, fontsize=10, handlelength=5)
    elif isinstance(axes.figure, Figure):
        columns = -(-len(labels) // MOST_BELOW)
        width, height = axes.figure.get_size_inches()
        room = columns * (1.2 + 0.08 * max(map(len, labels))) - 1.5  # inches
        axes.figure.set_size_inches(width + max(0.0, room), height)
        options: Any = {"ncols": columns, "handlelength": 5}
        legend_beside(axes.figure, handles=lines, labels=labels, **options)


def legend_beside(figure: Figure, **options: Any) -> None:
    """The labels of a figure's parts, to its right."""
    figure.legend(loc="outside right center", frameon=False, fontsize=10, **options)


def whole_numbers(axis: Axis, most: int | Literal["auto"] = "auto", fewest: int = 1) -> None:
    """Ticks at whole numbers, with at most `most` intervals; at others too only where fewer than
    `fewest` whole numbers would be seen."""
    axis.set_major_locator(MaxNLocator(most, integer=True, min_n_ticks=fewest))
    axis.set_major_formatter("{x:,.10g}")


def percent_axis(axes: Axes, which: str = "y", decimals: int | None = None) -> None:
    """Fractions on an axis as percent."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(PercentFormatter(xmax=1, decimals=decimals))

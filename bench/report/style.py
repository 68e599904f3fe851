"""What every picture shares: style, title, a caption that says what it was measured on, curves."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bench.analysis.intervals import Estimate
from bench.analysis.trial_group import Series
from bench.records.files import write_atomic
from bench.records.run import Run

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
    "svg.fonttype": "path",
    "svg.hashsalt": "archbench",
}

MOST_MARKED = 30
"""Points of a curve above which their marks would run into each other."""

MOST_INSIDE = 6
"""Labels above which a legend would cover the curves."""

Points = Sequence[float]


FORMATS: dict[str, dict[str, Any]] = {"png": {"dpi": 150}, "svg": {"metadata": {"Date": None}}}
"""What pictures are written as, and how."""


def save(figure: Figure, path: Path) -> None:
    """Write a picture as PNG and SVG beside each other; `path` has no suffix."""
    for suffix in FORMATS:
        save_as(figure, path.with_name(f"{path.name}.{suffix}"))


def save_as(figure: Figure, path: Path) -> None:
    """Write a picture in the format that the file's name ends in."""
    suffix, buffer = path.suffix.removeprefix("."), BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format=suffix, **FORMATS[suffix])
    write_atomic(path, buffer.getvalue())


@contextmanager
def canvas(
    run: Run, title: str, columns: int = 1, bars: int | None = None
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure with its title and, below, what it was measured on; as high as its bars need."""
    with captioned(measured_on(run), title, columns, bars) as made:
        yield made


@contextmanager
def captioned(
    caption: str, title: str, columns: int = 1, bars: int | None = None
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure with its title, and its caption below."""
    height = 5.0 if bars is None else 1.8 + 0.7 * bars
    figure = Figure(figsize=(8 if columns == 1 else 5.5 * columns, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    yield figure, list(axes)
    figure.suptitle(title, fontsize=14, fontweight="bold")
    figure.supxlabel(caption, fontsize=8, color="#555555")


def measured_on(run: Run) -> str:
    """The line below a picture: data, image sizes, seeds and device."""
    data, device = run.dataset, run.device
    sizes = sorted({t.trial.setting.image_size for t in run.trials})
    seeds = len({t.trial.seed for t in run.trials})
    return (
        f"measured: {data.name}, {data.train_images:,} train and {data.test_images:,} test images, "
        f"{', '.join(map(str, sizes))} px, {seeds} seed{'s' if seeds > 1 else ''}, "
        f"{device.name} ({device.device})"
    )


def draw_line(axes: Axes, one: Series, x: Points, curve: list[Estimate], **options: Any) -> None:
    """A curve with its band over seeds, marked where the points are few."""
    y = [e.mean for e in curve]
    marker = "o" if len(y) <= MOST_MARKED else None
    style = {"color": one.colour, "linestyle": one.line_style, "marker": marker} | options
    axes.plot(list(x)[: len(y)], y, **style)
    low = [e.mean - (e.half_width or 0) for e in curve]
    high = [e.mean + (e.half_width or 0) for e in curve]
    if any(e.half_width for e in curve):
        axes.fill_between(list(x)[: len(y)], low, high, color=one.colour, alpha=0.15, linewidth=0)


def draw_legend(axes: Axes) -> None:
    """The labels of the curves: in the axes, or beside them where there are many."""
    lines, labels = axes.get_legend_handles_labels()
    # Lines may differ in their dashes alone, which a short handle hides.
    look: Any = {"frameon": False, "fontsize": 10, "handlelength": 5}
    if len(labels) <= MOST_INSIDE:
        axes.legend(**look)
    elif isinstance(axes.figure, Figure):
        axes.figure.legend(lines, labels, loc="outside right center", **look)


def percent_axis(axes: Axes) -> None:
    """Fractions on the vertical axis as percent."""
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))

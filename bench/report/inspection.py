"""Pictures of what training did to each network: kernels, weights, gradients, evaluation modes."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from bench.analysis.formatting import shortened
from bench.analysis.intervals import estimate
from bench.analysis.trial_group import Series, series
from bench.records.records import LayerChange
from bench.records.run import Run, TrialResult
from bench.report.inspected import by_layer, looked_at, modes_of
from bench.report.style import STYLE, canvas, draw_legend, measured_on, save

MAX_KERNELS = 64
"""A grid shows at most so many kernels, 8 x 8: ResNet's first layer whole."""

Grid = NDArray[np.float32]


def write_inspection(run: Run) -> list[str]:
    """Replace these pictures in the run's folder; returns their names."""
    found = series(run)
    with mpl.rc_context(STYLE):
        drawn = inspection_figures(run, found)
    for name, figure in drawn.items():
        save(figure, run.path / "plots" / name)
    return [*drawn, *write_kernels(run, found)]


def kernel_file(number: int, which: str) -> str:
    """The picture of a series' `first` or `second` convolution; labels come from outside."""
    return f"kernels/{number:02}-{which}"


def inspection_figures(run: Run, found: list[Series]) -> dict[str, Figure]:
    """Pictures by file name, of the series whose trials were looked at."""
    seen = looked_at(found)
    if not seen:
        return {}
    return {
        "layer_changes": _by_depth(
            run,
            seen,
            "How far training moved each layer's weights",
            ("relative change ‖w - w₀‖ / ‖w₀‖", lambda c: c.relative_change),
            ("share of weights changed", lambda c: c.changed_share),
        ),
        "gradient_flow": _by_depth(
            run,
            seen,
            "Gradient norm by depth",
            ("before training", lambda c: c.gradient_norm_first),
            ("after training", lambda c: c.gradient_norm_last),
            logarithmic=True,
        ),
        "evaluation_modes": _evaluation_modes(run, seen),
    }


def write_kernels(run: Run, found: list[Series]) -> list[str]:
    """Replace the pictures of kernels in `plots/kernels/`, of each series' first seed; returns
    file names without suffix."""
    written = []
    for number, one in enumerate(found):
        trial = next((t for t in one.trained if t.inspected), None)
        kernels = {} if trial is None else read_kernels(run.path, trial)
        for which in ("first", "second"):
            if f"{which}_before" not in kernels:
                continue
            title = f"{shortened(one.label)}: the {which} convolution's kernels"
            before, after = kernels[f"{which}_before"], kernels[f"{which}_after"]
            with mpl.rc_context(STYLE):
                figure = kernel_figure(title, before, after, measured_on(run))
            name = kernel_file(number, which)
            save(figure, run.path / "plots" / name)
            written.append(name)
    return written


def read_kernels(folder: Path, trial: TrialResult) -> dict[str, Grid]:
    """The kernels of a trial's first two convolutions, (out, in, height, width); empty if they are
    not there or not readable. Nothing in the file is executed."""
    name = trial.inspected.kernels if trial.inspected else ""
    if Path(name).name != name or not name.endswith(".npz"):
        return {}
    try:
        with np.load(folder / "kernels" / name, allow_pickle=False) as arrays:
            found = {key: np.asarray(arrays[key], dtype=np.float32) for key in arrays}
    except (OSError, ValueError, KeyError, EOFError):
        return {}
    return {key: grid for key, grid in found.items() if grid.ndim == 4 and grid.size}


def kernel_figure(title: str, before: Grid, after: Grid, caption: str) -> Figure:
    """Before, after and their difference on one scale: zero is the middle grey (or white), and the
    largest weight before or after is the end of the scale. Kernels of three channels are drawn in
    colour, others by their first input channel."""
    colour = before.shape[1] == 3
    reach = float(max(np.abs(before).max(), np.abs(after).max())) or 1.0
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    axes = figure.subplots(1, 3, gridspec_kw={"wspace": 0.06})
    panels = (("before training", before), ("after training", after), ("change", after - before))
    image: Any = None
    for ax, (name, weights) in zip(axes, panels, strict=True):
        sheet = tile(weights[:MAX_KERNELS] if colour else weights[:MAX_KERNELS, :1])
        if colour:
            ax.imshow(np.clip(sheet / (2 * reach) + 0.5, 0, 1), interpolation="nearest")
        else:
            image = ax.imshow(
                sheet[..., 0], cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest"
            )
        ax.set_title(name, fontsize=12)
        ax.set_axis_off()
    if image is not None:
        figure.colorbar(image, ax=axes, shrink=0.8, label="weight")
    count, channels, height, width = before.shape
    shown = min(count, MAX_KERNELS)
    what = "in colour" if colour else f"the first of {channels} input channels"
    scale = f"one scale for all three, ±{reach:.2g}"
    figure.suptitle(title, fontsize=14, fontweight="bold")
    figure.supxlabel(
        f"{shown} of {count} kernels of {height}x{width}, {what}; {scale}. {caption}",
        fontsize=8,
        color="#555555",
    )
    return figure


def tile(kernels: Grid) -> Grid:
    """Kernels (count, channels, height, width) side by side in a nearly square grid, a pixel of
    not-a-number between them: (rows, columns, channels)."""
    count, channels, height, width = kernels.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    shape = (down * (height + 1) - 1, across * (width + 1) - 1, channels)
    sheet = np.full(shape, np.nan, dtype=np.float32)
    for number, kernel in enumerate(kernels):
        top, left = (number // across) * (height + 1), (number % across) * (width + 1)
        sheet[top : top + height, left : left + width] = kernel.transpose(1, 2, 0)
    return sheet


def _by_depth(
    run: Run,
    seen: list[Series],
    title: str,
    *panels: tuple[str, Callable[[LayerChange], float]],
    logarithmic: bool = False,
) -> Figure:
    """A line per series, the mean over its seeds, from the first layer to the last."""
    with canvas(run, title, columns=2) as (figure, axes):
        for ax, (label, value) in zip(axes, panels, strict=True):
            for one in seen:
                y = by_layer(one, value)
                x = [number / max(1, len(y) - 1) for number in range(len(y))]
                style: dict[str, Any] = {
                    "color": one.colour,
                    "linestyle": one.line_style,
                    "linewidth": 1.5,
                }
                ax.plot(
                    x,
                    y,
                    marker="o",
                    markersize=3,
                    label=f"{shortened(one.label)} ({len(y)})",
                    **style,
                )
            ax.set(xlabel="Depth, from the first layer (0) to the last (1)", title=label)
            if logarithmic:
                ax.set_yscale("log")
                # Mathematical text is off, for labels come from outside.
                ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
                ax.yaxis.set_minor_formatter(NullFormatter())
            else:
                ax.set_ylim(0, None)
        if logarithmic:
            ends = [ax.get_ylim() for ax in axes]
            for ax in axes:
                ax.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
        else:
            axes[1].yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
            axes[1].set_ylim(0, 1.05)
        draw_legend(axes[0])
    return figure


def _evaluation_modes(run: Run, seen: list[Series]) -> Figure:
    """Bars of test accuracy, a group per series."""
    groups = [modes_of(one) for one in seen]
    bars = sum(len(group) for group in groups)
    with canvas(run, "Batch norm's mode and test accuracy", bars=bars) as (figure, (ax,)):
        row, ticks = 0, []
        for one, group in zip(seen, groups, strict=True):
            for name, values in group.items():
                found = estimate(values)
                alpha = 1.0 if name == "inference mode" else 0.45
                ax.barh(
                    row, found.mean, color=one.colour, alpha=alpha,
                    xerr=found.half_width, ecolor="#333333",
                )  # fmt: skip
                ticks.append((row, f"{shortened(one.label)}: {name}"))
                row += 1
        ax.set_yticks([tick for tick, _ in ticks], [text for _, text in ticks], fontsize=10)
        ax.invert_yaxis()
        ax.grid(visible=False, axis="y")
        ax.set(xlabel="Test accuracy", xlim=(0, 1))
        ax.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    return figure

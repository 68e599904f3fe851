"""What training did to each network: kernels, weights, gradients, and batch norm's modes."""

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from bench.analysis.formatting import MISSING, listed, percent, shortened
from bench.analysis.intervals import Estimate, estimate
from bench.analysis.trial_group import TrialGroup
from bench.records.records import EvaluationMode, LayerChange
from bench.records.run import TrialResult
from bench.report.context import Context
from bench.report.hover import say
from bench.report.sections.base import Picture, Section, picture
from bench.report.style import canvas, draw_legend, measured_on, name_rows, percent_axis
from bench.report.tables import Table, table_of

END = 0.1
"""The first and the last layers of a network are so large a share of them."""

MAX_KERNELS = 64
"""A grid shows at most so many kernels, 8 x 8: ResNet's first layer whole."""

MOST_KERNEL_BYTES = 64 * 2**20
"""Kernels that take more, unpacked, are not of two convolutions, and not read."""

MOST_SAID = 2
"""Groups that a finding speaks of; a table has them all."""

INFERENCE = "inference mode"

Grid = NDArray[np.float32]
Panel = tuple[str, Callable[[TrialGroup], list[float]]]
"""What is drawn over the layers, and its value for each layer of a group."""

GRADIENT_NORMS: tuple[tuple[str, Callable[[LayerChange], float]], ...] = (
    ("before training", lambda change: change.gradient_norm_first),
    ("after training", lambda change: change.gradient_norm_last),
)


def inspected(context: Context) -> list[TrialGroup]:
    """The groups of which at least one trained network was looked at."""
    return [group for group in context.groups if layers_of(group)]


def layers_of(group: TrialGroup) -> list[tuple[LayerChange, ...]]:
    """The layers of each trial that was looked at."""
    return [t.inspected.layers for t in group.trained if t.inspected and t.inspected.layers]


def by_layer(group: TrialGroup, value: Callable[[LayerChange], float]) -> list[float]:
    """A figure of each layer, the mean over the seeds."""
    columns = zip(*layers_of(group), strict=True)
    return [estimate([value(change) for change in layer]).mean for layer in columns]


def reached_shares(group: TrialGroup) -> list[float]:
    """The share of each layer's weights that any image reaches; 1 where that was not recorded."""
    described = group.trained[0].described
    shares = {e.layer: e.reached_share for e in (described.layers if described else ())}
    return [shares.get(change.layer) or 1.0 for change in layers_of(group)[0]]


def _changed_of_reached(group: TrialGroup) -> list[float]:
    """The share of weights that changed, of those that images reach; weight decay may move more."""
    changed = by_layer(group, lambda change: change.changed_share)
    return [min(1.0, c / r) for c, r in zip(changed, reached_shares(group), strict=True)]


def _unreached(context: Context) -> Iterator[str]:
    """What there is to know of kernels that are larger than their maps."""
    for group in inspected(context):
        shares = reached_shares(group)
        small = [share for share in shares if share < 1]
        if small:
            least = min(small)
            ninth = " (one of nine)" if round(9 * least, 6) == 1 else ""
            yield (
                f"At {group.setting.image_size} px, {len(small)} of {group.label}'s {len(shares)} "
                "layers have kernels that reach beyond their maps: a 3x3 kernel on a 1x1 map meets "
                "padding with all weights but its middle one. No image reaches the others, so that "
                f"training cannot teach them: in the smallest maps, it can change "
                f"{percent(least)} of a layer's weights{ninth}. The picture shows the share "
                "that changed of those that it can change; rings mark such layers."
            )


def modes_of(group: TrialGroup) -> dict[str, Estimate]:
    """The mean accuracy over the seeds by way to evaluate."""
    accuracies: dict[str, list[float]] = {}
    for trial in group.trained:
        for mode in trial.inspected.evaluation_modes if trial.inspected else ():
            accuracies.setdefault(_mode_name(mode), []).append(mode.accuracy)
    return {name: estimate(values) for name, values in accuracies.items()}


def _all_modes(context: Context) -> list[tuple[TrialGroup, str, Estimate]]:
    return [(g, name, mean) for g in inspected(context) for name, mean in modes_of(g).items()]


def _mode_name(mode: EvaluationMode) -> str:
    if mode.mode == "inference":
        return INFERENCE
    return f"training mode, batches of {mode.batch_size}, {mode.composition}"


def _first_two(group: TrialGroup) -> list[tuple[float, float]]:
    """Relative change and share of changed weights of the first two layers."""
    relative = by_layer(group, lambda c: c.relative_change)[:2]
    return list(zip(relative, by_layer(group, lambda c: c.changed_share)[:2], strict=True))


def _kernels_finding(context: Context) -> str | None:
    parts = []
    for group in inspected(context):
        two = _first_two(group)
        moved = [f"{percent(r)} ({percent(s)} of its weights changed)" for r, s in two]
        parts.append(f"{group.label}'s by {' and '.join(moved)}")
    moves = f"Training moved the weights of the first and second layer: {_few(parts)}."
    return moves if parts else None


def _few(parts: Sequence[str]) -> str:
    """What a sentence says of each group, of the first alone where they are many."""
    if len(parts) <= MOST_SAID:
        return "; ".join(parts)
    return f"{'; '.join(parts[:MOST_SAID])}; the table has {len(parts) - MOST_SAID} more"


def _kernels_tables(context: Context) -> tuple[Table, ...]:
    groups = inspected(context)
    moved = [[(f"{r:.3f}", f"{100 * s:.1f}") for r, s in _first_two(g)] for g in groups]
    first, second = ([two[i] if i < len(two) else (MISSING,) * 2 for two in moved] for i in (0, 1))
    columns = {
        "Model": [group.label for group in groups],
        "First layer: relative change": [relative for relative, _ in first],
        "weights changed (%)": [share for _, share in first],
        "Second layer: relative change": [relative for relative, _ in second],
        "weights changed (%) ": [share for _, share in second],
    }
    return (table_of(columns, source="layers.csv"),)


def gradients_finding(groups: Sequence[TrialGroup]) -> str | None:
    """How much stronger the gradient is in the first layers than in the last, before and after."""
    parts = []
    for group in groups:
        before, after = (
            f"{first / last:.2g}" if last else "without bounds"
            for first, last in _gradient_ends(group)
        )
        parts.append(f"{before} before training and {after} after it in {group.label}")
    if not parts:
        return None
    return (
        "The median gradient norm of the first tenth of the layers, over that of the last tenth, "
        f"is {listed(parts) if len(parts) <= MOST_SAID else _few(parts)}."
    )


def _gradient_ends(group: TrialGroup) -> list[tuple[float, float]]:
    """Median gradient norms of the first and the last tenth of the layers, before and after."""
    panels = [by_layer(group, value) for _, value in GRADIENT_NORMS]
    count = max(1, int(len(panels[0]) * END))
    return [(median(norms[:count]), median(norms[-count:])) for norms in panels]


def _gradient_tables(context: Context) -> tuple[Table, ...]:
    groups = inspected(context)
    ends = [_gradient_ends(group) for group in groups]
    columns = {
        "Model": [group.label for group in groups],
        "Layers": [str(len(layers_of(group)[0])) for group in groups],
        "First tenth, before": [f"{first:.3g}" for (first, _), _ in ends],
        "Last tenth, before": [f"{last:.3g}" for (_, last), _ in ends],
        "First tenth, after": [f"{first:.3g}" for _, (first, _) in ends],
        "Last tenth, after": [f"{last:.3g}" for _, (_, last) in ends],
    }
    return (table_of(columns, source="layers.csv"),)


def _modes_finding(context: Context) -> str | None:
    """What evaluation in training mode would have given."""
    parts = []
    for group in inspected(context):
        modes = {name: accuracy.mean for name, accuracy in modes_of(group).items()}
        inference = modes.pop(INFERENCE, None)
        if inference is None or not modes:
            continue
        farthest, accuracy = max(modes.items(), key=lambda mode: abs(mode[1] - inference))
        parts.append(
            f"{group.label}'s is {percent(inference)}, and {percent(accuracy)} in {farthest}"
        )
    if not parts:
        return None
    return (
        f"{_accuracy(context)} with batch norm in inference mode, and where training mode is "
        f"farthest from it: {_few(parts)}."
    )


def _mode_tables(context: Context) -> tuple[Table, ...]:
    modes = _all_modes(context)
    columns = {
        "Model": [group.label for group, *_ in modes],
        "Batch norm": [name for _, name, _ in modes],
        f"{_accuracy(context)} (%)": [
            f"{100 * mean.mean:.1f}"
            + ("" if mean.half_width is None else f" ± {100 * mean.half_width:.1f}")
            for *_, mean in modes
        ],
    }
    return (table_of(columns, source="evaluation_modes.csv"),)


@picture(
    "layer_changes",
    "How far training moved each layer's weights, a line per model",
    "Layers with weights, in the order of the model. A weight counts as changed if it moved by "
    "more than 1 % of its layer's initial root mean square. Rings: kernels larger than their maps, "
    "of which an image reaches only some weights (of a 3x3 kernel on a 1x1 map, one of nine): the "
    "others meet nothing but padding. The share is of those that are reached; the relative "
    "change is of all, and small for that reason.",
)
def _layer_changes(context: Context) -> Figure | None:
    panels: tuple[Panel, ...] = (
        ("relative change ‖w - w₀‖ / ‖w₀‖", partial(by_layer, value=attrgetter("relative_change"))),
        ("share changed of the weights that images reach", _changed_of_reached),
    )
    title = "How far training moved each layer's weights"
    with canvas(context.run, title, columns=2) as (figure, axes):
        _draw_by_depth(context, axes, panels)
        for (ax, (_, value)), group in product(zip(axes, panels, strict=True), inspected(context)):
            y, shares = value(group), reached_shares(group)
            small = [
                point for *point, share in zip(_depths(y), y, shares, strict=True) if share < 1
            ]
            ring: Any = {"mec": context.looks[group.label].colour, "mfc": "none", "ms": 9}
            ax.plot([x for x, _ in small], [y for _, y in small], "o", zorder=1, **ring)
        axes[0].set_ylim(0, None)
        axes[1].set_ylim(0, 1.05)
        percent_axis(axes[1])
    return figure


@picture(
    "gradient_flow",
    "Gradient norm by depth before and after training, a line per model",
    "Of the training loss on one batch, auxiliary heads included.",
)
def _gradient_flow(context: Context) -> Figure | None:
    with canvas(context.run, "Gradient norm by depth", columns=2) as (figure, axes):
        norms = [(when, partial(by_layer, value=norm)) for when, norm in GRADIENT_NORMS]
        _draw_by_depth(context, axes, norms)
        axes[0].set(ylabel="Gradient norm (Euclidean)")
        for ax in axes:
            ax.set_yscale("log")
            # Mathematical text is off, for labels come from outside.
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter(NullFormatter())
        ends = [ax.get_ylim() for ax in axes]
        for ax in axes:
            ax.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
    return figure


def _draw_by_depth(context: Context, axes: Sequence[Axes], panels: Sequence[Panel]) -> None:
    """A line per group, the mean over its seeds, from the first layer to the last."""
    groups = inspected(context)
    names = [[change.layer for change in layers_of(group)[0]] for group in groups]
    ends = [_names([layers[place] for layers in names]) for place in (0, -1)]
    for ax, (label, value) in zip(axes, panels, strict=True):
        for group, layers in zip(groups, names, strict=True):
            y, look = value(group), context.looks[group.label]
            style: Any = {"linestyle": look.line_style, "linewidth": 1.5, "markersize": 3}
            name = f"{shortened(group.label)} ({len(y)} layers)"
            (line,) = ax.plot(_depths(y), y, marker="o", color=look.colour, label=name, **style)
            say(line, [f"{group.label}, {e}: {v:.3g}" for e, v in zip(layers, y, strict=True)])
        ax.set_xticks([0, 0.5, 1], [ends[0], "half-way", ends[1]])
        ax.set(xlabel="Layers with weights, from input to output")
        ax.set_title(label, fontsize=12)
    draw_legend(axes[0], inside=2)


def _depths(layers: Sequence[float]) -> list[float]:
    """Places of layers from 0 to 1, so that networks of different depth are above each other."""
    return [number / max(1, len(layers) - 1) for number in range(len(layers))]


def _names(layers: Sequence[str]) -> str:
    """The layers at one end of several networks, below each other."""
    different = [shortened(name, 18) for name in dict.fromkeys(layers)]
    return "\n".join(different[:3] + ["…"] * (len(different) > 3))


def _accuracy(context: Context) -> str:
    return f"{context.run.dataset.evaluated_on.capitalize()} accuracy"


def _mode_pictures(context: Context) -> Iterator[Picture]:
    yield Picture(
        "evaluation_modes",
        f"{_accuracy(context)} by batch norm's mode, bars for each model",
        f"The same {context.run.dataset.evaluated_on} images, at most 1,000. In training mode the "
        "answer for an image depends on the other images of its batch.",
        _evaluation_modes,
    )


def _evaluation_modes(context: Context) -> Figure:
    """Bars of accuracy, a block per group."""
    bars, title = _all_modes(context), f"Batch norm's mode and {_accuracy(context).lower()}"
    with canvas(context.run, title, bars=len(bars)) as (figure, (ax,)):
        figure.set_figwidth(10)  # its rows have long names
        for row, (group, name, mean) in enumerate(bars):
            look: Any = {"color": context.looks[group.label].colour, "ecolor": "#333333"}
            alpha = 1.0 if name == INFERENCE else 0.45
            ax.barh(row, mean.mean, alpha=alpha, xerr=mean.half_width, **look)
        name_rows(ax, [f"{shortened(g.label)}: {name}" for g, name, _ in bars], fontsize=10)
        ax.set(xlabel=_accuracy(context), xlim=(0, 1))
        percent_axis(ax, "x")
    return figure


def _kernel_pictures(context: Context) -> Iterator[Picture]:
    """The first two convolutions of each group; labels come from outside, files are numbered."""
    for number, group in enumerate(context.groups):
        trial = next((t for t in group.trained if t.inspected), None)
        if trial is None:
            continue
        kernels = read_kernels(context.run.path, trial)
        for which in ("first", "second"):
            if f"{which}_before" in kernels and f"{which}_after" in kernels:
                yield Picture(
                    f"kernels/{number:02}-{which}",
                    f"{group.label}: the {which} convolution's kernels before and after training",
                    "And their change, of the first seed. Above, all on one scale: how large the "
                    "change is. Below, as the lecture's notebooks show them: each normalised by "
                    "itself from its smallest weight to its largest, so that a change looks as "
                    "large as a kernel, however small it is; of the second convolution the first "
                    "kernel's channels.",
                    partial(_kernel_drawing, group.label, which, kernels),
                )


def _kernel_drawing(label: str, which: str, kernels: dict[str, Grid], context: Context) -> Figure:
    title = f"{shortened(label)}: the {which} convolution's kernels"
    before, after = kernels[f"{which}_before"], kernels[f"{which}_after"]
    return kernel_figure(title, before, after, measured_on(context.run))


def read_kernels(folder: Path, trial: TrialResult) -> dict[str, Grid]:
    """The kernels of a trial's first two convolutions, (out, in, height, width); empty if they are
    not there or not readable. Nothing in the file is executed."""
    name = trial.inspected.kernels if trial.inspected else ""
    if Path(name).name != name or not name.endswith(".npz"):
        return {}
    try:
        path = folder / "kernels" / name
        if not path.is_file():
            return {}
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if sum(part.file_size for part in arrays.zip.infolist()) > MOST_KERNEL_BYTES:
                return {}
            grids = {key: np.asarray(arrays[key], dtype=np.float32) for key in arrays}
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, MemoryError):
        return {}
    except (zipfile.BadZipFile, zlib.error):
        return {}
    return {key: grid for key, grid in grids.items() if grid.ndim == 4 and grid.size}


def kernel_figure(title: str, before: Grid, after: Grid, caption: str) -> Figure:
    """Before, after and their difference: above on one scale, where zero is the middle grey (or
    white) and the largest weight before or after is the end; below as the lecture's notebooks have
    it: each by itself, from its smallest weight to its largest (torchvision's
    `make_grid(normalize=True)`), the difference as before minus after. Kernels of three channels
    are drawn in colour. Of others, the first input channel of each kernel is above, and all
    channels of the first kernel are below."""
    count, channels, height, width = before.shape
    colour = channels == 3
    reach = float(max(np.abs(before).max(), np.abs(after).max())) or 1.0
    shown = f"{min(count, MAX_KERNELS)} of {count} kernels of {height}x{width}"
    shown += ", in colour" if colour else f", the first of {channels} input channels"
    first = "" if colour else f"{min(channels, MAX_KERNELS)} input channels of the first kernel, "
    below = (
        f"Above: {shown}, one scale for all three, ±{reach:.2g}; below: {first}each by itself. "
        f"{caption}"
    )
    panels = (
        ("before training", before, before),
        ("after training", after, after),
        ("change", after - before, before - after),
    )
    with canvas(below, title, columns=3, rows=2) as (figure, axes):
        figure.set_size_inches(11, 8.2)
        figure.set_layout_engine("constrained", w_pad=0.15)
        scale: Any = {} if colour else {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}
        for above, ax, (name, ours, theirs) in zip(axes[:3], axes[3:], panels, strict=True):
            sheet = tile(ours[:MAX_KERNELS] if colour else ours[:MAX_KERNELS, :1])
            pixels = np.clip(sheet / (2 * reach) + 0.5, 0, 1) if colour else sheet[..., 0]
            image = above.imshow(pixels, interpolation="nearest", **scale)
            sheet = tile(theirs[:MAX_KERNELS] if colour else theirs[0, :MAX_KERNELS, np.newaxis])
            low, high = float(np.nanmin(sheet)), float(np.nanmax(sheet))
            by_itself = (sheet - low) / ((high - low) or 1.0)
            ax.imshow(
                by_itself if colour else by_itself[..., 0], interpolation="nearest", cmap="gray"
            )
            above.set_title(f"{name}\non one scale, ±{reach:.2g}", fontsize=12)
            way = "before minus after, " if name == "change" else ""
            ax.set_title(f"{way}by itself, {low:.2g} to {high:.2g}", fontsize=12)
        for number, ax in enumerate(axes):
            ax.set_axis_off()
            # Equal pictures, of weights that did not change, would share one name in the SVG.
            ax.get_images()[0].set_gid(f"panel-{number}")
        if not colour:
            figure.colorbar(image, ax=axes[:3], shrink=0.8, label="weight")
    return figure


def tile(kernels: Grid) -> Grid:
    """Kernels (count, channels, height, width) side by side in a nearly square grid, a pixel of
    not-a-number between them: (rows, columns, channels)."""
    count, channels, height, width = kernels.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    padding = ((0, down * across - count), (0, 0), (0, 1), (0, 1))
    padded = np.pad(kernels, padding, constant_values=np.nan)
    grid = padded.reshape(down, across, channels, height + 1, width + 1).transpose(0, 3, 1, 4, 2)
    return grid.reshape(down * (height + 1), across * (width + 1), channels)[:-1, :-1]


SECTIONS = (
    Section(
        70,
        "kernels",
        "What training changes: kernels and weights",
        _kernels_finding,
        _kernels_tables,
        (_layer_changes,),
        _unreached,
        _kernel_pictures,
    ),
    Section(
        80,
        "gradients",
        "Gradient flow",
        lambda context: gradients_finding(inspected(context)),
        _gradient_tables,
        (_gradient_flow,),
    ),
    Section(
        90,
        "evaluation",
        "Why evaluation switches batch norm to inference",
        _modes_finding,
        _mode_tables,
        gallery=_mode_pictures,
    ),
)

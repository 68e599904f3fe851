"""The largest batch, measured and predicted, and what fills the memory."""

from collections.abc import Sequence
from statistics import median

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from bench.analysis.formatting import listed, ratio, shortened
from bench.analysis.trial_group import setting_text
from bench.records.records import MemoryBreakdown, Predicted, Setting
from bench.report.context import Context
from bench.report.hover import say
from bench.report.sections.base import Section, picture, sorted_by, value
from bench.report.style import canvas, colours_of, draw_legend, legend_beside, name_rows
from bench.report.tables import (
    Table,
    metric_table,
    predicted,
    prediction_text,
    speed_table,
    table_of,
)

PART_COLOURS = {
    "parameters": "#0072B2",
    "gradients": "#56B4E9",
    "optimizer state": "#CC79A7",
    "data": "#E69F00",
    "activations": "#D55E00",
    "temporaries": "#009E73",
    "allocator": "#999999",
    "workspace and context": "#cccccc",
}

KIND_COLOURS = {
    "convolution": "#0072B2",
    "1x1 convolution": "#56B4E9",
    "grouped convolution": "#004C7A",
    "depthwise convolution": "#8FD3F4",
    "matrix product": "#CC79A7",
    "attention": "#8E4A75",
    "batch norm": "#D55E00",
    "layer norm": "#F2A65A",
    "pooling": "#009E73",
    "copy": "#66C2A5",
    "pointwise": "#E69F00",
    "optimizer": "#8C6D31",
    "unknown": "#999999",
}
"""Products are blue and purple; what only moves memory is warm or green."""


def _finding(context: Context) -> str | None:
    """The largest batches measured, widest apart; predictions only where there is none."""
    searched = [
        group
        for group in context.shapes
        if (search := group.trials[0].largest_batch) and search.source == "measured"
    ]
    ranked = sorted_by(searched, "max_batch", highest=True)
    if not ranked:
        return _predicted(context)
    (most, high), (least, low) = ranked[0], ranked[-1]
    if len(ranked) == 1 or high.mean == low.mean:
        names = listed([g.label for g, _ in ranked]) if len(ranked) < 4 else "all models"
        verb = "fits" if len(ranked) == 1 else "fit"
        return f"{names} {verb} {value('max_batch', high)} at once, as measured."
    if (found := most.trials[0].largest_batch) and found.limited_by != "memory":
        return (
            f"{most.label} fits at least {value('max_batch', high)} at once, the whole "
            f"{found.limited_by}, and {least.label} {value('max_batch', low)}, as measured in the "
            "same memory."
        )
    much = f"{ratio(high.mean, low.mean)} as many as" if low.mean else "more than"
    return (
        f"{most.label} fits {value('max_batch', high)} at once, {much} {least.label} with "
        f"{value('max_batch', low)}, as measured in the same memory."
    )


def _predicted(context: Context) -> str | None:
    labels = {group.trials[0].trial.shape: group.label for group in context.shapes}
    predictions = [p for p in context.run.all_predictions if (p.model, p.setting) in labels]
    if not predictions:
        return None
    card = predictions[0].card
    batches = [(labels[p.model, p.setting], p.max_batch) for p in predictions if p.card == card]
    batches.sort(key=lambda batch: -batch[1])
    (most, high), (least, low) = batches[0], batches[-1]
    tail = f", {least} {low:,}" if least is not most else ""
    return f"Predicted, not measured: on {card}, {most} fits {high:,} images at once{tail}."


def _tables(context: Context) -> tuple[Table, ...]:
    has_predictions = bool(context.run.all_predictions)
    known = [g for g in context.shapes if has_predictions or g.metric("max_batch")]
    columns = ("max_batch", "batch_size", "peak_memory_bytes")
    made = context.run.all_predictions
    speeds = (speed_table(made),) if any(p.speeds for p in made) else ()
    return metric_table(known, columns, predicted(known)), _predictions(context), *speeds


def _predictions(context: Context) -> Table:
    """A row per model, setting and card: the prediction and the line of memory behind it."""
    made = context.run.all_predictions
    columns = {
        "Model": [p.model for p in made],
        "Card": [p.card for p in made],
        "Image size (px)": [str(p.setting.image_size) for p in made],
        "Largest batch (predicted)": [prediction_text(p) for p in made],
        "Fixed (MiB, predicted)": [f"{p.base_bytes / 2**20:,.0f}" for p in made],
        "An image (MiB, predicted)": [f"{p.bytes_per_image / 2**20:.2f}" for p in made],
    }
    return table_of(columns, source="predictions.csv")


def _searches(context: Context) -> list[str]:
    """What stands behind each largest batch."""
    sentences = []
    for search in context.run.largest_batches.values():
        proof, text = search.certificate, f"{search.model}, {setting_text(search.setting)}: "
        text += f"{search.max_batch:,}, {search.source}, limited by {search.limited_by}"
        if search.budget_bytes:
            text += f" ({search.budget_bytes / 2**20:,.0f} MiB)"
        if proof and search.max_batch:
            text += f": {proof.steps} training steps and an evaluation ran at {search.max_batch}"
            if proof.failed_batch:
                text += f", and {proof.failed_batch} failed ({proof.failed_because})"
        if search.predicted and search.predicted_batch is not None:
            probed = search.predicted.probed_batch
            text += f"; {search.predicted_batch:,} were predicted after a probe of {probed}"
        sentences.append(f"{text}. {search.contradiction}" if search.contradiction else f"{text}.")
    return sentences


@picture(
    "memory",
    "Peak memory against batch size, a line per model",
    "The probes of the search; crosses ran out of memory.",
)
def _probes(context: Context) -> Figure | None:
    """Peak memory of the probes against the batch size; crosses are sizes that failed."""
    run = context.run
    known = [p for p in run.all_probes if p.fits and p.peak_memory_bytes]
    if not known:
        return None
    colours = colours_of(context.groups, context.looks)
    budgets = {s.budget_bytes for s in run.largest_batches.values() if s.budget_bytes}
    top = max(budgets, default=max(p.peak_memory_bytes or 0 for p in known)) / 2**20
    # A search may look far beyond the answer; the picture is of where it ended.
    reach = 1.2 * max(p.batch_size for p in known)
    with canvas(run, "Memory against batch size, from the probes") as (figure, (ax,)):
        for budget in budgets:
            ax.axhline(budget / 2**20, color="#555555", linestyle=":", linewidth=1.5)
        for shape in dict.fromkeys((p.model, p.setting) for p in run.all_probes):
            probes = [p for p in run.all_probes if (p.model, p.setting) == shape]
            colour = colours.get(shape[0], "#555555")
            ran = sorted((p.batch_size, p.peak_memory_bytes or 0) for p in probes if p in known)
            sizes, peaks = [n for n, _ in ran], [peak / 2**20 for _, peak in ran]
            ax.plot(sizes, peaks, "o-", color=colour, label=_label(context, *shape))
            failed = [p.batch_size for p in probes if not p.fits and p.batch_size <= reach]
            crosses = ax.plot(failed, [top] * len(failed), "x", color=colour, ms=9, mew=2)
            say(crosses[0], [f"{shape[0]}: {n:,} images ran out of memory" for n in failed])
        ax.set_xlim(0, reach)
        ax.set_ylim(0, 1.1 * top)
        ax.set(xlabel="Batch size (images)", ylabel="Peak memory (MiB); dotted: the limit")
        draw_legend(ax)
    return figure


@picture(
    "batch_sweep",
    "Speed and memory against batch size, a line per model",
    "The fastest batch is not always the largest.",
)
def _batch_sweep(context: Context) -> Figure | None:
    """Speed and peak memory against the batch size, side by side; a ring marks the fastest."""
    run = context.run
    if not run.sweep_points:
        return None
    colours = colours_of(context.groups, context.looks)
    with canvas(run, "Speed and memory against batch size", columns=2) as (figure, (speed, memory)):
        for shape in dict.fromkeys((p.model, p.setting) for p in run.sweep_points):
            points = [p for p in run.sweep_points if (p.model, p.setting) == shape]
            colour, sizes = colours.get(shape[0], "#555555"), [p.batch_size for p in points]
            rates = [p.batch_size / median(p.step_seconds) for p in points]
            fastest = max(range(len(points)), key=rates.__getitem__)
            speed.plot(sizes, rates, "o-", color=colour, label=_label(context, *shape))
            speed.plot(sizes[fastest], rates[fastest], "o", ms=14, mfc="none", mec=colour)
            known = [p for p in points if p.peak_memory_bytes]
            peaks = [(p.peak_memory_bytes or 0) / 2**20 for p in known]
            memory.plot([p.batch_size for p in known], peaks, "o-", color=colour)
        for ax in (speed, memory):
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:,.0f}")
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.set_ylim(0, None)
            ax.set(xlabel="Batch size (images)")
        speed.set(ylabel="Images/s of the median step; ring: fastest")
        memory.set(ylabel="Peak memory (MiB)")
        draw_legend(speed)
    return figure


def _label(context: Context, model: str, setting: Setting) -> str:
    """A model, its setting where it has several, and its largest batch."""
    searches = context.run.largest_batches
    search = searches.get((model, setting))
    several = len({s for m, s in searches if m == model}) > 1
    how = f" · {setting_text(setting)}" if several else ""
    return f"{shortened(model)}{how}{f', at most {search.max_batch}' if search else ''}"


@picture(
    "memory_breakdown",
    "What fills the memory (predicted), a stacked bar per model",
    "A training step on a CUDA card, simulated: nothing was measured. Only activations and data "
    "grow with the batch and with the image: at 224 px they take most of it, at 32 px little.",
)
def _breakdown(context: Context) -> Figure | None:
    """The memory of every model in the first setting it was simulated in."""
    first: dict[str, MemoryBreakdown] = {}
    for breakdown in context.run.breakdowns:
        first.setdefault(breakdown.model, breakdown)
    return memory_breakdown(list(first.values())) if first else None


def memory_breakdown(breakdowns: Sequence[MemoryBreakdown]) -> Figure:
    """What the memory of a training step is made of, a stacked bar per model."""
    traits = {setting_text(b.setting) for b in breakdowns}
    common = f", {next(iter(traits))}" if len(traits) == 1 else ""
    caption = (
        f"predicted: a training step of {breakdowns[0].batch_size} images on a CUDA card at its "
        f"peak{common}; simulated, nothing was measured"
    )
    ranges = any(b.spare_bytes for b in breakdowns)
    if ranges:
        caption += "; of a range, only the upper end is enough for sure"
    names = [
        shortened(b.model) + ("" if common else f"\n{setting_text(b.setting)}") for b in breakdowns
    ]
    with canvas(caption, "What fills the memory", bars=len(breakdowns)) as (figure, (ax,)):
        left = [0.0] * len(breakdowns)
        for part, colour in PART_COLOURS.items():
            sizes = [b.parts.get(part, 0) / 2**20 for b in breakdowns]
            ax.barh(range(len(breakdowns)), sizes, left=left, color=colour, label=part)
            left = [a + b for a, b in zip(left, sizes, strict=True)]
        for row, (total, b) in enumerate(zip(left, breakdowns, strict=True)):
            least = f"{total - b.spare_bytes / 2**20:,.0f} to " if b.spare_bytes else ""
            ax.annotate(f" {least}{total:,.0f}", (total, row), va="center", fontsize=10)
        name_rows(ax, names)
        ax.margins(x=0.4 if ranges else 0.12)
        ax.set(xlabel="Memory (MiB), predicted")
        ax.xaxis.set_major_formatter("{x:,.0f}")
        legend_beside(figure)
    return figure


@picture(
    "time_breakdown",
    "Where the time goes (predicted), a stacked bar per model",
    "The kernels of a training step on a card, from a simulation: nothing was measured. Products "
    "(blue, purple) are arithmetic; the others wait for the card's memory.",
)
def _time_breakdown(context: Context) -> Figure | None:
    """The kernels of every model in its first setting, on the first card with a figure."""
    made = [p for p in context.run.all_predictions if p.speeds]
    first: dict[str, Predicted] = {}
    for prediction in made:
        if prediction.card == made[0].card:
            first.setdefault(prediction.model, prediction)
    return time_breakdown(list(first.values())) if first else None


def time_breakdown(predictions: Sequence[Predicted]) -> Figure:
    """The time of an image in training by kind of kernel, a stacked bar per model: of predictions
    for one card, each at its largest batch."""
    traits = {setting_text(p.setting) for p in predictions}
    common = f", {next(iter(traits))}" if len(traits) == 1 else ""
    card = predictions[0].card
    caption = (
        f"predicted: a training step on {card} at each model's largest batch{common}; simulated, "
        "nothing was measured; in brackets, what limits it"
    )
    names = [
        shortened(p.model) + ("" if common else f"\n{setting_text(p.setting)}") for p in predictions
    ]
    speeds = [p.speeds[0] for p in predictions]
    if unknown := sorted({name for speed in speeds for name in speed.unknown}):
        caption += f"; unknown, and counted as memory traffic: {', '.join(unknown)}"
    with canvas(caption, f"Where the time goes on {card}", bars=len(speeds)) as (figure, (ax,)):
        left = [0.0] * len(speeds)
        for kind, colour in KIND_COLOURS.items():
            parts = [1e3 * s.kind_seconds.get(kind, 0.0) / s.batch_size for s in speeds]
            if any(parts):
                ax.barh(range(len(parts)), parts, left=left, color=colour, label=kind)
            left = [a + b for a, b in zip(left, parts, strict=True)]
        for row, (total, speed) in enumerate(zip(left, speeds, strict=True)):
            ax.annotate(f" {total:.3g} ({speed.limit})", (total, row), va="center", fontsize=10)
        name_rows(ax, names)
        ax.margins(x=0.55)
        ax.set(xlabel="Milliseconds an image in training, predicted")
        legend_beside(figure)
    return figure


_pictures = (_probes, _batch_sweep, _breakdown, _time_breakdown)
SECTIONS = (
    Section(50, "memory", "Memory and batch size", _finding, _tables, _pictures, _searches),
)

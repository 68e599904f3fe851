"""The pictures of a run, as matplotlib figures; PNG for slides, SVG for print.

A model has one colour everywhere. Bands are 95 % confidence intervals over seeds. Every picture
says on which data and device it was measured.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from bench.analysis.formatting import shortened
from bench.analysis.intervals import Estimate, median
from bench.analysis.time_to_accuracy import clock
from bench.analysis.trial_group import Series, series
from bench.records.records import Epoch, MemoryBreakdown
from bench.records.run import Run, TrialResult
from bench.report.style import (
    STYLE,
    canvas,
    captioned,
    draw_legend,
    draw_line,
    percent_axis,
    save,
)


def figures(run: Run) -> dict[str, Figure]:
    """Every picture that the run has data for, by file name without its suffix."""
    found = series(run)
    trained = [s for s in found if s.trained]
    drawn: dict[str, Figure | None] = {}
    with mpl.rc_context(STYLE):
        if trained:
            drawn = {
                "accuracy": _curves(run, trained, "accuracy"),
                "loss": _curves(run, trained, "loss"),
                "accuracy_over_time": _progress(run, trained, _wall_clock, "Wall-clock time (s)"),
                "accuracy_over_updates": _progress(run, trained, _updates, "Updates"),
                "epoch_time": _epoch_time(run, trained),
                "parameters_accuracy": _parameters(run, trained),
                "time_budget": _time_budget(run, trained),
            }
        drawn["steps"] = _steps(run, trained)
        drawn["memory"] = _memory(run, found)
        drawn["batch_sweep"] = _batch_sweep(run, found)
        drawn["memory_breakdown"] = _first_setting_breakdown(run)
    return {name: figure for name, figure in drawn.items() if figure is not None}


def write_plots(run: Run) -> list[str]:
    """Replace the pictures in the run's folder; returns their names."""
    drawn = figures(run)
    for name, figure in drawn.items():
        save(figure, run.path / "plots" / name)
    return list(drawn)


def _curves(run: Run, trained: list[Series], what: str) -> Figure:
    """Train and test accuracy, or loss, over epochs side by side: the lecture's two pictures."""
    label = {"accuracy": "Accuracy", "loss": "Loss, main head (nats)"}[what]
    with canvas(run, f"{label.partition(',')[0]} over epochs", columns=2) as (figure, axes):
        for ax, part in zip(axes, ("train", "test"), strict=True):
            for one in trained:
                curve = one.curve(_value(f"{part}_{what}"))
                draw_line(ax, one, range(1, len(curve) + 1), curve, label=shortened(one.label))
            ax.set(xlabel="Epoch", ylabel=label, title="Training" if part == "train" else "Test")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            if what == "accuracy":
                percent_axis(ax)
        _share_y(axes)
        draw_legend(axes[0])
    return figure


def _value(name: str) -> Callable[[Epoch], float]:
    return lambda epoch: float(getattr(epoch, name))


def _share_y(axes: list[Axes]) -> None:
    limits = [ax.get_ylim() for ax in axes]
    for ax in axes:
        ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _wall_clock(result: TrialResult) -> list[float]:
    return clock(result.epochs)


def _updates(result: TrialResult) -> list[float]:
    return list(accumulate(float(e.steps) for e in result.epochs))


def _progress(
    run: Run, trained: list[Series], position: Callable[[TrialResult], list[float]], label: str
) -> Figure:
    """Test accuracy over something that models spend at different rates."""
    title = f"Test accuracy over {label.partition(' (')[0].lower()}"
    with canvas(run, title) as (figure, (ax,)):
        for one in trained:
            curve = one.curve(lambda e: e.test_accuracy)
            spent = zip(*(position(t) for t in one.trained), strict=False)
            x = [sum(values) / len(values) for values in spent]
            draw_line(ax, one, x, curve, label=shortened(one.label))
        ax.set(xlabel=label, ylabel="Test accuracy", xlim=(0, None))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        percent_axis(ax)
        draw_legend(ax)
    return figure


def _epoch_time(run: Run, trained: list[Series]) -> Figure:
    """Seconds of an epoch, training and evaluation, as bars with intervals over seeds."""
    with canvas(run, "Time of one epoch", bars=len(trained)) as (figure, (ax,)):
        for row, one in enumerate(trained):
            train, test = (_summary(one, name) for name in ("epoch_seconds", "test_seconds"))
            ax.barh(row, train.mean, color=one.colour, xerr=train.half_width, ecolor="#333333")
            ax.barh(row, test.mean, left=train.mean, color=one.colour, alpha=0.45)
            text = f" {train.mean:,.1f} + {test.mean:,.1f} s"
            ax.annotate(text, (train.mean + test.mean, row), va="center", fontsize=10)
        ax.set_yticks(range(len(trained)), [shortened(one.label) for one in trained])
        ax.invert_yaxis()
        ax.margins(x=0.25)
        ax.set(xlabel="Seconds: training (full colour) + evaluation (pale)")
        ax.grid(visible=False, axis="y")
    return figure


def _summary(one: Series, metric: str) -> Estimate:
    return one.metric(metric) or Estimate(0.0, None, 0)


def _parameters(run: Run, trained: list[Series]) -> Figure:
    """Last epoch's test accuracy against parameters and GMACs, a labelled point per series; bars
    are 95 % intervals over seeds."""
    with canvas(run, "Parameters and GMACs against accuracy", columns=2) as (figure, axes):
        for ax, metric, scale in zip(axes, ("params", "gmacs"), (1e-6, 1.0), strict=True):
            for one in trained:
                accuracy, x = (_summary(one, name) for name in ("final_test_accuracy", metric))
                at = (x.mean * scale, accuracy.mean)
                ax.errorbar(*at, accuracy.half_width, fmt="o", color=one.colour, ms=9, capsize=3)
                ax.annotate(
                    shortened(one.label),
                    at,
                    xytext=(8, 6),
                    textcoords="offset points",
                    color=one.colour,
                )
            ax.margins(x=0.3, y=0.25)
            ax.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        axes[0].set(xlabel="Parameters as trained, auxiliary heads included (10⁶)")
        axes[0].set(ylabel="Test accuracy, last epoch")
        axes[1].set(xlabel="GMACs of one inference (10⁹ multiply-adds)")
    return figure


def _steps(run: Run, trained: list[Series]) -> Figure | None:
    """Raw step times in order, and the machine's own speed trial by trial."""
    kept = [one for one in trained if any(e.step_times for e in one.trained[0].epochs)]
    if not kept:
        return None
    with canvas(run, "Steps, and the machine itself", columns=2) as (figure, (steps, machine)):
        for one in kept:
            epochs = one.trained[0].epochs
            times = [1e3 * s for e in epochs for s in e.step_times]
            number = [
                (e.epoch - 1) * e.steps + 1 + i * e.step_times_every
                for e in epochs
                for i in range(len(e.step_times))
            ]
            shown = _extremes(times)
            number, times = [number[i] for i in shown], [times[i] for i in shown]
            style: dict[str, Any] = {
                "linewidth": 0.8,
                "linestyle": one.line_style,
                "color": one.colour,
            }
            steps.plot(number, times, label=shortened(one.label), **style)
        at, speeds = [], []
        for position, trial in enumerate(run.trials, 1):
            for c, shift in zip(trial.calibrations, (-0.2, 0.2), strict=False):
                at.append(position + shift)
                speeds.append(c.gflops)
        machine.plot(at, speeds, "o-", color="#555555", linewidth=1)
        machine.set(xlabel="Trial, in the order they ran", ylabel="Fixed matrix product (GFLOP/s)")
        machine.xaxis.set_major_locator(MaxNLocator(integer=True))
        machine.set_ylim(0, 1.15 * max(speeds, default=1.0))
        steps.set(xlabel="Step, first seed", ylabel="Step time (ms)", yscale="log")
        steps.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        steps.yaxis.set_minor_formatter(NullFormatter())
        draw_legend(steps)
    return figure


MOST_STEPS = 1000
"""Points of a line of steps; of more, each stretch keeps its shortest and its longest."""


def _extremes(values: Sequence[float]) -> list[int]:
    """Places of at most `MOST_STEPS` values that show where the others lie, outliers included."""
    if len(values) <= MOST_STEPS:
        return list(range(len(values)))
    size = -(-2 * len(values) // MOST_STEPS)
    found: list[int] = []
    for start in range(0, len(values), size):
        stretch = range(start, min(start + size, len(values)))
        ends = {min(stretch, key=values.__getitem__), max(stretch, key=values.__getitem__)}
        found += sorted(ends)
    return found


BUDGET_PARTS = (
    ("data_share", "data", "#E69F00"),
    ("forward_share", "forward", "#56B4E9"),
    ("backward_share", "backward", "#0072B2"),
    ("optimizer_share", "optimizer", "#CC79A7"),
    ("evaluation_share", "evaluation", "#009E73"),
    ("other_share", "other", "#999999"),
)


def _time_budget(run: Run, trained: list[Series]) -> Figure:
    """Where the wall-clock time of an epoch goes, as stacked shares."""
    with canvas(run, "Where an epoch's time goes", bars=len(trained)) as (figure, (ax,)):
        left = [0.0] * len(trained)
        for metric, label, colour in BUDGET_PARTS:
            shares = [_summary(one, metric).mean for one in trained]
            ax.barh(range(len(trained)), shares, left=left, color=colour, label=label)
            left = [a + b for a, b in zip(left, shares, strict=True)]
        ax.set_yticks(range(len(trained)), [shortened(one.label) for one in trained])
        ax.invert_yaxis()
        ax.set(xlabel="Share of an epoch's wall-clock time", xlim=(0, 1))
        ax.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        ax.grid(visible=False, axis="y")
        figure.legend(loc="outside right center", frameon=False, fontsize=10)
    return figure


def _memory(run: Run, found: list[Series]) -> Figure | None:
    """Peak memory of the probes against the batch size; crosses are sizes that failed."""
    known = [p for p in run.all_probes if p.fits and p.peak_memory_bytes]
    if not known:
        return None
    colours = {one.model: one.colour for one in found}
    budgets = {f.budget_bytes for f in run.largest_batches.values() if f.budget_bytes}
    top = max(budgets, default=max(p.peak_memory_bytes or 0 for p in known)) / 2**20
    with canvas(run, "Memory against batch size, from the probes") as (figure, (ax,)):
        for budget in budgets:
            ax.axhline(budget / 2**20, color="#555555", linestyle=":", linewidth=1.5)
        for shape in dict.fromkeys((p.model, p.setting) for p in run.all_probes):
            probes = [p for p in run.all_probes if (p.model, p.setting) == shape]
            colour = colours.get(shape[0], "#555555")
            fits = sorted((p.batch_size, p.peak_memory_bytes or 0) for p in probes if p in known)
            sizes, peaks = [n for n, _ in fits], [peak / 2**20 for _, peak in fits]
            ax.plot(sizes, peaks, "o-", color=colour, label=_shape(run, *shape))
            failed = [p.batch_size for p in probes if not p.fits]
            ax.plot(failed, [top] * len(failed), "x", color=colour, ms=9, mew=2)
        # A search may look far beyond the answer; the picture is of where it ended.
        ax.set_xlim(0, 1.2 * max(p.batch_size for p in known))
        ax.set_ylim(0, 1.1 * top)
        ax.set(xlabel="Batch size (images)", ylabel="Peak memory (MiB); dotted: the limit")
        draw_legend(ax)
    return figure


def _batch_sweep(run: Run, found: list[Series]) -> Figure | None:
    """Speed and peak memory against the batch size, side by side; a ring marks the fastest."""
    if not run.sweep_points:
        return None
    colours = {one.model: one.colour for one in found}
    with canvas(run, "Speed and memory against batch size", columns=2) as (figure, (speed, memory)):
        for shape in dict.fromkeys((p.model, p.setting) for p in run.sweep_points):
            points = [p for p in run.sweep_points if (p.model, p.setting) == shape]
            colour, sizes = colours.get(shape[0], "#555555"), [p.batch_size for p in points]
            rates = [p.batch_size / median(list(p.step_seconds)) for p in points]
            fastest = max(range(len(points)), key=rates.__getitem__)
            label = _shape(run, *shape)
            speed.plot(sizes, rates, "o-", color=colour, label=label)
            speed.plot(sizes[fastest], rates[fastest], "o", ms=14, mfc="none", mec=colour)
            known = [p for p in points if p.peak_memory_bytes]
            peaks = [(p.peak_memory_bytes or 0) / 2**20 for p in known]
            memory.plot([p.batch_size for p in known], peaks, "o-", color=colour)
        for ax in (speed, memory):
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.set_ylim(0, None)
            ax.set(xlabel="Batch size (images)")
        speed.set(ylabel="Images/s of the median step; ring: fastest")
        memory.set(ylabel="Peak memory (MiB)")
        draw_legend(speed)
    return figure


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


def _first_setting_breakdown(run: Run) -> Figure | None:
    """The memory of every model in the first setting it was simulated in."""
    first = {b.model: b for b in reversed(run.breakdowns)}
    return memory_breakdown([first[m] for m in reversed(first)]) if first else None


def memory_breakdown(breakdowns: Sequence[MemoryBreakdown]) -> Figure:
    """What the memory of a training step is made of, a stacked bar per model."""
    traits = {trait for b in breakdowns for trait in [_traits(b)]}
    common, several = " ".join(traits) if len(traits) == 1 else "", len(traits) > 1
    caption = (
        f"predicted: a training step of {breakdowns[0].batch_size} images on a CUDA card at its "
        f"peak{', ' if common else ''}{common}; simulated, nothing was measured"
    )
    with (
        mpl.rc_context(STYLE),
        captioned(caption, "What fills the memory", bars=len(breakdowns)) as (figure, (ax,)),
    ):
        left = [0.0] * len(breakdowns)
        for part, colour in PART_COLOURS.items():
            sizes = [b.parts.get(part, 0) / 2**20 for b in breakdowns]
            ax.barh(range(len(breakdowns)), sizes, left=left, color=colour, label=part)
            left = [a + b for a, b in zip(left, sizes, strict=True)]
        for row, total in enumerate(left):
            ax.annotate(f" {total:,.0f}", (total, row), va="center", fontsize=10)
        models = [shortened(b.model) for b in breakdowns]
        names = [
            f"{m}\n{_traits(b)}" if several else m for m, b in zip(models, breakdowns, strict=True)
        ]
        ax.set_yticks(range(len(breakdowns)), names)
        ax.invert_yaxis()
        ax.margins(x=0.12)
        ax.set(xlabel="Memory (MiB), predicted")
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        ax.grid(visible=False, axis="y")
        figure.legend(loc="outside right center", frameon=False, fontsize=10)
    return figure


def _traits(breakdown: MemoryBreakdown) -> str:
    setting = breakdown.setting
    return f"{setting.image_size} px, {setting.optimizer}, {setting.precision}"


def _shape(run: Run, model: str, setting: Any) -> str:
    fit = run.largest_batches.get((model, setting))
    most = f", at most {fit.max_batch}" if fit else ""
    several = len({s for m, s in run.largest_batches if m == model}) > 1
    how = f" {setting.image_size} px {setting.optimizer} {setting.precision}" if several else ""
    return f"{shortened(model)}{how}{most}"

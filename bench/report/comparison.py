"""A comparison of two runs for people and for programs: a table, a few sentences, a picture."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from bench.compare.lines import Line
from bench.compare.verdicts import Margins, is_points
from bench.report.canvas import STYLE, captioned
from bench.report.tables import Cell, Table
from bench.report.words import MISSING, listed, percent, shortened, shown, supported

COLOURS = {
    "better": "#009E73",
    "worse": "#D55E00",
    "differs": "#0072B2",
    "same": "#555555",
    "cannot tell": "#b0b0b0",
}


def comparison_table(lines: Sequence[Line]) -> Table:
    """A row per line; columns that say nothing anywhere are left out."""
    headers = ["Model", "Metric", "A", "B", "B against A", "95 % interval", "Verdict of B", "Why"]
    rows = [
        [_name(x), x.metric.label, *_sides(x), *_change(x), x.verdict.word, _why(x)] for x in lines
    ]
    if any(line.crossed for line in lines):
        headers.insert(2, "Across")
        for row, line in zip(rows, lines, strict=True):
            row.insert(2, ", ".join(line.crossed))
    return Table(tuple(headers), tuple(tuple(map(Cell, row)) for row in rows))


def comparison_records(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The lines for programs: plain values, ratios and differences in the metric's own unit."""
    return [
        {
            "model": line.label,
            "metric": line.metric.name,
            "unit": line.metric.unit,
            "a": line.a,
            "b": line.b,
            "seeds_a": line.n_a,
            "seeds_b": line.n_b,
            "scale": "difference" if _is_difference(line) else "ratio",
            "change": _linear(line, line.effect.change),
            "low": _linear(line, line.effect.low),
            "high": _linear(line, line.effect.high),
            "p_corrected": line.p,
            "paired": line.effect.paired,
            "verdict": line.verdict.word,
            "answer": line.verdict.answer,
            "why": line.verdict.reason,
            "machine_ratio": None if line.machine is None else math.exp(line.machine),
            "noisy_trials": line.noisy,
            "across": " ".join(line.crossed),
            "note": line.note,
        }
        for line in lines
    ]


def sentences(lines: Sequence[Line], margins: Margins) -> list[str]:
    """Which side to use, how sure that is, and what to know of it."""
    said = [_answer(lines)]
    unclear = [line for line in lines if line.verdict.answer == "cannot tell"]
    if unclear:
        said.append(f"{len(unclear)} of {len(lines)} questions cannot be told; the table says why.")
    asked = sum(line.p is not None for line in lines)
    questions = f"{asked} question{'' if asked == 1 else 's'}"
    same = f"{margins.ratio * 100:g} % or {margins.points * 100:g} points of accuracy"
    said.append(
        "Intervals are of 95 %; faster or slower, higher or lower is said at p < 0.05, corrected "
        f"for {questions}; the same is within {same}."
    )
    machine = [line.machine for line in lines if line.machine is not None]
    if machine:
        widest = max(machine, key=abs)
        change = f"{percent(abs(math.expm1(widest)))} {'faster' if widest > 0 else 'slower'}"
        said.append(
            f"A fixed matrix product ran up to {change} beside B than beside A: what it explains "
            "is not told apart from the machine."
        )
    noisy = max((line.noisy for line in lines), default=0)
    if noisy:
        said.append(
            f"Up to {noisy} trials of a line are marked as noisy: see their column `noise`."
        )
    return said


def _answer(lines: Sequence[Line]) -> str:
    better, worse = (
        [
            f"{line.verdict.word} for {line.label} ({_amount(line)})"
            for line in lines
            if line.verdict.answer == a
        ]
        for a in ("better", "worse")
    )
    if better and worse:
        return f"B is {listed(better)}; but {listed(worse)}."
    if better or worse:
        side = "B" if better else "A"
        return f"Use {side}: B is {listed(better or worse)}, and nothing speaks against it."
    if all(line.verdict.answer == "same" for line in lines):
        return "Use either: they are the same."
    return "No difference was found that noise could not have made: nothing speaks for either."


def _amount(line: Line) -> str:
    change, interval = _change(line)
    return f"{line.metric.label.lower()} {change}" + (
        f", {interval}" if interval != MISSING else ""
    )


def _name(line: Line) -> str:
    return f"{line.label} ({line.note})" if line.note else line.label


def _sides(line: Line) -> tuple[str, str]:
    counts = (line.n_a, line.n_b)
    values = (shown(line.metric.name, value) for value in (line.a, line.b))
    return tuple(  # type: ignore[return-value]
        f"{value} (n = {n})" if n > 1 else value for value, n in zip(values, counts, strict=True)
    )


def _change(line: Line) -> tuple[str, str]:
    """The change and its interval, in points or as a ratio, with the digits that it supports."""
    e = line.effect
    scale = 100.0 if is_points(line.metric) else 1.0
    mean, low, high = (_scaled(line, v, scale) for v in (e.change, e.low, e.high))
    assert mean is not None
    width = 0.0 if low is None or high is None else (high - low) / 2
    digits = supported(width, 3 if scale == 1 else 1) if width else (3 if scale == 1 else 1)
    sign = "+" if _is_difference(line) else ""
    unit = " points" if is_points(line.metric) else "" if _is_difference(line) else " times"
    text = f"{mean:{sign},.{digits}f}{unit}"
    if low is None or high is None or not width:
        return text, MISSING
    return text, f"{low:{sign},.{digits}f} to {high:{sign},.{digits}f}"


def _scaled(line: Line, value: float | None, scale: float) -> float | None:
    linear = _linear(line, value)
    return None if linear is None else linear * scale


def _linear(line: Line, value: float | None) -> float | None:
    if value is None:
        return None
    return value if _is_difference(line) else math.exp(value)


def _is_difference(line: Line) -> bool:
    return is_points(line.metric) or min(line.a, line.b) <= 0


def _why(line: Line) -> str:
    noisy = f"; {line.noisy} noisy trials" if line.noisy else ""
    return line.verdict.reason + noisy


def comparison_figure(lines: Sequence[Line], names: tuple[str, str], margins: Margins) -> Figure:
    """Every change with its interval, coloured by verdict; the band is what counts as the same."""
    kinds = [
        (title, mine)
        for title, mine in (
            ("B against A, ratio", [x for x in lines if not _is_difference(x)]),
            ("B against A, difference in points", [x for x in lines if is_points(x.metric)]),
        )
        if mine
    ]
    caption = f"A: {names[0]}, B: {names[1]}; bars are 95 % intervals, the band counts as the same"
    bars = max((len(mine) for _, mine in kinds), default=1)
    with (
        mpl.rc_context(STYLE),
        captioned(caption, "What differs", columns=max(1, len(kinds)), bars=bars) as (figure, axes),
    ):
        for ax, (title, mine) in zip(axes, kinds, strict=False):
            _draw(ax, mine, margins)
            ax.set(xlabel=title)
        for answer, colour in COLOURS.items():
            if any(line.verdict.answer == answer for line in lines):
                axes[0].plot([], [], "o", color=colour, label=answer)
        figure.legend(loc="outside right center", frameon=False, fontsize=10)
    return figure


def _draw(ax: Axes, lines: Sequence[Line], margins: Margins) -> None:
    points = is_points(lines[0].metric)
    centre, scale = (0.0, 100.0) if points else (1.0, 1.0)
    band = (
        (-margins.points * 100, margins.points * 100)
        if points
        else (1 / (1 + margins.ratio), 1 + margins.ratio)
    )
    ax.axvspan(*band, color="#e8e8e8", linewidth=0)
    ax.axvline(centre, color="#555555", linewidth=1)
    for row, line in enumerate(lines):
        mean, low, high = (
            _scaled(line, v, scale) for v in (line.effect.change, line.effect.low, line.effect.high)
        )
        assert mean is not None
        error = None if low is None or high is None else [[mean - low], [high - mean]]
        colour = COLOURS[line.verdict.answer]
        ax.errorbar(mean, row, xerr=error, fmt="o", color=colour, capsize=4, ms=8)
    names = [f"{shortened(x.label, 24)}\n{x.metric.label}" for x in lines]
    ax.set_yticks(range(len(lines)), names, fontsize=9)
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:+g}" if points else "{x:g}"))

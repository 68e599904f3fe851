"""Where the time of the run itself went: what was measured, and what measuring it cost."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from bench.analysis.formatting import MISSING, percent, signed_percent
from bench.analysis.run_time import predicted_and_actual
from bench.report.context import Context
from bench.report.sections.base import Section, picture
from bench.report.style import canvas, name_rows
from bench.report.tables import Table, text_table

PHASES = {
    "train": "training",
    "evaluate": "evaluation",
    "search": "search for the largest batch",
    "sweep": "sweep of batch sizes",
    "predict": "prediction for other cards",
    "data": "preparing the data",
    "describe": "describing the models",
    "start workers": "starting workers and warming up",
    "rehearse": "timing a few steps to predict the time",
    "calibrate": "calibration",
    "inspect": "inspection of the trained networks",
    "checkpoints": "checkpoints",
    "tables": "tables",
    "other": "everything else",
}
"""What the phases of a run are called."""

MEASUREMENT = ("train", "evaluate")


def _seconds(context: Context) -> dict[str, float]:
    """Seconds by phase, the longest first."""
    recorded = context.run.phase_seconds
    return dict(sorted(recorded.items(), key=lambda item: -item[1]))


def _finding(context: Context) -> str | None:
    seconds = _seconds(context)
    total, trained = sum(seconds.values()), sum(seconds.get(name, 0.0) for name in MEASUREMENT)
    if not trained:
        return None
    rest = next((name for name in seconds if name not in MEASUREMENT), None)
    largest = f" (most of it: {PHASES.get(rest, rest)})" if rest else ""
    return (
        f"Of {total:,.1f} s before the report, training and evaluation took {trained:,.1f} s; the "
        f"rest adds {percent((total - trained) / trained)} to them{largest}."
    )


def _tables(context: Context) -> tuple[Table, ...]:
    seconds = _seconds(context)
    total = sum(seconds.values()) or 1.0
    rows = [(PHASES.get(k, k), f"{s:,.1f}", f"{100 * s / total:.1f}") for k, s in seconds.items()]
    return (text_table(("Phase", "Seconds", "Share (%)"), rows), _predicted_table(context))


def _predicted_table(context: Context) -> Table:
    """Predicted beside actual seconds, their sum last."""
    pairs = predicted_and_actual(context.run)
    rows = [_compared(PHASES.get(phase, phase), *pair) for phase, pair in pairs.items()]
    if pairs:
        rows.append(_compared("together", *_sums(context)))
    return text_table(("Phase of the trials", "Predicted (s)", "Actual (s)", "Error (%)"), rows)


def _compared(name: str, predicted: float, actual: float) -> tuple[str, str, str, str]:
    error = f"{100 * (predicted - actual) / actual:+.1f}" if actual else MISSING
    return name, f"{predicted:,.1f}", f"{actual:,.1f}", error


def _sums(context: Context) -> tuple[float, float]:
    predicted, actual = zip(*predicted_and_actual(context.run).values(), strict=True)
    return sum(predicted), sum(actual)


def _remarks(context: Context) -> Iterator[str]:
    if predicted_and_actual(context.run):
        predicted, actual = _sums(context)
        yield (
            f"Predicted from a few steps: {predicted:,.1f} s for the trials. They took "
            f"{actual:,.1f} s: an error of {signed_percent((predicted - actual) / actual)}."
        )


@picture(
    "run_time",
    "Seconds of the run by phase, a bar per phase",
    "Wall-clock time of the whole command until the report was begun.",
)
def _run_time(context: Context) -> Figure:
    seconds = _seconds(context)
    with canvas(context.run, "Where the time went", bars=len(seconds)) as (figure, (ax,)):
        for row, (phase, duration) in enumerate(seconds.items()):
            ax.barh(row, duration, color="#0072B2" if phase in MEASUREMENT else "#999999")
            ax.annotate(f" {duration:,.1f} s", (duration, row), va="center", fontsize=10)
        name_rows(ax, [PHASES.get(phase, phase) for phase in seconds])
        ax.margins(x=0.15)
        ax.xaxis.set_major_formatter("{x:,g}")
        ax.set(xlabel="Seconds\nblue: what was measured\ngrey: what measuring it took")
    return figure


SECTIONS = (
    Section(
        *(170, "run-time", "Where the run's time went", _finding, _tables, (_run_time,), _remarks)
    ),
)

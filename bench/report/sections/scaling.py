"""How training scales over several processes: throughput and efficiency against one."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from bench.analysis.formatting import MISSING, shortened
from bench.analysis.intervals import estimate
from bench.analysis.scaling import Point, Scaling, scalings
from bench.report.context import Context
from bench.report.sections.base import Section, certainty, picture
from bench.report.style import canvas, draw_legend, whole_numbers
from bench.report.tables import Table, text_table


def _scalings(context: Context) -> list[Scaling]:
    return scalings(context.trained, context.standings)


def _nodes(point: Point) -> str:
    """On how many nodes, where there are several."""
    nodes = point.group.setting.nnodes
    return f" on {nodes} nodes" if nodes > 1 else ""


def _interval(point: Point) -> str:
    if point.low is None or point.high is None:
        return f"{point.efficiency:.2f}"
    return f"{point.efficiency:.2f} ({point.low:.2f}–{point.high:.2f})"


def _finding(context: Context) -> str | None:
    """The efficiency with the most processes, and how sure that is."""
    parts = []
    for scaling in _scalings(context):
        last = scaling.points[-1]
        sure = certainty(context.standings.between("images_per_second", scaling.one, last.group))
        parts.append(
            f"{scaling.name} with {last.ranks} processes{_nodes(last)} trains {last.ratio:.2f} "
            f"times as many images a second as with one ({sure}), an efficiency of "
            f"{_interval(last)}"
        )
    if not parts:
        return None
    kind = "weak" if context.run.started.config.get("scaling", "weak") == "weak" else "strong"
    return f"In {kind} scaling, {'; '.join(parts)}."


def _tables(context: Context) -> tuple[Table, ...]:
    rows = []
    for scaling in _scalings(context):
        for point in (scaling.alone, *scaling.points):
            trial = point.group.trained[0].trial
            each = trial.batch_size or 0
            rows.append(
                (
                    scaling.name,
                    f"{point.ranks}{_nodes(point)}",
                    f"{each:,}",
                    f"{each * point.ranks:,}",
                    f"{point.throughput:,.0f}",
                    f"{point.ratio:.2f}",
                    _interval(point),
                    _ranks_text(point),
                )
            )
    headers = (
        *("Model", "Processes", "Batch size (images)", "Batch size of all (images)"),
        *("Throughput (images/s)", "Ratio to one", "Efficiency", "Peak memory by rank (MiB)"),
    )
    return (text_table(headers, rows), _working(context))


def _ranks_text(point: Point) -> str:
    """The most memory of each rank, of the first seed."""
    epochs = point.group.trained[0].epochs
    peaks = [[r.peak_memory_bytes for r in epoch.ranks] for epoch in epochs if epoch.ranks]
    known = [[peak or 0 for peak in row] for row in peaks]
    return ", ".join(f"{max(rank) / 2**20:,.0f}" for rank in zip(*known, strict=True)) or MISSING


def _working(context: Context) -> Table:
    """The share of an epoch in which each rank's processor worked; only on the CPU, where that can
    be told from waiting."""
    device = context.run.device
    rows = []
    for scaling in _scalings(context) if device.kind == "cpu" and device.threads else ():
        for point in scaling.points:
            epochs = [e for trial in point.group.trained for e in trial.epochs if e.ranks]
            threads = max(1, (device.threads or 1) // point.group.setting.nproc_per_node)
            for rank in range(point.ranks):
                shares = [e.ranks[rank].cpu_seconds / e.train_seconds / threads for e in epochs]
                if shares:
                    mean = estimate(shares).mean
                    waited = f"{100 * max(0.0, 1 - mean):.0f}"
                    rows.append((scaling.name, f"{point.ranks}{_nodes(point)}", str(rank), waited))
    return text_table(("Model", "Processes", "Rank", "Waiting (% of an epoch)"), rows)


def _remarks(context: Context) -> Iterator[str]:
    found = _scalings(context)
    if not found:
        return
    yield (
        "Efficiency is the throughput with N processes over N times that with one, which trains "
        "without any of what joins processes. Both were measured in this run, seed by seed."
    )
    alone = all(p.group.setting.nnodes == 1 for scaling in found for p in scaling.points)
    if context.run.device.kind == "cpu" and alone:
        yield (
            "The processes share the processors of one machine: one process uses all threads, each "
            "of N a part of them. An efficiency of 1/N is then what no gain and no loss looks like."
        )


@picture(
    "scaling",
    "Throughput against the number of processes, a line per model, with the ideal line",
    "Bars are 95 % intervals over seeds, paired with the same seed of one process.",
)
def _figure(context: Context) -> Figure | None:
    found = _scalings(context)
    if not found:
        return None
    most = max(point.ranks for scaling in found for point in scaling.points)
    with canvas(context.run, "How training scales") as (figure, (ax,)):
        ax.plot([1, most], [1, most], color="#555555", linestyle=":", label="ideal")
        for scaling in found:
            points, look = (scaling.alone, *scaling.points), context.looks[scaling.one.label]
            x, y = [p.ranks for p in points], [p.ratio for p in points]
            # Rounding may leave an end on the other side of its point.
            errors = [
                [0.0 if p.low is None else max(0.0, p.ratio - p.ranks * p.low) for p in points],
                [0.0 if p.high is None else max(0.0, p.ranks * p.high - p.ratio) for p in points],
            ]
            ax.errorbar(
                *(x, y, errors),
                fmt="o-",
                capsize=3,
                color=look.colour,
                label=shortened(scaling.name),
            )
        whole_numbers(ax.xaxis)
        ax.set(xlabel="Processes", ylabel="Throughput, ratio to one process")
        # The interval of few noisy seeds may well reach further than any axis.
        highest = max(most, *(point.ratio for scaling in found for point in scaling.points))
        ax.set_ylim(0, 1.25 * highest)
        draw_legend(ax)
    return figure


_title = "Training by several processes"
SECTIONS = (Section(95, "scaling", _title, _finding, _tables, (_figure,), _remarks),)

"""Largest batches against memory: what was measured, around what is predicted."""

from itertools import product

from matplotlib.figure import Figure

from bench.analysis.collected.collection import Collected
from bench.analysis.collected.largest_batches import SHAPE, Limit, Prediction, limits
from bench.analysis.formatting import MISSING, listed, shortened, times
from bench.analysis.intervals import median
from bench.analysis.trial_group import SEPARATOR
from bench.report.sections.base import Answer, Picture
from bench.report.style import PALETTE, canvas, draw_legend
from bench.report.tables import table_of
from bench.units import counted

MIB = 2**20
MOST_DRAWN = len(PALETTE)
MOST_ROWS = 200

REMARKS = (
    "Measured: at that size training ran, and one image more failed. Memory is what the search was "
    "allowed.",
    "Predicted: a training step was simulated for the device at hand, and what libraries take "
    "beside its tensors was measured once, with a batch that is far smaller than the answer.",
    "Where no search predicted, the line is what is predicted for a CUDA card. On a CPU, memory is "
    "how far the whole process grew, with all that its libraries keep, so that less fits than "
    "there, by far where memory is little.",
)


def largest_batches(collected: Collected) -> Answer | None:
    """Every largest batch that memory limited; None where nobody searched for one."""
    found = limits(collected.rows, collected.predictions)
    if not found:
        return None
    return Answer(
        "largest-batches",
        "Largest batches against memory",
        _finding(found),
        (
            Picture(
                "largest_batches",
                "Largest batch against memory, a dot per search and a line per prediction",
                "Dots are measured, squares on a CUDA card and circles elsewhere; lines are "
                "predicted, dashed where they are of a CUDA card that was not there.",
                lambda: _drawn(found),
            ),
        ),
        (
            table_of(
                {
                    "Who": [limit.sender for limit in found[:MOST_ROWS]],
                    "Machine": [limit.machine.text for limit in found[:MOST_ROWS]],
                    "Model": [_label(limit, found) for limit in found[:MOST_ROWS]],
                    "Memory (MiB)": [f"{x.memory_bytes / MIB:,.0f}" for x in found[:MOST_ROWS]],
                    "Largest batch (measured)": [f"{x.max_batch:,}" for x in found[:MOST_ROWS]],
                    "Largest batch (predicted)": [_predicted(x) for x in found[:MOST_ROWS]],
                }
            ),
        ),
        REMARKS,
    )


def _finding(found: list[Limit]) -> str:
    clauses = []
    for by_search, on_card in product((True, False), repeat=2):
        near = [
            limit.max_batch / limit.predicted
            for limit in found
            if limit.by_search == by_search
            and (limit.machine.kind == "cuda") == on_card
            and limit.predicted
        ]
        if near:
            here = by_search or on_card
            than = "the predicted" if here else "what is predicted for a CUDA card"
            clauses.append(
                f"on {'CUDA cards' if on_card else 'CPUs'}, {len(near):,} came to "
                f"{times(median(near))} {than} in as much memory "
                f"(median; {min(near):.2f} to {max(near):.2f})"
            )
    measured = counted(len(found), "largest batch was", "largest batches were")
    text = f"{measured} measured"
    return f"{text}: {listed(clauses)}." if clauses else f"{text}; nobody sent a prediction."


def _predicted(limit: Limit) -> str:
    return MISSING if limit.predicted is None else f"{int(limit.predicted):,}"


def _label(limit: Limit, found: list[Limit]) -> str:
    """The model, and what of the rest varies between all of them."""
    varying = [
        value
        for name, value, values in zip(
            SHAPE, limit.shape, zip(*(x.shape for x in found), strict=True), strict=True
        )
        if name != "model" and len(set(values)) > 1
    ]
    return SEPARATOR.join([limit.shape[0], *varying])


def _line(dots: list[Limit]) -> Prediction | None:
    """One line for all of them: the middle of what their searches predicted, which differ by what
    libraries take, else what is predicted for a card."""
    known = [limit.prediction for limit in dots if limit.prediction]
    searched = [prediction for prediction in known if prediction.by_search]
    if not searched:
        return known[0] if known else None
    base = median([prediction.base_bytes for prediction in searched])
    return Prediction(0, base, median([p.bytes_per_image for p in searched]), by_search=True)


def _drawn(found: list[Limit]) -> Figure:
    shapes = list(dict.fromkeys(limit.shape for limit in found))
    caption = "dots measured, lines predicted; dashed: for a CUDA card with as much memory"
    with canvas(caption, "Largest batch against memory") as (figure, axes):
        (ax,) = axes
        for shape, colour in zip(shapes[:MOST_DRAWN], PALETTE, strict=False):
            own = [limit for limit in found if limit.shape == shape]
            label: str | None = shortened(_label(own[0], found))
            for on_card, marker in ((True, "s"), (False, "o")):
                dots = [x for x in own if (x.machine.kind == "cuda") == on_card]
                if not dots:
                    continue
                memory = [x.memory_bytes / MIB for x in dots]
                if (prediction := _line(dots)) is not None:
                    ends = [0.95 * min(memory), 1.05 * max(memory)]
                    expected = [prediction.batch(end * MIB) for end in ends]
                    style = "-" if prediction.by_search else "--"
                    ax.plot(ends, expected, style, color=colour, label=label)
                    label = None
                batches = [x.max_batch for x in dots]
                ax.plot(memory, batches, marker, color=colour, alpha=0.7, label=label)
                label = None
        ax.set_ylim(bottom=0)
        ax.set(xlabel="Memory (MiB)", ylabel="Largest batch (images)")
        draw_legend(ax)
    return figure

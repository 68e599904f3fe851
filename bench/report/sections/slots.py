"""What ran where, and beside what, in a run whose trials ran side by side."""

from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure

from bench.analysis.formatting import percent, shortened
from bench.analysis.slots import Span, beside, busy_share, slot_name, spans_of
from bench.records.run import Run
from bench.report.context import Context
from bench.report.sections.base import Section, picture
from bench.report.style import canvas, legend_beside, name_rows
from bench.report.tables import Table, text_table
from bench.units import counted


def _names(context: Context) -> list[str]:
    """The slots by number, with what they stood for: those of a resumed run may have changed."""
    run = context.run
    now = [(slot, slot_name(slot, run.place(slot))) for slot in range(len(run.slots))]
    return [name for _, name in sorted({*now, *((s.slot, s.name) for s in spans_of(run))})]


def _count(run: Run, spans: Sequence[Span]) -> int:
    """How many slots there were at any time, of which a resumed run may have fewer; 0 if none."""
    return max(len(run.slots), *(1 + span.slot for span in spans)) if run.slots and spans else 0


def _finding(context: Context) -> str | None:
    """How many slots, and how busy they were."""
    run, spans = context.run, spans_of(context.run)
    count = _count(run, spans)
    if count < 2:
        return None
    shared = run.device.kind == "cpu" and not run.nodes
    busy = busy_share(spans, count)
    return (
        f"Trials ran side by side in {counted(count, 'slot')}, all trials of a seed in one; the "
        f"slots were busy {percent(busy)} of the time."
        + (
            " They shared the processors and slowed each other down: these times do not compare "
            "with those of trials that ran alone."
            if shared
            else ""
        )
    )


def _tables(context: Context) -> tuple[Table, ...]:
    spans = spans_of(context.run)
    rows = [
        (
            span.name,
            shortened(context.labels[span.trial]),
            f"{span.start:,.0f}",
            f"{span.seconds:,.1f}",
            span.status,
            str(beside(span, spans)),
        )
        for span in spans
    ]
    headers = ("Slot", "Trial", "Began after (s)", "Seconds", "Ended", "Slots busy beside it")
    return (text_table(headers, rows),)


def _remarks(context: Context) -> Iterator[str]:
    if _count(context.run, spans_of(context.run)) > 1:
        yield "Where the run's time went is in seconds of slots: several pass at once."


@picture(
    "slots",
    "What each slot did over the time of the run, a bar per trial",
    "Gaps are time in which a slot was idle, or the run was interrupted.",
)
def _slots(context: Context) -> Figure | None:
    run, spans, names = context.run, spans_of(context.run), _names(context)
    if _count(run, spans) < 2:
        return None
    group_of = {t.trial.id: g for g in context.groups for t in g.trials}
    with canvas(run, "What ran where", bars=len(names)) as (figure, (ax,)):
        labelled: set[str] = set()
        for span in spans:
            group = group_of.get(span.trial)  # none of a point of tuning
            name = shortened(group.label) if group else "points of tuning"
            ax.barh(
                names.index(span.name),
                span.seconds,
                left=span.start,
                color=context.looks[group.label].colour if group else "#999999",
                edgecolor="white",
                hatch="" if span.status == "done" else "///",
                label=None if name in labelled else name,
            )
            labelled.add(name)
        name_rows(ax, names)
        ax.set(xlabel="Seconds since the first trial\nhatched: did not come to its end")
        legend_beside(figure, handles=ax.get_legend_handles_labels()[0])
    return figure


_title = "What ran where"
SECTIONS = (Section(165, "slots", _title, _finding, _tables, (_slots,), _remarks),)

"""Times, machine by machine, and how models compare over all of them."""

from functools import partial

from matplotlib.figure import Figure

from bench.analysis.collected.collection import Cohort
from bench.analysis.collected.machines import SPEED, Place, Ratio, Spread, places, spreads
from bench.analysis.formatting import MISSING, shortened, shown
from bench.analysis.intervals import estimate
from bench.analysis.trial_group import TrialGroup
from bench.report.collected.answers import named
from bench.report.sections.base import Answer, Picture
from bench.report.style import PALETTE, canvas, name_rows
from bench.report.tables import Table, table_of
from bench.units import counted

MOST_NAMED = 40
"""Machines above which a picture names none."""

MOST_PAIRS = 20
"""Pairs of models that the page has a row for."""

REMARKS = (
    "Times of unlike machines are never averaged. The range is the narrowest that at least nine in "
    "ten machines are in; whether a model is faster on a machine is judged on that machine alone, "
    "over its seeds.",
)


def times(cohort: Cohort, number: int, several: bool) -> Answer | None:
    """How fast models are on the machines of a cohort; None where no time is known."""
    here = [place for place in places(cohort) if any(_speed(group) for group in place.groups)]
    if not here:
        return None
    found, kinds = spreads(cohort), len({place.machine for place in here})
    finding = (
        " ".join(map(ratio_sentence, found[:3]))
        or f"No two models were timed on two machines ({counted(len(here), 'machine')})."
    )
    pictures = tuple(
        Picture(
            f"ratio-{number}-{place}",
            f"{spread.fast} against {spread.slow} in speed, machine by machine",
            "A dot is one person's machine, with its 95 % interval where there are seeds enough; "
            "the band holds at least nine in ten machines.",
            partial(_drawn, cohort, spread),
        )
        for place, spread in enumerate(found[:2], 1)
    )
    return Answer(
        f"times-{number}",
        named("Times, machine by machine", cohort, several),
        finding,
        pictures,
        tuple(t for t in (_ratios(found), _machines(cohort, here)) if t.rows),
        (*REMARKS, f"{counted(len(here), 'machine')} of {counted(kinds, 'kind')}."),
    )


def ratio_sentence(spread: Spread) -> str:
    """`resnet18 is 2.60 to 3.10 times as fast as densenet121 on 28 of 30 machines; ...`"""
    total = len(spread.ratios)
    every = "both" if total == 2 else f"all {total}"
    where = every if spread.within == total else f"{spread.within} of {total}"
    low, high = f"{spread.low:.2f}", f"{spread.high:.2f}"
    factor = low if low == high else f"{low} to {high}"
    return (
        f"{spread.fast} is {factor} times as fast as {spread.slow} on {where} machines; it is "
        f"faster beyond chance on {spread.apart or 'none'} of {total}."
    )


def _ratios(found: list[Spread]) -> Table:
    shown_rows = found[:MOST_PAIRS]
    return table_of(
        {
            "Models": [f"{s.fast} / {s.slow}" for s in shown_rows],
            "Machines": [f"{len(s.ratios):,}" for s in shown_rows],
            "Times as fast, from": [f"{s.low:.2f}" for s in shown_rows],
            "to": [f"{s.high:.2f}" for s in shown_rows],
            "on machines": [f"{s.within:,}" for s in shown_rows],
            "Least": [f"{s.ratios[0].effect.change:.2f}" for s in shown_rows],
            "Most": [f"{s.ratios[-1].effect.change:.2f}" for s in shown_rows],
            "Faster beyond chance on": [f"{s.apart:,}" for s in shown_rows],
        }
    )


def _machines(cohort: Cohort, here: list[Place]) -> Table:
    """A row per machine, its throughput by model; the fixed matrix product tells how fast it is."""
    columns = {
        "Who": [place.sender for place in here],
        "Machine": [place.machine.text for place in here],
    }
    for group in cohort.groups:
        columns[f"{group.label} (images/s)"] = [_cell(place, group.label) for place in here]
    columns["Fixed matrix product (GFLOP/s)"] = [_calibration(place) for place in here]
    return table_of(columns)


def _cell(place: Place, label: str) -> str:
    speeds = next((_speed(group) for group in place.groups if group.label == label), [])
    if not speeds:
        return MISSING
    mean = estimate(speeds)
    return shown(SPEED, mean.mean, mean.half_width).removesuffix(" images/s")


def _calibration(place: Place) -> str:
    known = [s for group in place.groups for s in group.values("calibration_gflops").values()]
    return f"{estimate(known).mean:,.0f}" if known else MISSING


def _speed(group: TrialGroup) -> list[float]:
    return list(group.values(SPEED).values())


def _drawn(cohort: Cohort, spread: Spread) -> Figure:
    few = len(spread.ratios) <= MOST_NAMED
    caption = f"measured: {cohort.name}, {len(spread.ratios)} machines"
    title = f"{shortened(spread.fast)} against {shortened(spread.slow)}: times as fast"
    bars = 1 + len(spread.ratios) // 2 if few else 9
    with canvas(caption, title, bars=bars) as (figure, axes):
        (ax,) = axes
        ax.axvspan(spread.low, spread.high, color=PALETTE[0], alpha=0.12, linewidth=0)
        ax.axvline(1, color="#555555", linewidth=1)
        ends = [_ends(ratio) for ratio in spread.ratios]
        colours = [PALETTE[0] if r.verdict.better else "#555555" for r in spread.ratios]
        rows = range(len(ends))
        ax.hlines(rows, [e[0] for e in ends], [e[1] for e in ends], colors=colours, linewidths=1.5)
        ax.scatter([r.effect.change for r in spread.ratios], rows, s=28, c=colours, zorder=3)
        values = [ratio.effect.change for ratio in spread.ratios]
        least, most = min(1, *values), max(1, *values)
        room = 0.15 * (most - least) + 0.05
        ax.set_xlim(max(0, least - room), most + room)  # an interval of two seeds reaches far
        names = [f"{r.place.sender}, {r.place.machine.text}" for r in spread.ratios]
        if few:
            name_rows(ax, [shortened(name, 44) for name in names], fontsize=9)
        else:
            ax.set_yticks([])
            ax.invert_yaxis()
            ax.set_ylabel(f"{len(names):,} machines")
        ax.set_xlabel(f"Throughput of {shortened(spread.fast)} over {shortened(spread.slow)}")
    return figure


def _ends(ratio: Ratio) -> tuple[float, float]:
    effect = ratio.effect
    if effect.low is None or effect.high is None:
        return effect.change, effect.change
    return effect.low, effect.high

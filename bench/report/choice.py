"""What `choose` says: a table of cards, what it is of, one sentence, a picture."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from bench.analysis.formatting import MISSING, listed
from bench.analysis.trial_group import setting_text
from bench.prediction.choice import Candidate, Plan, all_priced
from bench.records.records import Predicted, Setting
from bench.report.cost import PRICED, WATT_HOUR, ends, range_text, scaled_text
from bench.report.style import PALETTE, canvas, draw_legend, name_rows
from bench.report.tables import Table, prediction_text, table_of
from bench.units import counted, duration_option

HOUR = 3600.0
BOUNDS = {"fits": "the memory", "deadline": "the deadline", "budget": "the budget"}
_MARKERS = "osD^vPX*p"


def choice_table(candidates: Sequence[Candidate], plan: Plan) -> Table:
    """A row per card; where there is no figure, the reason stands in its place."""
    scale, unit = _unit(candidates, plan)
    times = [range_text(c.seconds, scale) if c.seconds else c.reason or "" for c in candidates]
    columns = {
        "Card": [c.card.name for c in candidates],
        "Largest batch (predicted)": ["\n".join(_batches(c.predictions)) for c in candidates],
        f"{unit} (predicted)": times,
    }
    if plan.prices:
        columns[f"Money ({PRICED})"] = [range_text(c.money) for c in candidates]
    energy = [scaled_text(c.most_joules, 1000 * WATT_HOUR) for c in candidates]
    columns["Energy (kWh, at most)"] = energy
    headers = {
        "fits": "Fits",
        "deadline": f"Within {duration_option(plan.deadline_seconds or 0)}",
        "budget": f"Within a budget of {plan.budget or 0:g}",
        "epoch": f"{plan.epoch_seconds or 0:g} s in range",
    }
    asked = {bound for c in candidates for bound in c.answers}
    if all(c.answers.get("fits") != "cannot tell" for c in candidates):
        asked.discard("fits")
    for bound, header in headers.items():
        if bound in asked:
            columns[header] = [c.answers.get(bound, MISSING) for c in candidates]
    return table_of(columns)


def plan_sentence(candidates: Sequence[Candidate], plan: Plan) -> str:
    """What the plan is: epochs, models, settings and batch sizes."""
    trained: dict[tuple[Setting, int], list[str]] = {}
    for p in candidates[0].predictions:
        trained.setdefault((p.setting, plan.epochs[p.model]), []).append(p.model)
    parts = [
        f"{counted(epochs, 'epoch')} of {listed(models)} ({setting_text(setting)})"
        for (setting, epochs), models in trained.items()
    ]
    size = f"a batch of {plan.batch_size:,}" if plan.batch_size else "the largest batch of each"
    return f"The plan: {'; '.join(parts)}; {plan.images:,} images an epoch, at {size}."


def choice_rows(candidates: Sequence[Candidate], plan: Plan) -> list[dict[str, Any]]:
    """A row per card, for other programs."""
    return [
        {
            "rank": number,
            "card": c.card.name,
            "answer": c.answer,
            "reason": c.reason,
            **ends("seconds", c.seconds),
            "price_per_hour": plan.prices.get(c.card.name),
            **ends("money", c.money),
            "joules_at_most": c.most_joules,
            **{bound: c.answers.get(bound) for bound in (*BOUNDS, "epoch")},
            "max_batch": " ".join(f"{p.model}={p.max_batch}" for p in c.predictions),
            "source": "predicted",
        }
        for number, c in enumerate(candidates, 1)
    ]


def choice_sentence(candidates: Sequence[Candidate], plan: Plan) -> str:
    """The best answer, and how sure it is."""
    best, priced = candidates[0], all_priced(candidates)
    scale, unit = _unit(candidates, plan)
    cost = f"{range_text(best.seconds, scale)} {unit.lower()}"
    cost += f" for {range_text(best.money)}" if best.money else ""
    able = [c for c in candidates if c.seconds and c.answer != "no"]
    if plan.epoch_seconds is not None:
        names = listed([c.card.name for c in able]) or "none of these cards"
        return f"An epoch of {plan.epoch_seconds:g} s lies in the predicted range of {names}."
    if best.seconds is None:
        return f"No card does it: none has a figure for the whole plan ({best.reason})."
    if not able:
        broken = [BOUNDS[bound] for bound, answer in best.answers.items() if answer == "no"]
        return (
            f"No card does it: {best.card.name}, the {'cheapest' if priced else 'fastest'}, takes "
            f"{cost}, which breaks {listed(broken)}."
        )
    asked = [BOUNDS[bound] for bound in best.answers if bound != "fits"]
    unsure = [BOUNDS[bound] for bound, answer in best.answers.items() if answer != "yes"]
    sentence = f"Predicted best: {best.card.name}, {cost}"
    if unsure:
        sentence += f"; whether it stays within {listed(unsure)} cannot be told from the ranges"
    elif asked:
        sentence += f"; all of its range stays within {listed(asked)}"
    rivals = [c.card.name for c in able[1:] if c.answer == best.answer and c.rivals(best, priced)]
    if rivals:
        kind = "cheaper" if priced else "faster"
        sentence += f"; {listed(rivals)} may be {kind}, because the ranges overlap"
    elif len(able) > 1:
        sentence += "; no range of an equally good card overlaps"
    return f"{sentence}."


def choice_figure(candidates: Sequence[Candidate], plan: Plan) -> Figure | None:
    """Time against money where all cards have a price, else a bar of time per card, with ranges and
    bounds; None if no card has a figure."""
    known = [c for c in candidates if c.seconds]
    if not known:
        return None
    caption = "predicted, nothing was measured; with the ranges that known errors allow"
    if others := [c.card.name for c in candidates if not c.seconds]:
        caption += f"; without a figure: {', '.join(others)}"
    draw = _against_money if all_priced(known) else _bars
    return draw(known, plan, caption)


def _against_money(known: Sequence[Candidate], plan: Plan, caption: str) -> Figure:
    scale, unit = _unit(known, plan)
    with canvas(caption, "What the plan takes and costs") as (figure, (ax,)):
        for number, c in enumerate(known):
            time, cost, colour = c.seconds, c.money, PALETTE[number % len(PALETTE)]
            if time is None or cost is None:
                continue
            look: Any = {"marker": _MARKERS[number % len(_MARKERS)], "ms": 9, "ls": "none"}
            # Money is in proportion to time: the truth lies on this line.
            span = [time.low / scale, time.high / scale], [cost.low, cost.high]
            ax.plot(*span, color=colour, alpha=0.5)
            ax.plot(time.value / scale, cost.value, color=colour, label=c.card.name, **look)
        _draw_times(ax, plan, scale)
        if plan.budget is not None:
            ax.axhline(plan.budget, color="#555555", ls="--", label=f"budget of {plan.budget:g}")
        ax.set(xscale="log", yscale="log", xlabel=f"{unit}, predicted", ylabel=f"Money, {PRICED}")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        draw_legend(ax, inside=0)
    return figure


def _bars(known: Sequence[Candidate], plan: Plan, caption: str) -> Figure:
    scale, unit = _unit(known, plan)
    with canvas(caption, "What the plan takes", bars=len(known)) as (figure, (ax,)):
        for row, time in enumerate(c.seconds for c in known if c.seconds):
            value, low, high = (v / scale for v in (time.value, time.low, time.high))
            ax.barh(row, value, xerr=[[value - low], [high - value]], color=PALETTE[5], capsize=3)
        named = [f"; dotted: {label}" for label in _draw_times(ax, plan, scale)]
        name_rows(ax, [f"{c.card.name}   {range_text(c.seconds, scale)}" for c in known])
        ax.set(xlabel=f"{unit}, predicted{''.join(named)}")
    return figure


def _draw_times(ax: Axes, plan: Plan, scale: float) -> list[str]:
    """Dotted lines at the times that a plan names, and what they are."""
    deadline, epoch = plan.deadline_seconds, plan.epoch_seconds
    times = {f"deadline of {duration_option(deadline)}": deadline} if deadline else {}
    times |= {f"{epoch:g} s": epoch} if epoch else {}
    for label, seconds in times.items():
        ax.axvline(seconds / scale, color="#555555", ls=":", label=label)
    return list(times)


def _unit(candidates: Sequence[Candidate], plan: Plan) -> tuple[float, str]:
    """Seconds where nothing takes long."""
    if plan.epoch_seconds is not None:
        return 1.0, "An epoch in seconds"
    longest = max((c.seconds.high for c in candidates if c.seconds), default=HOUR)
    return (1.0, "Seconds") if longest < HOUR / 6 else (HOUR, "Hours")


def _batches(predictions: Sequence[Predicted]) -> list[str]:
    """The largest batch of each model, and of each setting if there are several."""
    several = len({p.model for p in predictions}) < len(predictions)
    return [
        f"{p.model}{f', {setting_text(p.setting)}' if several else ''}: {prediction_text(p)}"
        for p in predictions
    ]

"""What an epoch costs, as a table and as columns, and how predicted ranges are written."""

from collections.abc import Mapping, Sequence

from bench.analysis.formatting import MISSING
from bench.analysis.trial_group import setting_text
from bench.prediction.cards import find_card
from bench.prediction.cost import Range, epoch_range, money, most_joules
from bench.records.records import Predicted
from bench.report.tables import Table, rounded, table_of

PRICED = "predicted; price per hour as given"
WATT_HOUR = 3600.0
"""Joules."""


def cost_table(predictions: Sequence[Predicted], prices: Mapping[str, float]) -> Table:
    """A row per predicted speed: what an epoch takes and costs. Without rows if there is none."""
    made = [(p, s, e) for p in predictions for s in p.speeds if (e := epoch_range(s))]
    columns = {
        "Model": [p.model for p, *_ in made],
        "Setting": [setting_text(p.setting) for p, *_ in made],
        "Card": [p.card for p, *_ in made],
        "Batch size (images)": [f"{speed.batch_size:,}" for _, speed, _ in made],
        "Epoch (s, predicted)": [range_text(epoch) for *_, epoch in made],
    }
    if prices:
        costs = [range_text(money(epoch, prices.get(p.card))) for p, _, epoch in made]
        columns[f"Money an epoch ({PRICED})"] = costs
    joules = [most_joules(epoch, find_card(p.card)) for p, _, epoch in made]
    columns["Energy an epoch (Wh, at most)"] = [scaled_text(j, WATT_HOUR) for j in joules]
    return table_of(columns)


def cost_columns(p: Predicted, prices: Mapping[str, float]) -> dict[str, float | None]:
    """What an epoch costs at the largest batch; None in a column where it is not known."""
    epoch = epoch_range(p.speeds[0]) if p.speeds else None
    cost = money(epoch, prices.get(p.card)) if epoch else None
    joules = most_joules(epoch, find_card(p.card)) if epoch else None
    times = ends("epoch_seconds", epoch) | ends("epoch_money", cost)
    return times | {"epoch_joules_at_most": joules}


def range_text(cost: Range | None, scale: float = 1.0) -> str:
    """A figure with its range, divided by a scale."""
    if cost is None:
        return MISSING
    value, low, high = (rounded(v / scale) for v in (cost.value, cost.low, cost.high))
    return f"{value} ({low}–{high})"


def scaled_text(value: float | None, scale: float) -> str:
    """A figure without a range, divided by a scale."""
    return MISSING if value is None else rounded(value / scale)


def ends(name: str, cost: Range | None) -> dict[str, float | None]:
    """A range as three columns."""
    values = (cost.value, cost.low, cost.high) if cost else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))

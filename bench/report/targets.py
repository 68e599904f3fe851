"""Accuracy against time in tables: when each target was reached, by how many seeds; and what there
was after equal seconds."""

from collections.abc import Sequence

from bench.analysis.formatting import MISSING, percent, supported
from bench.analysis.intervals import Estimate, estimate
from bench.analysis.time_to_accuracy import Reached, accuracy_after, clock, reached, targets_of
from bench.analysis.trial_group import Series
from bench.report.tables import Cell, Table


def target_table(found: Sequence[Series]) -> Table:
    """A row per series and target that any seed reached: when, since when for good, and how many of
    its seeds got there. Means are over those that did."""
    trained = [one for one in found if one.trained]
    by_target = {
        target: {
            one.label: [reached(trial.epochs, target) for trial in one.trained] for one in trained
        }
        for target in (targets_of(trained[0].trained[0]) if trained else ())
    }
    rows = [
        (Cell(label), Cell(percent(target)), *map(Cell, _when(seeds)))
        for target, by_label in by_target.items()
        if any(one.first_epoch is not None for seeds in by_label.values() for one in seeds)
        for label, seeds in by_label.items()
    ]
    headers = (
        "Model",
        "Target",
        "First reached (epoch)",
        "First reached (s)",
        "by seeds",
        "Held since (epoch)",
        "Held since (s)",
        "by seeds ",
    )
    return Table(headers, tuple(rows))


def _when(seeds: Sequence[Reached]) -> tuple[str, ...]:
    return (
        _mean([one.first_epoch for one in seeds], 1),
        _mean([one.first_seconds for one in seeds], 0),
        f"{sum(one.first_epoch is not None for one in seeds)} of {len(seeds)}",
        _mean([one.held_epoch for one in seeds], 1),
        _mean([one.held_seconds for one in seeds], 0),
        f"{sum(one.held_epoch is not None for one in seeds)} of {len(seeds)}",
    )


def until(members: Sequence[Series], target: float | None) -> dict[str, list[Cell]]:
    """Columns: epochs and seconds until each series first reached a test accuracy."""
    if target is None:
        return {}
    found = [[reached(trial.epochs, target) for trial in one.trained] for one in members]
    return {
        f"Until {percent(target)} (epochs)": [
            Cell(_share(seeds, [r.first_epoch for r in seeds], 1)) for seeds in found
        ],
        f"Until {percent(target)} (s)": [
            Cell(_share(seeds, [r.first_seconds for r in seeds], 0)) for seeds in found
        ],
    }


def after_equal_seconds(members: Sequence[Series]) -> dict[str, list[Cell]]:
    """A column: the test accuracy of each series when the first of them was done."""
    totals = [clock(trial.epochs)[-1] for one in members for trial in one.trained]
    if not totals:
        return {}
    seconds = min(totals)
    cells = []
    for one in members:
        known = [accuracy_after(trial.epochs, seconds) for trial in one.trained]
        cells.append(Cell(_share(known, [a and a * 100 for a in known], 1)))
    return {f"Test accuracy after {seconds:,.0f} s (%)": cells}


def _share(seeds: Sequence[object], values: Sequence[float | None], decimals: int) -> str:
    """Their mean; with how many of the seeds have one, if not all do."""
    known = sum(value is not None for value in values)
    some = f" ({known} of {len(seeds)} seeds)" if 0 < known < len(seeds) else ""
    return _mean(values, decimals) + some


def _mean(values: Sequence[float | None], decimals: int) -> str:
    known = [value for value in values if value is not None]
    return _text(estimate(known), decimals) if known else MISSING


def _text(found: Estimate, decimals: int) -> str:
    if not found.half_width:
        return f"{found.mean:,.{decimals}f}"
    decimals = supported(found.half_width, decimals)
    return f"{found.mean:,.{decimals}f} ± {found.half_width:,.{decimals}f}"

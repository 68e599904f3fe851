"""What the report says of networks that were looked at after training: findings and tables."""

import math
from collections.abc import Callable, Sequence
from statistics import median

from bench.analysis.formatting import MISSING, listed, percent
from bench.analysis.intervals import estimate
from bench.analysis.trial_group import Series
from bench.records.records import EvaluationMode, LayerChange
from bench.records.run import Run
from bench.report.tables import Cell, Table

END = 0.1
"""The first and the last layers of a network are so large a share of them."""


def mode_name(mode: EvaluationMode) -> str:
    """How a way to evaluate is called in tables and plots."""
    if mode.mode == "inference":
        return "inference mode"
    return f"training mode, batches of {mode.batch_size}, {mode.composition}"


def looked_at(found: Sequence[Series]) -> list[Series]:
    """Those of which at least one trained network was looked at."""
    return [one for one in found if layers_of(one)]


def layers_of(one: Series) -> list[tuple[LayerChange, ...]]:
    """The layers of each trial that was looked at."""
    return [t.inspected.layers for t in one.trained if t.inspected and t.inspected.layers]


def by_layer(one: Series, value: Callable[[LayerChange], float]) -> list[float]:
    """A figure of each layer, the mean over the seeds."""
    columns = zip(*layers_of(one), strict=True)
    return [estimate([value(change) for change in layer]).mean for layer in columns]


def modes_of(one: Series) -> dict[str, list[float]]:
    """Test accuracies by way to evaluate, one for each seed."""
    found: dict[str, list[float]] = {}
    for trial in one.trained:
        for mode in trial.inspected.evaluation_modes if trial.inspected else ():
            found.setdefault(mode_name(mode), []).append(mode.test_accuracy)
    return found


def kernels_finding(found: Sequence[Series]) -> str | None:
    """How far the first two layers moved, model by model."""
    seen = looked_at(found)
    if not seen:
        return None
    said = []
    for one in seen:
        relative = by_layer(one, lambda c: c.relative_change)[:2]
        share = by_layer(one, lambda c: c.changed_share)[:2]
        pairs = zip(relative, share, strict=True)
        moved = [f"{percent(r)} ({percent(s)} of its weights changed)" for r, s in pairs]
        said.append(f"{one.label}'s by {' and '.join(moved)}")
    return f"Training moved the weights of the first and second layer: {'; '.join(said)}."


def gradients_finding(found: Sequence[Series]) -> str | None:
    """How much stronger the gradient is in the first layers than in the last, before and after."""
    seen = looked_at(found)
    if not seen:
        return None
    said = []
    for one in seen:
        before = _ends(by_layer(one, lambda c: c.gradient_norm_first))
        after = _ends(by_layer(one, lambda c: c.gradient_norm_last))
        said.append(f"{_times(before)} before training and {_times(after)} after it in {one.label}")
    return (
        "The median gradient norm of the first tenth of the layers, over that of the last tenth, "
        f"is {listed(said)}."
    )


def _ends(values: Sequence[float]) -> float:
    count = max(1, int(len(values) * END))
    last = median(values[-count:])
    return median(values[:count]) / last if last else math.inf


def _times(ratio: float) -> str:
    return f"{ratio:.2g}" if math.isfinite(ratio) else "without bounds"


def modes_finding(found: Sequence[Series]) -> str | None:
    """What evaluation in training mode would have said."""
    said = []
    for one in looked_at(found):
        modes = {name: estimate(values).mean for name, values in modes_of(one).items()}
        inference = modes.pop("inference mode", None)
        if inference is None or not modes:
            continue
        farthest = max(modes, key=lambda name: abs(modes[name] - inference))
        said.append(
            f"{one.label}'s is {percent(inference)}, and {percent(modes[farthest])} in {farthest}"
        )
    if not said:
        return None
    return (
        "Test accuracy with batch norm in inference mode, and where training mode is farthest from "
        f"it: {'; '.join(said)}."
    )


def layer_tables(run: Run, found: Sequence[Series]) -> tuple[Table, ...]:
    """The first two layers' changes, a row per series."""
    headers = (
        "Model",
        "First layer: relative change",
        "weights changed (%)",
        "Second layer: relative change",
        "weights changed (%) ",
    )
    rows = []
    for one in looked_at(found):
        relative = by_layer(one, lambda c: c.relative_change)[:2]
        share = by_layer(one, lambda c: c.changed_share)[:2]
        cells = [text for r, s in zip(relative, share, strict=True) for text in _change(r, s)]
        cells += [MISSING] * (4 - len(cells))
        rows.append((Cell(one.label), *map(Cell, cells)))
    return (Table(headers, tuple(rows)),)


def _change(relative: float, share: float) -> tuple[str, str]:
    return f"{relative:.3f}", f"{100 * share:.1f}"


def gradient_tables(run: Run, found: Sequence[Series]) -> tuple[Table, ...]:
    """Median gradient norms at both ends of each network, before and after training."""
    headers = (
        "Model",
        "Layers",
        "First tenth, before",
        "Last tenth, before",
        "First tenth, after",
        "Last tenth, after",
    )
    rows = []
    for one in looked_at(found):
        cells = []
        for values in (
            by_layer(one, lambda c: c.gradient_norm_first),
            by_layer(one, lambda c: c.gradient_norm_last),
        ):
            count = max(1, int(len(values) * END))
            cells += [f"{median(values[:count]):.3g}", f"{median(values[-count:]):.3g}"]
        rows.append((Cell(one.label), Cell(str(len(values))), *map(Cell, cells)))
    return (Table(headers, tuple(rows)),)


def mode_tables(run: Run, found: Sequence[Series]) -> tuple[Table, ...]:
    """Test accuracy in each mode, a row per series and mode."""
    rows = []
    for one in looked_at(found):
        for name, values in modes_of(one).items():
            made = estimate(values)
            interval = "" if made.half_width is None else f" ± {100 * made.half_width:.1f}"
            rows.append((Cell(one.label), Cell(name), Cell(f"{100 * made.mean:.1f}{interval}")))
    return (Table(("Model", "Batch norm", "Test accuracy (%)"), tuple(rows)),)

"""What recipes are known to reach: `references.csv`, a row per setting that was trained with
several seeds on stated data and a stated machine.

Only what was measured is in it: `tests/benchmarks/reference_intervals.py` makes rows from runs.
"""

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

from bench.analysis.trial_group import TRAITS, Row

CONDITIONS = ("recipe", "model", "dataset_sha256", "image_size", "epochs", "batch_size")
"""Columns in which trials are like a reference, or not compared with it. The hash is of the images
and labels as they were prepared: which images, in which form, and how many."""

SETTINGS = tuple(t for t in TRAITS if t not in (*CONDITIONS, "tuning", "batch_choice"))
"""Columns of how they were trained, in each of which an option may change what the recipe says."""

COLUMNS = (
    *("recipe", "model", "data", "dataset_sha256", "train_images", "test_images"),
    *("image_size", "epochs", "batch_size", *SETTINGS),
    *("seeds", "mean_percent", "deviation_points", "device", "torch", "date"),
)


@dataclass(frozen=True)
class Reference:
    """Test accuracy after the last epoch: its `mean` over `seeds` and its standard `deviation`,
    None of a single seed; fractions.

    `conditions` and `settings` are cells as `Row.text` has them, in the order of the columns;
    `data`, `device`, `torch` and `date` say on what it was measured.
    """

    conditions: tuple[str, ...]
    settings: tuple[str, ...]
    data: str
    train_images: int
    test_images: int
    seeds: int
    mean: float
    deviation: float | None
    device: str
    torch: str
    date: str


def conditions_of(row: Row) -> tuple[str, ...]:
    """What of a trial must be like a reference."""
    return tuple(map(row.text, CONDITIONS))


def settings_of(row: Row) -> tuple[str, ...]:
    """What of a trial may differ from it."""
    return tuple(map(row.text, SETTINGS))


@functools.cache
def known_references() -> tuple[Reference, ...]:
    """The project's own, in the order of `references.csv`."""
    return read_references(Path(__file__).with_suffix(".csv"))


def read_references(path: Path) -> tuple[Reference, ...]:
    """The references of a file with these `COLUMNS`."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [Row(cells, path.name) for cells in csv.DictReader(file, strict=True)]
    return tuple(map(_reference, rows))


def _reference(row: Row) -> Reference:
    deviation = row.number("deviation_points")
    return Reference(
        conditions_of(row),
        settings_of(row),
        data=row.cells["data"],
        train_images=int(row.cells["train_images"]),
        test_images=int(row.cells["test_images"]),
        seeds=int(row.cells["seeds"]),
        mean=float(row.cells["mean_percent"]) / 100,
        deviation=None if deviation is None else deviation / 100,
        device=row.cells["device"],
        torch=row.cells["torch"],
        date=row.cells["date"],
    )

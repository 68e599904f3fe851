"""Tables of trials made by hand, as `models.csv` has them: no run, no torch."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.analysis.compare.side import Side, read_side
from bench.analysis.trial_group import Row, TrialGroup

Cells = dict[str, object]

USUAL: Cells = {
    "model": "resnet18",
    "seed": 0,
    "status": "done",
    "dataset": "cifar10",
    "device": "cpu",
    "preset": "quick",
    "image_size": 32,
    "precision": "fp32",
    "optimizer": "adam",
    "batch_size": 128,
    "max_batch": 1000,
    "params": 11_000_000,
    "epochs": 10,
    "images_per_second": 100.0,
    "epoch_seconds": 10.0,
    "peak_memory_bytes": 300 * 2**20,
    "final_test_accuracy": 0.7,
    "dataset_sha256": "ab" * 32,
    "train_images": 50000,
    "test_images": 10000,
    "device_name": "Test CPU",
    "threads": 2,
    "learning_rate": 0.001,
    "batch_choice": "auto",
    "augment": False,
    "pretrained": False,
    "channels_last": True,
}


def trials(columns: Mapping[str, Sequence[object]], **cells: object) -> list[Cells]:
    """A row per seed: `columns` have a value for each seed, `cells` one for all."""
    count = len(next(iter(columns.values())))
    rows = []
    for seed in range(count):
        mine = {name: values[seed] for name, values in columns.items()}
        rows.append(USUAL | cells | {"seed": seed} | mine)
    return rows


def rates(values: Sequence[float], **cells: object) -> list[Cells]:
    """Trials with these images per second, and nothing that varies else."""
    return trials({"images_per_second": values}, **cells)


def write_table(path: Path, rows: Sequence[Cells]) -> Path:
    """A CSV file of them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def some_trials(label: str, columns: Mapping[str, Sequence[object]], **cells: object) -> TrialGroup:
    """A group of them, not written anywhere."""
    rows = trials(columns, model=label, **cells)
    text = [{name: str(value) for name, value in row.items()} for row in rows]
    return TrialGroup(label, tuple(Row(row, label) for row in text))


def a_side(folder: Path, name: str, *rows: Sequence[Cells]) -> Side:
    """Those rows, written and read."""
    return read_side(
        write_table(folder / f"{name}.csv", [cells for some in rows for cells in some])
    )

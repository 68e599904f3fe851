"""One side of a comparison: a run folder, or a table of trials that came from anywhere.

`models.csv` has a row per trial and all that is needed; a run folder's log gives the same rows.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from bench.analysis.compare.effects import Values
from bench.analysis.metrics import METRICS, Metric
from bench.errors import Refused
from bench.records.files import read_text
from bench.records.run import load_run
from bench.records.run_folder import LOG

LARGEST_FILE = 50_000_000
"""Bytes: a table of tens of thousands of trials."""

TABLE = "models.csv"

TRAITS = ("model", "image_size", "precision", "optimizer", "learning_rate", "batch_choice")
"""What makes two trials trials of the same thing, but for their seed."""

CALIBRATION = "calibration_gflops"
"""The speed of a fixed multiplication of matrices beside a trial, where that was timed."""

NOISE = "noise"
"""Why a trial's times are not to be trusted; empty where they are."""

_REQUIRED = (
    *("model", "seed", "status", "dataset", "device", "preset", "image_size", "precision"),
    *("optimizer", "batch_size", "epochs", "dataset_sha256", "train_images", "test_images"),
    *("device_name", "threads", "learning_rate"),
)


@dataclass(frozen=True)
class Row:
    """One trial: its cells as text by column, and where they stand."""

    cells: Mapping[str, str]
    where: str

    def text(self, name: str) -> str:
        """A cell in the one way it can be written: 32, not 32.0; empty if it is not there."""
        cell = self.cells.get(name, "").strip()
        try:
            value = float(cell)
        except ValueError:
            return cell
        return str(int(value)) if value.is_integer() else repr(value)

    def number(self, name: str) -> float | None:
        """A cell as a number, None if it is empty; Refused if it is no number."""
        cell = self.cells.get(name, "").strip()
        if not cell:
            return None
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise Refused(f"{self.where}: {name} {cell[:40]!r} is not a number.")
        return value

    @property
    def seed(self) -> int:
        """The trial's seed; Refused if it is no whole number."""
        value = self.number("seed")
        if value is None or value < 0 or not value.is_integer():
            raise Refused(f"{self.where}: seed {self.text('seed')!r} is no whole number from 0.")
        return int(value)


@dataclass(frozen=True)
class Group:
    """The trials of one model under one setting, that differ in nothing but their seed."""

    traits: Mapping[str, str]
    rows: tuple[Row, ...]

    @property
    def model(self) -> str:
        """The model that was trained."""
        return self.traits["model"]

    def values(self, metric: Metric) -> Values:
        """A metric by seed, of the trials in which it is known; Refused if one is no number."""
        known = {row.seed: row.number(metric.name) for row in self.rows}
        return {seed: value for seed, value in known.items() if value is not None}

    def texts(self, name: str) -> tuple[str, ...]:
        """The different values of a column, in order of appearance."""
        return tuple(dict.fromkeys(row.text(name) for row in self.rows))

    @property
    def batch_sizes(self) -> str:
        """The batch size that it was trained with; several, if it was changed."""
        return ", ".join(self.texts("batch_size"))

    @property
    def noisy(self) -> int:
        """How many of its trials are marked as disturbed."""
        return sum(bool(row.text(NOISE)) for row in self.rows)

    @property
    def machine(self) -> Values:
        """How fast the machine itself was beside each trial, by seed, as far as that was timed."""
        speeds = {row.seed: row.number(CALIBRATION) for row in self.rows}
        return {seed: speed for seed, speed in speeds.items() if speed is not None and speed > 0}


@dataclass(frozen=True)
class Side:
    """What one side brings: its name as it was given, its trials that are done, grouped, how many
    were left out because they are not done, and which columns it has."""

    name: str
    groups: tuple[Group, ...]
    left_out: int
    columns: frozenset[str]

    def only(self, patterns: Sequence[str]) -> "Side":
        """With the models that match one of the patterns; Refused if none does."""
        if not patterns:
            return self
        kept = tuple(g for g in self.groups if any(fnmatchcase(g.model, p) for p in patterns))
        if not kept:
            models = ", ".join(dict.fromkeys(g.model for g in self.groups))
            raise Refused(f"--models {' '.join(patterns)}: {self.name} has only {models}.")
        return Side(self.name, kept, self.left_out, self.columns)


def read_side(path: Path) -> Side:
    """The trials of a run folder, of a folder with a `models.csv`, or of such a file itself.

    Raises:
        Refused: it is none of these, or no trial in it is done; one sentence says what is wrong.
    """
    rows = list(_rows_of(path))
    done = [row for row in rows if row.text("status") == "done"]
    if not done:
        raise Refused(f"{path} has no trial that is done; there is nothing to compare.")
    columns = frozenset(name for row in done for name in row.cells)
    return Side(str(path), _grouped(done), len(rows) - len(done), columns)


def _rows_of(path: Path) -> Iterator[Row]:
    try:
        folder, logged = path.is_dir(), (path / LOG).is_file()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Refused(f"{str(path)[:200]!r} cannot be read: {reason}.") from error
    if logged:
        return _rows_of_run(path)
    if not folder and not path.exists():
        raise Refused(f"{path} is not there; name a run folder or a CSV file.")
    if not folder:
        return _rows_of_table(path)
    if not (path / TABLE).is_file():
        raise Refused(f"{path} is no run folder: it has neither {LOG} nor {TABLE}.")
    return _rows_of_table(path / TABLE)


def _rows_of_run(path: Path) -> Iterator[Row]:
    run = load_run(path)
    run.check_begun()
    for result in run.trials:
        values = {metric.name: metric.value(result) for metric in METRICS}
        cells = {name: "" if value is None else str(value) for name, value in values.items()}
        yield Row(cells, f"{path}, {result.trial.id}")


def _rows_of_table(path: Path) -> Iterator[Row]:
    text = read_text(path, LARGEST_FILE, str(path))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        _check_header(header, path)
        for cells in reader:
            if not cells:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(cells) != len(header):
                raise Refused(f"{where} has {len(cells)} cells and the header {len(header)}.")
            yield Row(dict(zip(header, cells, strict=True)), where)
    except csv.Error as error:
        raise Refused(f"{path} is not a CSV file ({error}).") from error


def _check_header(header: Sequence[str], path: Path) -> None:
    missing = [name for name in _REQUIRED if name not in header]
    if missing:
        raise Refused(f"{path} has no column {missing[0]!r}; give a models.csv as a run writes it.")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise Refused(f"{path} has the column {twice!r} twice; leave one out.")


def _grouped(rows: Sequence[Row]) -> tuple[Group, ...]:
    groups: dict[tuple[str, ...], dict[int, Row]] = {}
    for row in rows:
        # Tables from before the batch was asked for by a word know only what it came to.
        batch = row.text("batch_choice") or row.text("batch_size")
        key = (*(row.text(name) for name in TRAITS[:-1]), batch)
        mine = groups.setdefault(key, {})
        if row.seed in mine:
            raise Refused(
                f"{row.where}: {key[0]} with seed {row.seed} is there twice under one setting; "
                "compare one run with another, not several in one table."
            )
        mine[row.seed] = row
    return tuple(
        Group(dict(zip(TRAITS, key, strict=True)), tuple(mine.values()))
        for key, mine in groups.items()
    )

"""What is compared: the trials of a run folder, of a folder with only its tables, or of one file in
the columns of `models.csv`."""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import Refused
from bench.results import load_run
from bench.store import LOG

if TYPE_CHECKING:
    import pandas as pd

LARGEST_FILE = 20_000_000
"""Bytes: a row of `models.csv` has about a thousand."""

REQUIRED = ("model", "seed", "status", "image_size", "precision", "optimizer", "batch_size")


@dataclass(frozen=True)
class Row:
    """One trial: its values by the names of metrics, None where they are not known."""

    values: Mapping[str, Any]

    def number(self, name: str) -> float | None:
        """A figure; None if it is not known, or no number."""
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        return float(value) if math.isfinite(value) else None

    def text(self, name: str) -> str:
        """A value as text, the same for a log and for a CSV file."""
        value = self.values.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return "–" if value is None else str(value)


@dataclass(frozen=True)
class Side:
    """One side: what it is called, its trials that are done, and how many are not."""

    name: str
    rows: tuple[Row, ...]
    left_out: int


def read_side(path: Path) -> Side:
    """The trials at a path.

    Raises:
        Refused: there are none, or it is not what it should be; one sentence says which.
    """
    frame = _frame(path)
    for column in REQUIRED:
        if column not in frame.columns:
            raise Refused(f"{path} has no column {column!r}; compare takes models.csv as it is.")
    if frame.columns.duplicated().any():
        raise Refused(f"{path} has a column twice; compare takes models.csv as it is.")
    known = frame.astype(object).where(frame.notna(), None)
    rows = [Row({str(k): v for k, v in row.items()}) for row in known.to_dict("records")]
    done = tuple(row for row in rows if row.values["status"] == "done")
    if not done:
        raise Refused(f"{path} has no trial that is done; there is nothing to compare.")
    return Side(path.name or str(path), done, len(rows) - len(done))


def _frame(path: Path) -> "pd.DataFrame":
    if path.is_dir() and (path / LOG).is_file():
        run = load_run(path)
        run.check_begun()
        return run.models
    file = path / "models.csv" if path.is_dir() else path
    if not file.is_file():
        raise Refused(f"{path} is no run folder and no CSV file; name one of a run.")
    return _read_csv(file)


def _read_csv(file: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}.") from error
    if len(data) > LARGEST_FILE:
        raise Refused(f"{file} is above {LARGEST_FILE:,} bytes; it is not a run's models.csv.")
    try:
        return pd.read_csv(io.BytesIO(data))
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise Refused(f"{file} is not a CSV file ({first}).") from error

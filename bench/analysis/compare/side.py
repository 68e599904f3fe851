"""One side of a comparison: a run folder, or a table of trials that came from anywhere.

`models.csv` has a row per trial and all that is needed; a run folder's log gives the same rows.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.analysis.trial_group import Row, TrialGroup, grouped, rows_of
from bench.errors import Refused
from bench.records.files import read_text
from bench.records.run import load_run
from bench.records.run_folder import LOG
from bench.registry import matching

LARGEST_FILE = 50_000_000
"""Bytes: a table of tens of thousands of trials."""

TABLE = "models.csv"

_REQUIRED = (
    *("model", "seed", "status", "dataset", "device", "preset", "image_size", "precision"),
    *("optimizer", "batch_size", "epochs", "dataset_sha256", "train_images", "test_images"),
    *("device_name", "threads", "learning_rate"),
)


@dataclass(frozen=True)
class Side:
    """What one side brings: its name as it was given, its trials that are done, grouped, and how
    many were left out because they are not done."""

    name: str
    groups: tuple[TrialGroup, ...]
    left_out: int

    def only(self, patterns: Sequence[str]) -> "Side":
        """With the models that match one of the patterns; Refused if none does."""
        if not patterns:
            return self
        kept = tuple(g for g in self.groups if matching([g.model], *patterns))
        if not kept:
            models = ", ".join(dict.fromkeys(g.model for g in self.groups))
            raise Refused(f"--models {' '.join(patterns)}: {self.name} has only {models}.")
        return replace(self, groups=kept)


def read_side(path: Path) -> Side:
    """The trials of a run folder, of a folder with a `models.csv`, or of such a file itself.

    Raises:
        Refused: it is none of these, or no trial in it is done; one sentence says what is wrong.
    """
    rows = list(_rows_of(path))
    done = [row for row in rows if row.done]
    if not done:
        raise Refused(f"{path} has no trial that is done; there is nothing to compare.")
    return Side(str(path), tuple(grouped(done)), len(rows) - len(done))


def _rows_of(path: Path) -> Sequence[Row]:
    try:
        folder, logged = path.is_dir(), (path / LOG).is_file()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Refused(f"{str(path)[:200]!r} cannot be read: {reason}.") from error
    if logged:
        run = load_run(path)
        run.check_begun()
        return rows_of(run)
    if not folder and not path.exists():
        raise Refused(f"{path} is not there; name a run folder or a CSV file.")
    table = path / TABLE if folder else path
    if folder and not table.is_file():
        raise Refused(f"{path} is no run folder: it has neither {LOG} nor {TABLE}.")
    return list(table_rows(read_text(table, LARGEST_FILE, str(table)), str(table)))


def table_rows(text: str, name: str) -> Iterator[Row]:
    """The trials of the text of a `models.csv`, which messages call `name`; Refused if it is
    none."""
    for line, cells in _read_table(text, name):
        yield Row(cells, f"{name}, line {line}")


def _read_table(text: str, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        missing = [name for name in _REQUIRED if name not in header]
        if missing:
            raise Refused(
                f"{path} has no column {missing[0]!r}; give a models.csv as a run writes it."
            )
        twice = [name for name, count in Counter(header).items() if count > 1]
        if twice:
            raise Refused(f"{path} has the column {twice[0]!r} twice; leave one out.")
        for cells in filter(None, reader):
            if len(cells) != len(header):
                raise Refused(
                    f"{path}, line {reader.line_num} has {len(cells)} cells and the header "
                    f"{len(header)}."
                )
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise Refused(f"{path} is not a CSV file ({error}).") from error

"""What a comparison says, in every format that it can be had in: one function a format."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.tables import Table, markdown

Record = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """A comparison, ready to be shown.

    `answer` says in sentences which to use and how sure that is; `notes` are sentences that must be
    known with it; `records` are plain values, a dict a line of the tables. `title` and `sides` name
    what is compared.
    """

    title: str
    sides: dict[str, str]
    tables: tuple[Table, ...]
    records: tuple[Record, ...]
    answer: tuple[str, ...]
    notes: tuple[str, ...]


def as_csv(told: Told) -> str:
    """The records, a row each; unknown values are empty."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(told.records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(told.records)
    return file.getvalue()


def as_json(told: Told, more: Record) -> str:
    """Everything, with `more` values of the command."""
    values = told.sides | {
        "answer": told.answer,
        "notes": told.notes,
        "lines": told.records,
    }
    return json.dumps(values | more, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(told: Told) -> str:
    """A page: what was compared, the answer, the tables, and the notes."""
    parts = [f"# {_safe(told.title)}", _bullets([f"{k}: {v}" for k, v in told.sides.items()])]
    parts += [_safe(" ".join(told.answer)), *map(markdown, told.tables), _bullets(told.notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_safe(sentence)}" for sentence in sentences)


def _safe(text: str) -> str:
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return flat.replace("*", "\\*").replace("_", "\\_").replace("[", "\\[").replace("`", "\\`")

"""Statements to be checked against a run, as data: a CSV file with a row per claim.

`results/reference/lecture.csv` holds the lecture's; `--claims FILE` takes anybody's. A file is
checked against its rules before anything is measured.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from bench.analysis.claims.claim import Claim
from bench.analysis.claims.evidence import check_evidence
from bench.analysis.claims.judge import CONDITIONS
from bench.analysis.claims.rules import RULES
from bench.errors import Refused
from bench.records.files import csv_text, read_text, write_atomic
from bench.units import finite_number

LARGEST_FILE = 1_000_000
"""Bytes: a file of claims is written by hand."""

KEPT = "claims.csv"
"""A run folder's copy of the claims that it was given, so that its report needs nothing else."""

_COLUMNS = tuple(field.name for field in fields(Claim))
_REQUIRED = ("id", "claim", "rule")

_FOLDERS = (Path(__file__).parents[3] / "results" / "reference", Path(__file__).parent)
"""Where the project's own claims are: in the repository, or as installed."""


def lecture_claims() -> tuple[Claim, ...]:
    """The lecture's statements, in its order."""
    return _own("lecture.csv")


def series_claims() -> tuple[Claim, ...]:
    """What the other notebooks of the lecture's series state."""
    return _own("series.csv")


def _own(name: str) -> tuple[Claim, ...]:
    return read_claims(next(p for folder in _FOLDERS if (p := folder / name).is_file()))


def read_claims(path: Path) -> tuple[Claim, ...]:
    """The claims of a CSV file, in its order.

    Raises:
        Refused: the file cannot be read or a row cannot be judged; one sentence says where and
            how to fix it.
    """
    text = read_text(path, LARGEST_FILE, f"--claims {path}")
    try:
        rows = list(_rows(text))
    except csv.Error as error:
        raise Refused(f"--claims {path} is not a CSV file ({error}).") from error
    except Refused as error:
        raise Refused(f"--claims {path}: {error}.") from error
    claims = []
    for number, row in rows:
        try:
            claims.append(_claim(row))
            _check(claims[-1])
            if claims[-1].id in {claim.id for claim in claims[:-1]}:
                raise Refused(f"the id {claims[-1].id!r} is taken by an earlier row; change it")
        except Refused as error:
            raise Refused(f"--claims {path}, line {number}: {error}.") from error
    if not claims:
        raise Refused(f"--claims {path} has no claims; write a row for each below the header.")
    return tuple(claims)


def keep_claims(path: Path, folder: Path) -> None:
    """Copy a file of claims into a run folder.

    Raises:
        Refused: they are not claims; the folder stays as it was.
        BenchError: the folder cannot be written to.
    """
    read_claims(path)
    write_atomic(folder / KEPT, path.read_bytes())


def write_claims(claims: Iterable[Claim], folder: Path) -> None:
    """Write claims into a folder, as the file that `keep_claims` would copy."""
    rows = ([_cell(getattr(claim, name)) for name in _COLUMNS] for claim in claims)
    write_atomic(folder / KEPT, csv_text(_COLUMNS, rows))


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    return "" if value is None else str(value)


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of the line that each row ends on, and its cells by column."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(reader, [])
    for name in _REQUIRED:
        if name not in header:
            raise Refused(f"it has no column {name!r}; its first line must name the columns")
    for name in header:
        if name not in _COLUMNS:
            raise Refused(f"unknown column {name!r}; there are {', '.join(_COLUMNS)}")
        if header.count(name) > 1:
            raise Refused(f"it has the column {name!r} twice; leave one out")
    for cells in filter(None, reader):
        if len(cells) != len(header):
            raise Refused(
                f"line {reader.line_num} has {len(cells)} cells and the header {len(header)}; "
                "put text with commas in quotes"
            )
        yield reader.line_num, {n: c.strip() for n, c in zip(header, cells, strict=True)}


def _claim(row: dict[str, str]) -> Claim:
    for name in _REQUIRED:
        if not row[name]:
            raise Refused(f"{name} is empty; fill it in")
    return Claim(
        id=row["id"],
        claim=row["claim"],
        rule=row["rule"],
        quoted=_number(row, "quoted"),
        unit=row.get("unit", ""),
        metric=tuple(row.get("metric", "").split()),
        models=tuple(row.get("models", "").split()),
        at=_whole(row, "at"),
        threshold=_number(row, "threshold"),
        tolerance=_number(row, "tolerance") or 0.0,
        needs=tuple(row.get("needs", "").split()),
        device=row.get("device", ""),
        source=row.get("source", ""),
        card=row.get("card", "").lower(),
        evidence=tuple(row.get("evidence", "").split()),
    )


def _check(claim: Claim) -> None:
    form = RULES.get(claim.rule)
    if form is None:
        raise Refused(f"unknown rule {claim.rule!r}; there are {', '.join(RULES)}")
    if form.models is not None and len(claim.models) != form.models:
        raise Refused(f"rule {claim.rule} needs models: {form.models}, not {len(claim.models)}")
    if len(claim.metric) != form.metrics:
        raise Refused(f"rule {claim.rule} needs metric: {form.metrics}, not {len(claim.metric)}")
    for name in claim.metric:
        if name not in form.among:
            few = f"; it takes {', '.join(form.among)}" if len(form.among) < 9 else ""
            raise Refused(f"rule {claim.rule} does not take the metric {name!r}{few}")
    for name in ("threshold", "at"):
        if getattr(form, name) and getattr(claim, name) is None:
            raise Refused(f"rule {claim.rule} needs a number in the column {name!r}")
    for name in claim.needs:
        if name not in CONDITIONS:
            raise Refused(f"unknown condition {name!r} in needs; there are {', '.join(CONDITIONS)}")
    if form.card and not claim.card:
        raise Refused(f"rule {claim.rule} needs a card in the column 'card'")
    check_evidence(claim)
    if claim.tolerance < 0:
        raise Refused("tolerance is below 0; give its size")


def _number(row: dict[str, str], name: str) -> float | None:
    text = row.get(name, "")
    value = finite_number(text)
    if text and value is None:
        raise Refused(f"{name} {text!r} is not a number; write it like 0.75 or 1118")
    return value


def _whole(row: dict[str, str], name: str) -> int | None:
    value = _number(row, name)
    if value is not None and (value < 1 or not value.is_integer()):
        raise Refused(f"{name} {row[name]!r} is not a whole number above 0; count from 1")
    return None if value is None else int(value)

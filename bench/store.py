"""The run folder: an append-only log, and files derived from it that are replaced atomically."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from bench.errors import BenchError, Refused
from bench.records import SCHEMA, Record, RunStarted, decode, encode

LOG = "events.jsonl"


class RunFolder:
    """A run folder open for writing. Raises Refused if `path` cannot hold a new run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        check_output(path)
        path.mkdir(parents=True, exist_ok=True)
        self._log: BinaryIO = (path / LOG).open("xb")

    def append(self, record: Record) -> None:
        """Write one record to the log, and have it on disk before returning."""
        try:
            self._log.write(encode(record) + b"\n")
            self._log.flush()
            os.fsync(self._log.fileno())
        except OSError as error:
            raise BenchError(f"cannot write to {self.path / LOG}: {error.strerror}.") from error

    def write_json(self, name: str, values: dict[str, Any]) -> None:
        """Replace a JSON file of the folder."""
        write_atomic(self.path / name, json.dumps(values, indent=2, default=str) + "\n")

    def close(self) -> None:
        """Close the log; it cannot be appended to any more."""
        self._log.close()


def check_output(path: Path) -> None:
    """Raises Refused unless `path` is, or can become, an empty folder that can be written to."""
    try:
        if path.exists() and not path.is_dir():
            raise Refused(f"--output {path} is a file; name a new folder.")
        if path.is_dir() and any(path.iterdir()):
            raise Refused(f"--output {path} is not empty; name a new folder.")
        parent = next(p for p in (path, *path.absolute().parents) if p.exists())
        usable = parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
    except OSError as error:
        raise Refused(f"--output {path} cannot be used: {error.strerror}.") from error
    if not usable:
        raise Refused(f"--output {path} cannot be written to; name a folder that can.")


def new_folder(what: str) -> Path:
    """A folder below `results` that does not exist yet, named by the time and what it is for."""
    stem = f"results/{datetime.now().astimezone():%Y%m%d-%H%M%S}-{what}"
    numbered = (Path(stem if n == 0 else f"{stem}-{n}") for n in range(1000))
    return next(path for path in numbered if not path.exists())


def write_atomic(path: Path, data: str | bytes) -> None:
    """Replace `path` by `data` in one go: a reader sees the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blob = data.encode() if isinstance(data, str) else data
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(blob)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError):
            raise BenchError(f"cannot write {path}: {error.strerror}.") from error
        raise


def read_log(path: Path) -> Iterator[Record]:
    """The records of a run folder's log, in order.

    A last line without its newline was torn by a crash and is left out. Raises Refused if there is
    no log, if it is of another schema, or if a whole line is damaged (naming its number).
    """
    log = path / LOG
    if not log.is_file():
        raise Refused(f"{path} is not a run folder: it has no {LOG}.")
    with log.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                record = decode(line)
            except Refused as error:
                raise Refused(f"{log}, line {number}: {error}") from error
            if isinstance(record, RunStarted) and record.schema != SCHEMA:
                raise Refused(
                    f"{log} has schema {record.schema}; this archbench reads schema {SCHEMA}."
                )
            yield record

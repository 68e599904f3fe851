"""The run folder and its append-only log, from which every other file is derived.

A line of the log is one record as JSON. Its first value is a checksum of the rest:
`{"crc":"1c291ca3","event":...}`, the CRC-32 of the line without that value and without its newline.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.errors import BenchError, Refused
from bench.records.files import locked, remove_unfinished, write_atomic
from bench.records.records import SCHEMA, FinalTest, Record, RunStarted, decode, encode

LOG = "events.jsonl"


class RunFolder:
    """A run folder open for writing, locked against other processes.

    Args:
        path: the folder: new or empty, or with `resume` that of an earlier run, whose log loses a
            last line that a crash left incomplete.

    Raises:
        Refused: it cannot be used; the message says why.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self.path = path
        self._broken = False
        self._tested: set[str] | None = None
        if not resume:
            check_output(path)
        elif not (path / LOG).is_file():
            raise Refused(f"--resume {path} is not a run folder: it has no {LOG}.")
        try:
            self._lock = locked(path)
            if resume:
                os.truncate(path / LOG, (path / LOG).read_bytes().rfind(b"\n") + 1)
                remove_unfinished(path)
            # Unbuffered: a write that a full disk refused must not be retried later by chance.
            self._log = (path / LOG).open("ab" if resume else "xb", buffering=0)
        except OSError as error:
            raise Refused(f"{path} cannot be written to: {error.strerror}.") from error

    def append(self, record: Record) -> None:
        """Write one record to the log; it is on disk when this returns.

        Raises:
            Refused: it is a second final test of a trial.
            BenchError: it cannot be written. Nothing more is then written, because it would
                follow an incomplete line.
        """
        if isinstance(record, FinalTest):
            self._check_untested(record.trial)
        line = line_of(record)
        try:
            if self._broken:
                raise OSError(None, "an earlier record could not be written")
            self._broken = True
            if self._log.write(line) != len(line):
                raise OSError(None, "No space left on device")
            os.fsync(self._log.fileno())
            self._broken = False
        except OSError as error:
            raise BenchError(
                f"cannot write to {self.path / LOG}: {error.strerror}; its records stay "
                "readable, and --resume continues from there."
            ) from error

    def _check_untested(self, trial: str) -> None:
        """Raises Refused if the log, whoever wrote it, has a final test of a trial."""
        if self._tested is None:
            self._tested = {r.trial for r in read_log(self.path) if isinstance(r, FinalTest)}
        if trial in self._tested:
            raise Refused(
                f"{self.path} has a final test of {trial} already: the test images are evaluated "
                "once per trial; start a new run to train it anew."
            )
        self._tested.add(trial)

    def write_json(self, name: str, values: dict[str, Any]) -> None:
        """Replace a JSON file of the folder."""
        write_atomic(self.path / name, json.dumps(values, indent=2, default=str) + "\n")

    def close(self) -> None:
        """Close the log and release the folder."""
        with contextlib.suppress(OSError):
            self._log.close()
        self._lock.release()


def line_of(record: Record) -> bytes:
    """A record as a line of the log."""
    body = encode(record)
    return b'{"crc":"%08x",' % zlib.crc32(body) + body[1:] + b"\n"


def record_of(line: bytes, *, checked: bool = True) -> Record:
    """The record of a line without its newline; Refused if it was changed after it was written.

    Lines of schema 1 have no checksum and are accepted if `checked` is False.
    """
    if not line.startswith(b'{"crc":"'):
        if checked:
            raise Refused("it has no checksum, so it was not written by archbench as it stands.")
        return decode(line)
    checksum, body = line[8:16], b"{" + line[18:]
    if b"%08x" % zlib.crc32(body) != checksum:
        raise Refused("its checksum is wrong: it was changed or damaged after it was written.")
    return decode(body)


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
    """A folder below `results` that does not exist yet, named by the time and by `what`."""
    stem = f"results/{datetime.now().astimezone():%Y%m%d-%H%M%S}-{what}"
    numbered = (Path(stem if n == 0 else f"{stem}-{n}") for n in range(1000))
    return next(path for path in numbered if not path.exists())


def read_log(path: Path) -> Iterator[Record]:
    """The records of a run folder's log, in order.

    A last line without its newline was cut short by a crash and is left out. Raises Refused if
    there is no log, if its schema is unknown, or if a complete line is damaged (with its number).
    """
    log = path / LOG
    if not log.is_file():
        raise Refused(f"{path} is not a run folder: it has no {LOG}.")
    try:
        with log.open("rb") as lines:
            yield from records_in(lines, str(log))
    except OSError as error:
        raise Refused(f"{log} cannot be read: {error.strerror}.") from error


def records_in(lines: Iterable[bytes], log: str) -> Iterator[Record]:
    """The records of the lines of a log, which messages call `log`; raises Refused as `read_log`
    does."""
    checked = False
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            return
        try:
            record = record_of(line[:-1], checked=checked)
        except Refused as error:
            raise Refused(f"{log}, line {number}: {error}") from error
        if isinstance(record, RunStarted):
            checked = _known(record.schema, log) >= 2
        yield record


def _known(schema: int, log: str) -> int:
    if not 1 <= schema <= SCHEMA:
        raise Refused(f"{log} has schema {schema}; this archbench reads schemas up to {SCHEMA}.")
    return schema

"""Files that are replaced atomically, and text files that somebody else wrote."""

import contextlib
import csv
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from filelock import BaseFileLock, FileLock, Timeout

from bench.errors import BenchError, Refused

LOCK = ".lock"
_UNFINISHED = ".unfinished"


def write_atomic(path: Path, data: str | bytes) -> None:
    """Replace `path` by `data` in one step: a reader sees the whole old file or the whole new one.

    Raises:
        BenchError: it cannot be written; the old file is unchanged.
    """
    with atomic_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def locked(folder: Path) -> BaseFileLock:
    """A lock on `folder`, which is made if need be; the operating system releases it however the
    process ends.

    Raises:
        Refused: another process holds it, or the file system has no locks.
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Refused(f"{folder} is in use by another archbench; wait for it to end.") from None
    except NotImplementedError as error:
        raise Refused(
            f"{folder} is on a file system without locks; name another folder."
        ) from error
    return lock


def csv_text(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """The text of a CSV file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which replaces `path` at the end unless an error was raised.

    Raises:
        BenchError: it cannot be written; the old file is unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(_UNFINISHED, f".{path.name}.", path.parent)
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror}.") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # some file systems, such as those of WSL, refuse that
            os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError):
            raise BenchError(f"cannot write {path}: {error.strerror}.") from error
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove files that a killed process was writing, in `folder` and the folders in it."""
    for pattern in (f".*{_UNFINISHED}", f"*/.*{_UNFINISHED}"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def read_text(path: Path, largest: int, name: str) -> str:
    """The text of a CSV file that somebody else wrote.

    Args:
        path: the file.
        largest: the most bytes that are read.
        name: what messages call the file.

    Raises:
        Refused: it is not a file, cannot be read, is larger or is not UTF-8.
    """
    try:
        if not path.is_file():
            raise Refused(f"{name} is not a file; name a CSV file.")
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Refused(f"{name} cannot be read: {reason}.") from error
    if len(data) > largest:
        raise Refused(f"{name} is above {largest:,} bytes; remove what is not a row.")
    try:
        # Spreadsheets put a byte order mark before UTF-8.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"{name} is not UTF-8; save it as `CSV UTF-8`.") from error

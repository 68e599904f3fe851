"""Prepared images that are kept from run to run, named after what they were made from.

An entry is a folder with the arrays of `bench.data.prepare`, two for each part, and the data set's
facts, whose SHA-256 is of the arrays. Runs link to the arrays, or copy them, and so keep them even
if the entry is removed. What was used longest ago makes room.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import time, time_ns
from typing import TypeVar

import msgspec
import numpy as np
import platformdirs

from bench.records.files import write_atomic
from bench.records.records import DatasetFacts
from bench.units import parse_bytes

T = TypeVar("T")

FOLDER = "ARCHBENCH_CACHE"
"""The environment variable for where downloads and prepared images are kept."""

SIZE = "ARCHBENCH_CACHE_SIZE"
"""The environment variable for what prepared images may take; 0 keeps none."""

DEFAULT_SIZE = "5GB"
UNFINISHED_SECONDS = 3600
"""After this time, an entry that is still unfinished belongs to a process that was killed."""

FRESH_NS = 2 * 10**9
"""A file that changed so recently may change again without another time of change: the coarsest
file systems count in steps of two seconds."""


def cache_folder() -> Path:
    """Where downloads and prepared images are kept."""
    return Path(os.environ.get(FOLDER) or platformdirs.user_cache_dir("archbench"))


def open_cache() -> "Cache":
    """The cache of this user; Refused if its size is none."""
    size = os.environ.get(SIZE) or DEFAULT_SIZE
    return Cache(cache_folder() / "prepared", 0 if size == "0" else parse_bytes(size, SIZE))


def arrays_of(facts: DatasetFacts) -> tuple[str, ...]:
    """The files of a prepared data set's images and labels, part by part."""
    return tuple(f"{part}_{what}.npy" for part in facts.parts for what in ("images", "labels"))


def content_sha256(folder: Path, arrays: Sequence[str]) -> str:
    """The SHA-256 of the arrays in a folder, one after another.

    Raises:
        OSError, ValueError: they cannot be read.
    """
    sha256 = hashlib.sha256()
    for name in arrays:
        array = np.load(folder / name, mmap_mode="r", allow_pickle=False)
        sha256.update(np.ascontiguousarray(array).data)
    return sha256.hexdigest()


class Cache:
    """Entries in a folder, which together take at most `most_bytes`.

    A cache never makes a run fail: what cannot be read is prepared again, and what cannot be
    written is not kept.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes

    def open(self, key: str, into: Path) -> DatasetFacts | None:
        """Put an entry's arrays into a folder, and return its facts; None if there is no such
        entry, or no room for it. A damaged one is removed."""
        entry = self.folder / key
        if not entry.is_dir():
            return None
        arrays: tuple[str, ...] = ()
        damaged = True
        try:
            facts = _read_facts(entry)
            arrays = arrays_of(facts)
            damaged = not all((entry / name).is_file() for name in arrays)
            for name in arrays:
                _link(entry / name, into / name)
            damaged = True
            # Reading what will be used anyway; in this folder, nobody else can change it.
            if content_sha256(into, arrays) == facts.sha256 and _fits(into, facts):
                with contextlib.suppress(OSError):  # of a cache that can only be read
                    os.utime(entry)
                return facts
        except (OSError, ValueError, EOFError, msgspec.MsgspecError):
            pass
        for name in arrays:
            (into / name).unlink(missing_ok=True)
        if damaged:
            _remove(entry)
        return None

    def keep(self, key: str, folder: Path, facts: DatasetFacts) -> None:
        """Make an entry of the arrays in a folder."""
        arrays = arrays_of(facts)
        size = sum((folder / name).stat().st_size for name in arrays)
        if size > self.most_bytes:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            new = Path(tempfile.mkdtemp(dir=self.folder, prefix=".", suffix=".unfinished"))
            try:
                for name in arrays:
                    _link(folder / name, new / name)
                (new / "facts.json").write_bytes(_checked(msgspec.json.encode(facts)))
                os.rename(new, self.folder / key)
            except OSError:  # no room, or another process was faster
                shutil.rmtree(new, ignore_errors=True)
            self._make_room()

    def recall(self, kind: str, files: Sequence[Path], compute: Callable[[], T]) -> T:
        """What was computed from the content of files, as JSON can hold it; computed again once any
        of them has another size or time of change."""
        try:
            name, newest = _fingerprint(kind, files)
        except OSError:  # whoever reads them has the better message
            return compute()
        note = self.folder / "seen" / f"{name}.json"
        with contextlib.suppress(OSError, ValueError):
            return msgspec.json.decode(_unchecked(note.read_bytes()))  # type: ignore[no-any-return]
        value = compute()
        if self.most_bytes and newest < time_ns() - FRESH_NS:
            with contextlib.suppress(OSError):
                note.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(note, _checked(msgspec.json.encode(value)))
        return value

    def entries(self) -> list[Path]:
        """The entries, those used longest ago first."""
        with contextlib.suppress(OSError):
            found = [path for path in self.folder.iterdir() if (path / "facts.json").is_file()]
            return sorted(found, key=lambda path: path.stat().st_mtime)
        return []

    def size_bytes(self) -> int:
        """What the entries take."""
        return sum(map(_size, self.entries()))

    def empty(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_room(self) -> None:
        for path in self.folder.glob(".*.unfinished"):
            if path.stat().st_mtime < time() - UNFINISHED_SECONDS:
                _remove(path)
        entries = self.entries()
        excess = sum(map(_size, entries)) - self.most_bytes
        for entry in entries[:-1]:
            if excess <= 0:
                break
            excess -= _size(entry)
            _remove(entry)


def _fingerprint(kind: str, files: Sequence[Path]) -> tuple[str, int]:
    """What changes when a file changes, and when the last of them did (in nanoseconds)."""
    fingerprint, newest = hashlib.sha256(kind.encode()), 0
    for path in files:
        stat = path.stat()
        newest = max(newest, stat.st_mtime_ns)
        facts = (str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        fingerprint.update(repr(facts).encode())
    return fingerprint.hexdigest(), newest


def _read_facts(entry: Path) -> DatasetFacts:
    return msgspec.json.decode(_unchecked((entry / "facts.json").read_bytes()), type=DatasetFacts)


def _checked(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def _unchecked(data: bytes) -> bytes:
    """What `_checked` was given; ValueError if it has changed."""
    content = data.partition(b"\n")[2]
    if _checked(content) != data:
        raise ValueError("a damaged file")
    return content


def _fits(folder: Path, facts: DatasetFacts) -> bool:
    side = facts.stored_size
    for part, count in facts.parts.items():
        images, labels = (
            np.load(folder / f"{part}_{what}.npy", mmap_mode="r", allow_pickle=False)
            for what in ("images", "labels")
        )
        if (images.shape, images.dtype) != ((count, side, side, 3), np.uint8):
            return False
        if (labels.shape, labels.dtype) != ((count,), np.int64):
            return False
    return True


def _link(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where that cannot be (another disk)."""
    if not source.exists():
        raise FileNotFoundError(source)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _size(entry: Path) -> int:
    with contextlib.suppress(OSError):
        return sum(path.stat().st_size for path in entry.iterdir())
    return 0


def _remove(entry: Path) -> None:
    """At once for other processes, which then see all of it or nothing."""
    gone = entry.with_name(f".{entry.name}.{os.getpid()}.unfinished")
    with contextlib.suppress(OSError):
        os.rename(entry, gone)
    shutil.rmtree(gone, ignore_errors=True)

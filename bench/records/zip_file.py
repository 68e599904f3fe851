"""Zip files: written so that equal contents make equal bytes, and read as if an enemy had sent
them. Nothing is ever unpacked, so that a name in one cannot become a path."""

import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath

from bench.errors import Refused
from bench.records.files import write_atomic

MIB = 2**20

LARGEST_ZIP = 256 * MIB
"""Bytes of a zip file: a run folder with all its pictures has a few."""

MOST_FILES = 10_000
"""Files in it."""

LARGEST_RATIO = 200
"""Unpacked over packed size: logs come to 20, and deflate, on nothing but zeros, to 1,000."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_END = struct.Struct("<4s4H2LH")
_DIRECTORY_ENTRY = 46 + 512
"""Bytes of a file in the directory of a zip file, with a long name."""


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Replace `path` by a zip of these files, under one folder named like it; raises BenchError if
    it cannot be written."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(f"{path.stem}/{name}", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    write_atomic(path, buffer.getvalue())


class ZipReader:
    """The files of a zip that somebody sent."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._files = {info.filename: info for info in archive.infolist() if not info.is_dir()}

    @property
    def names(self) -> list[str]:
        """The names of its files."""
        return list(self._files)

    def lines(self, name: str, largest: int) -> Iterator[bytes]:
        """The lines of a file, one at a time; Refused above so many bytes."""
        if self._files[name].file_size > largest:
            raise Refused(f"{name[-60:]} is above {largest // MIB} MiB.")
        # It never gives more than the size above.
        with _refusing(), self._archive.open(self._files[name]) as file:
            yield from file

    def read(self, name: str, largest: int) -> bytes:
        """A file; Refused above so many bytes."""
        return b"".join(self.lines(name, largest))


@contextmanager
def open_zip(path: Path) -> Iterator[ZipReader]:
    """A zip file to read from.

    Raises:
        Refused: it is none, it is damaged, or it is made to do harm: too many files, more than can
            be packed, links, names that lead out of it; a sentence says which.
    """
    with _refusing():
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                _check_entry(info)
            if len(set(archive.namelist())) < len(archive.namelist()):
                raise Refused("it has a name twice.")
            yield ZipReader(archive)


@contextmanager
def _refusing() -> Iterator[None]:
    """Raise Refused where a zip file cannot be read, or a file in it."""
    try:
        yield
    except OSError as error:
        raise Refused(f"it cannot be read: {error.strerror or error}.") from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, ValueError) as error:
        raise Refused(f"it is no zip file, or a damaged one ({error}).") from error
    except (NotImplementedError, RuntimeError) as error:
        raise Refused(f"it is packed in a way that is not read ({error}).") from error
    except Exception as error:
        if type(error).__module__ != "zlib":
            raise
        raise Refused(f"it is damaged ({error}).") from error


def _check_directory(path: Path) -> None:
    """Refuse a directory that would take a lot of memory to read; `zipfile` reads all of it."""
    size = path.stat().st_size
    if size > LARGEST_ZIP:
        raise Refused(f"it is above {LARGEST_ZIP // MIB} MiB.")
    with path.open("rb") as file:
        file.seek(max(0, size - _END.size - 2**16))
        tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) - place < _END.size:
        raise Refused("it is no zip file, or its end is missing.")
    _, _, _, _, files, directory, _, _ = _END.unpack_from(tail, place)
    if tail[max(0, place - 20) :].startswith(b"PK\6\7") or files > MOST_FILES:
        raise Refused(f"it has more than {MOST_FILES:,} files.")
    if directory > MOST_FILES * _DIRECTORY_ENTRY:
        raise Refused("its directory is larger than that of any run.")


def _check_entry(info: zipfile.ZipInfo) -> None:
    name, mode = PurePosixPath(info.filename.replace("\\", "/")), info.external_attr >> 16
    if name.is_absolute() or ".." in name.parts or (name.parts[:1] and ":" in name.parts[0]):
        raise Refused(f"it has a file {info.filename[:60]!r}, a name that leads out of it.")
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or not stat.S_IFMT(mode)):
        raise Refused(f"{info.filename[:60]!r} in it is a link or no plain file.")
    if info.flag_bits & 1:
        raise Refused("it is encrypted.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused("it is packed in a way that is not read; use plain zip.")
    if info.file_size > MIB and info.file_size > LARGEST_RATIO * info.compress_size:
        raise Refused(
            f"{info.filename[:60]!r} in it unpacks to more than {LARGEST_RATIO} times its size."
        )

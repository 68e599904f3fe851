"""CIFAR in whatever form people have it: the Python or the binary version, packed or unpacked, or
the parquet files of hubs.

Nothing is believed but hashes, and nothing is executed or written: archives are read member by
member, by known names, and of a pickle only its opcodes are looked at.
"""

import contextlib
import hashlib
import io
import pickletools
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.download import RemoteFile, sha256_of
from bench.data.published import PIXEL_BYTES, SIDE, Batch, Published
from bench.errors import Refused

Records = NDArray[np.uint8]
"""Images as (count, labels + 3072) bytes: labels, then the planes of red, green and blue."""

_Read = Callable[[Published, tuple[Path, ...]], dict[str, Records]]


@dataclass(frozen=True)
class Found:
    """Files that should hold a data set, not read yet."""

    files: tuple[Path, ...]
    _read: _Read

    def read(self, published: Published) -> dict[str, Records]:
        """The records of every batch by its name.

        Raises:
            Refused: the files cannot be read, or are not the data set as it was published.
        """
        try:
            return self._read(published, self.files)
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise Refused(f"{self.files[0]} cannot be read ({error}); replace it.") from error


def find(published: Published, root: Path) -> Found | None:
    """The first form in which a folder, or one named after the data set within it, has it; what may
    not be read is not there."""
    for place in (root, root / published.name):
        with contextlib.suppress(OSError):
            for files, read in _forms(published, place):
                if files and all(path.is_file() for path in files):
                    return Found(files, read)
    return None


def _forms(published: Published, place: Path) -> Iterator[tuple[tuple[Path, ...], _Read]]:
    names = [batch.name for batch in published.batches]
    for folder in (place / published.folder, place):
        yield tuple(folder / name for name in names), _python_batches
    yield (place / published.archive.name,), _python_archive
    for folder in (place / published.binary_folder, place):
        yield tuple(folder / f"{name}.bin" for name in names), _binary_batches
    yield (place / published.binary_archive.name,), _binary_archive
    for folder in (place, place / "plain_text", place / published.name):
        parts = [sorted(folder.glob(f"{part}-*.parquet")) for part in ("train", "test")]
        if all(parts):
            yield tuple(parts[0] + parts[1]), _parquet


def _python_batches(published: Published, files: tuple[Path, ...]) -> dict[str, Records]:
    return _from_python(published, _contents(published, files), files[0].parent)


def _python_archive(published: Published, files: tuple[Path, ...]) -> dict[str, Records]:
    members = _members(published, files[0], published.archive, published.folder, "")
    return _from_python(published, members, files[0])


def _binary_batches(published: Published, files: tuple[Path, ...]) -> dict[str, Records]:
    return _from_binary(published, _contents(published, files), files[0].parent)


def _binary_archive(published: Published, files: tuple[Path, ...]) -> dict[str, Records]:
    archive, folder = published.binary_archive, published.binary_folder
    return _from_binary(published, _members(published, files[0], archive, folder, ".bin"), files[0])


def _contents(published: Published, files: Sequence[Path]) -> dict[str, bytes]:
    largest, contents = _most_bytes(published), {}
    for batch, path in zip(published.batches, files, strict=True):
        with path.open("rb") as file:
            contents[batch.name] = file.read(largest)
    return contents


def _members(
    published: Published, path: Path, archive: RemoteFile, folder: str, suffix: str
) -> dict[str, bytes]:
    """The batches in an archive; Refused before it is opened if it is another one."""
    if sha256_of(path) != archive.sha256:
        raise _other(published, path)
    wanted = {f"{folder}/{batch.name}{suffix}": batch.name for batch in published.batches}
    largest, contents = _most_bytes(published), {}
    with tarfile.open(path, "r|gz") as tar:
        for member in tar:
            name = wanted.get(member.name)
            content = tar.extractfile(member) if name and member.isfile() else None
            if name and content:
                contents[name] = content.read(largest)
    return contents


def _most_bytes(published: Published) -> int:
    """More than any batch file has: in a pickle, an image also has a name."""
    return max(batch.images for batch in published.batches) * (published.record_bytes + 512) + 4096


def _from_binary(
    published: Published, contents: Mapping[str, bytes], where: Path
) -> dict[str, Records]:
    records = {}
    for batch in published.batches:
        content = contents.get(batch.name, b"")
        if hashlib.sha256(content).hexdigest() != batch.sha256:
            raise _other(published, where)
        records[batch.name] = _as_records(content, published)
    return records


def _from_python(
    published: Published, contents: Mapping[str, bytes], where: Path
) -> dict[str, Records]:
    records = {}
    for batch in published.batches:
        content = contents.get(batch.name, b"")
        try:
            read = unpacked(content, published.labels)
        except ValueError:
            raise _other(published, where) from None
        if not _is_published(batch, content, read):
            raise _other(published, where)
        records[batch.name] = read
    return records


def _is_published(batch: Batch, content: bytes, records: Records) -> bool:
    # An MD5 sum is what the authors' own files are known by; nobody's safety depends on it.
    known = hashlib.md5(content, usedforsecurity=False).hexdigest() == batch.md5
    return known or hashlib.sha256(records.tobytes()).hexdigest() == batch.sha256


def unpacked(pickle: bytes, labels: Sequence[str]) -> Records:
    """The records in a batch of the Python version, a pickled dictionary of lists of labels and an
    array. Its opcodes are listed, none is executed.

    Raises:
        ValueError: it is not such a batch.
    """
    columns: dict[str, list[int]] = {name: [] for name in labels}
    key, pixels, by_column = "", "", False
    for opcode, value, _ in pickletools.genops(pickle):
        if isinstance(value, str):
            key = value
            pixels = max(pixels, value, key=len)
        elif isinstance(value, int) and opcode.name == "BININT1" and key in columns:
            columns[key].append(value)
        elif opcode.name in ("NEWTRUE", "NEWFALSE") and len(pixels) < PIXEL_BYTES:
            # The array's state has its order before its bytes.
            by_column = opcode.name == "NEWTRUE"
    count = len(columns[labels[-1]])
    if not count:
        raise ValueError("no labels")
    planes = np.frombuffer(pixels.encode("latin-1"), np.uint8)
    planes = planes.reshape((count, PIXEL_BYTES), order="F" if by_column else "C")
    return np.column_stack([np.asarray(columns[name], np.uint8) for name in labels] + [planes])


def _parquet(published: Published, files: tuple[Path, ...]) -> dict[str, Records]:
    """Records in the order of the files, whose batches may come in any order."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise Refused(
            f"{files[0]} needs pyarrow to be read: pip install pyarrow, or get "
            f"{published.archive.name} instead."
        ) from None
    by_hash = {batch.sha256: batch.name for batch in published.batches}
    found: dict[str, Records] = {}
    try:
        for part, batches in (("train", published.train), ("test", published.test)):
            paths = [path for path in files if path.name.startswith(part)]
            rows = (row for path in paths for row in _rows(parquet.ParquetFile(path), published))
            for batch in batches:
                content = b"".join(islice(rows, batch.images))
                name = by_hash.get(hashlib.sha256(content).hexdigest())
                if name is None:
                    raise _other(published, files[0].parent)
                found[name] = _as_records(content, published)
            if next(rows, None) is not None:
                raise _other(published, files[0].parent)
    except (ArrowException, KeyError, TypeError, ValueError) as error:
        raise Refused(f"{files[0]} cannot be read ({error}); replace it.") from error
    if len(found) < len(by_hash):
        raise _other(published, files[0].parent)
    return found


def _rows(file: Any, published: Published) -> Iterator[bytes]:
    """The records of a `ParquetFile`; its images are PNG files."""
    columns = [name.removesuffix("s") for name in published.labels]
    for chunk in file.iter_batches(1024, columns=["img", *columns]):
        for row in chunk.to_pylist():
            planes = _png(row["img"]["bytes"]).transpose(2, 0, 1)
            yield bytes(row[name] for name in columns) + planes.tobytes()


def _png(data: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.size != (SIDE, SIDE):
                raise ValueError(f"an image is not {SIDE}×{SIDE}")
            return np.asarray(image.convert("RGB"))
    except (SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"an image cannot be decoded: {error}") from error


def _as_records(content: bytes, published: Published) -> Records:
    return np.frombuffer(content, np.uint8).reshape(-1, published.record_bytes)


def _other(published: Published, path: Path) -> Refused:
    return Refused(
        f"{path} is not {published.name} as it was published (its hash is another); remove or "
        "replace it."
    )

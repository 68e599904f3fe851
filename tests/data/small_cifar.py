"""A data set like CIFAR of a few images, in every form in which people have the real one."""

import hashlib
import io
import struct
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.data.cifar_files import Records
from bench.data.download import RemoteFile
from bench.data.published import PIXEL_BYTES, PUBLISHED, Batch, Published

COUNTS = {"data_batch_1": 6, "data_batch_2": 6, "test_batch": 4}


def make_records(name: str, count: int, labels: int = 1) -> Records:
    rng = np.random.default_rng(list(name.encode()))
    records = rng.integers(0, 256, (count, labels + PIXEL_BYTES), dtype=np.uint8)
    records[:, :labels] = rng.integers(0, 10, (count, labels))
    return records


RECORDS = {name: make_records(name, count) for name, count in COUNTS.items()}


def pickled(
    records: Records, labels: tuple[str, ...] = ("labels",), by_column: bool = False
) -> bytes:
    """A batch as Python 2 pickled it, memo and all."""

    def text(value: str | bytes) -> bytes:
        data = value.encode() if isinstance(value, str) else value
        short = len(data) < 256
        head = b"U" + bytes([len(data)]) if short else b"T" + struct.pack("<i", len(data))
        return head + data + b"q\x01"

    def integer(value: int) -> bytes:
        return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)

    count = len(records)
    parts = [b"\x80\x02}q\x01(", text("batch_label"), text("training batch 1 of 5")]
    for column, name in enumerate(labels):
        values = b"".join(integer(int(value)) for value in records[:, column])
        parts += [text(name), b"]q\x05(", values, b"e"]
    planes = records[:, len(labels) :].tobytes("F" if by_column else "C")
    parts += [
        text("data"),
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09",
        b"(K\x01" + integer(count) + integer(PIXEL_BYTES) + b"\x86",
        b"cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xff",
        b"J\xff\xff\xff\xffK\x00tb" + (b"\x88" if by_column else b"\x89") + text(planes) + b"tb",
        text("filenames") + b"](" + b"".join(text(f"a_{i}.png") for i in range(count)) + b"eu.",
    ]
    return b"".join(parts)


def tar_gz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


PYTHON = {name: pickled(records) for name, records in RECORDS.items()}
BINARY = {f"{name}.bin": records.tobytes() for name, records in RECORDS.items()}
PYTHON_ARCHIVE = tar_gz(
    {"cifar-10-batches-py/readme.html": b"hello"}
    | {f"cifar-10-batches-py/{name}": data for name, data in reversed(PYTHON.items())}
)
BINARY_ARCHIVE = tar_gz({f"cifar-10-batches-bin/{name}": data for name, data in BINARY.items()})


def remote(name: str, content: bytes, *urls: str) -> RemoteFile:
    return RemoteFile(name, len(content), hashlib.sha256(content).hexdigest(), urls)


def small_cifar10(*urls: str) -> Published:
    """CIFAR-10 with other images."""
    batches = {
        name: Batch(
            name,
            len(records),
            hashlib.sha256(records.tobytes()).hexdigest(),
            hashlib.md5(PYTHON[name]).hexdigest(),
        )
        for name, records in RECORDS.items()
    }
    return replace(
        PUBLISHED["cifar10"],
        train=(batches["data_batch_1"], batches["data_batch_2"]),
        test=(batches["test_batch"],),
        archive=remote("cifar-10-python.tar.gz", PYTHON_ARCHIVE, *urls),
        binary_archive=remote("cifar-10-binary.tar.gz", BINARY_ARCHIVE),
    )


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def png(record: Any) -> bytes:
    """The image of a record."""
    buffer = io.BytesIO()
    Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(folder: Path, order: tuple[str, ...] = ("data_batch_2", "data_batch_1")) -> None:
    """As hubs hold it: the batches in the order of the archive."""
    import pyarrow
    from pyarrow import parquet

    folder.mkdir(parents=True)
    for part, batches in (("train", order), ("test", ("test_batch",))):
        records = np.concatenate([RECORDS[name] for name in batches])
        columns = {
            "img": [{"bytes": png(record), "path": None} for record in records],
            "label": records[:, 0].tolist(),
        }
        parquet.write_table(
            pyarrow.table(columns), folder / f"{part}-00000-of-00001.parquet", row_group_size=5
        )


FORMS: dict[str, Callable[[Path], None]] = {
    "python folder": lambda root: write_files(root / "cifar-10-batches-py", PYTHON),
    "python files": lambda root: write_files(root, PYTHON),
    "python archive": lambda root: write_files(root, {"cifar-10-python.tar.gz": PYTHON_ARCHIVE}),
    "binary folder": lambda root: write_files(root / "cifar-10-batches-bin", BINARY),
    "binary files": lambda root: write_files(root, BINARY),
    "binary archive": lambda root: write_files(root, {"cifar-10-binary.tar.gz": BINARY_ARCHIVE}),
    "parquet": lambda root: write_parquet(root / "cifar10" / "plain_text"),
    "parquet files": lambda root: write_parquet(root / "plain_text"),
}

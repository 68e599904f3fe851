import importlib.util
import pickle
import pickletools
import struct
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.cifar_files import find, unpacked
from bench.data.published import PUBLISHED
from bench.errors import Refused
from tests.data.small_cifar import (
    BINARY,
    FORMS,
    PYTHON,
    PYTHON_ARCHIVE,
    RECORDS,
    make_records,
    pickled,
    remote,
    small_cifar10,
    tar_gz,
    write_files,
    write_parquet,
)

SMALL = small_cifar10()
OTHER = "is not cifar10 as it was published"


def has_pyarrow() -> bool:
    try:
        import pyarrow
    except ImportError:
        return False
    return bool(pyarrow)


needs_pyarrow = pytest.mark.skipif(not has_pyarrow(), reason="pyarrow is not installed")


def read(root: Path) -> dict[str, np.ndarray]:
    found = find(SMALL, root)
    assert found is not None
    return found.read(SMALL)


@pytest.mark.parametrize(
    "form",
    [pytest.param(f, marks=needs_pyarrow if "parquet" in f else ()) for f in FORMS],
)
def test_every_form_has_the_same_images(form: str, tmp_path: Path) -> None:
    FORMS[form](tmp_path)
    records = read(tmp_path)
    assert {name: r.tobytes() for name, r in records.items()} == {
        name: r.tobytes() for name, r in RECORDS.items()
    }


@pytest.mark.parametrize("form", ["python folder", "python archive", "binary folder"])
def test_in_a_folder_named_after_the_data_set(form: str, tmp_path: Path) -> None:
    FORMS[form](tmp_path / "cifar10")
    assert len(read(tmp_path)) == 3


def test_nothing_is_there(tmp_path: Path) -> None:
    write_files(tmp_path, {"data_batch_1": b"", "data.tar.gz": b""})
    assert find(SMALL, tmp_path) is None
    assert find(SMALL, tmp_path / "missing") is None


class TestSomethingElse:
    @pytest.mark.parametrize("folder", ["cifar-10-batches-py", "cifar-10-batches-bin"])
    @pytest.mark.parametrize(
        "change", [lambda b: b[:-9] + b"x" * 9, lambda b: b[:99], lambda b: b""]
    )
    def test_a_batch_that_was_changed(self, folder: str, change, tmp_path: Path) -> None:
        files = PYTHON if folder.endswith("py") else BINARY
        name = list(files)[1]
        content = change(files[name]) if folder.endswith("bin") else change(files[name][:12_000])
        write_files(tmp_path / folder, files | {name: content})
        with pytest.raises(Refused, match=rf"{folder} {OTHER}"):
            read(tmp_path)

    def test_a_swap_of_two_labels(self, tmp_path: Path) -> None:
        records = RECORDS["test_batch"].copy()
        records[:2, 0] = 3, 4
        write_files(tmp_path / "cifar-10-batches-py", PYTHON | {"test_batch": pickled(records)})
        with pytest.raises(Refused, match=OTHER):
            read(tmp_path)

    def test_an_archive_that_was_changed_is_not_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tarfile.open", lambda *a, **k: pytest.fail("it was opened"))
        damaged = bytearray(PYTHON_ARCHIVE)
        damaged[1000] ^= 1
        write_files(tmp_path, {"cifar-10-python.tar.gz": bytes(damaged)})
        with pytest.raises(Refused, match=rf"cifar-10-python.tar.gz {OTHER}"):
            read(tmp_path)

    def test_the_same_content_pickled_another_way_is_accepted(self, tmp_path: Path) -> None:
        files = {name: pickled(records, by_column=True) for name, records in RECORDS.items()}
        assert files["test_batch"] != PYTHON["test_batch"]
        write_files(tmp_path / "cifar-10-batches-py", files)
        assert len(read(tmp_path)) == 3


class TestPickles:
    def test_opcodes_are_read(self) -> None:
        assert np.array_equal(unpacked(PYTHON["test_batch"], ["labels"]), RECORDS["test_batch"])

    @pytest.mark.parametrize("by_column", [False, True])
    def test_as_a_pickle_is_loaded(self, by_column: bool) -> None:
        """The fixture is a pickle that means what the reader reads in it."""
        records = make_records("train", 300, labels=2)
        data = pickled(records, ("coarse_labels", "fine_labels"), by_column)
        loaded = pickle.loads(data, encoding="latin1")
        assert np.array_equal(loaded["data"], records[:, 2:])
        assert loaded["fine_labels"] == records[:, 1].tolist()
        assert np.array_equal(unpacked(data, PUBLISHED["cifar100"].labels), records)

    def test_nothing_is_executed(self, tmp_path: Path) -> None:
        ran = tmp_path / "ran"
        attack = b"\x80\x02cos\nsystem\nU" + bytes([6 + len(str(ran))]) + f"touch {ran}".encode()
        attack += b"\x85R."
        assert "REDUCE" in [opcode.name for opcode, _, _ in pickletools.genops(attack)]
        with pytest.raises(ValueError, match=r"."):
            unpacked(attack, ["labels"])
        assert not ran.exists()

    @given(st.binary(max_size=300))
    def test_any_bytes_are_refused(self, data: bytes) -> None:
        with pytest.raises(ValueError, match=r"."):
            unpacked(data, ["labels"])

    @given(st.integers(0, 25_000))
    def test_any_cut_is_refused(self, end: int) -> None:
        data = PYTHON["data_batch_1"]
        with pytest.raises(ValueError, match=r"."):
            unpacked(data[: min(end, len(data) - 1)], ["labels"])


class TestArchives:
    def archive(self, members: dict[str, bytes], root: Path) -> None:
        content = tar_gz(members)
        write_files(root, {"cifar-10-python.tar.gz": content})
        self.published = replace(SMALL, archive=remote("cifar-10-python.tar.gz", content))

    def test_only_known_names_are_read_and_nothing_is_written(self, tmp_path: Path) -> None:
        members = {f"cifar-10-batches-py/{name}": data for name, data in PYTHON.items()}
        self.archive({"../outside": b"x", "/etc/passwd": b"x"} | members, tmp_path / "in")
        found = find(self.published, tmp_path / "in")
        assert found is not None
        assert len(found.read(self.published)) == 3
        assert [path.name for path in tmp_path.rglob("*")] == ["in", "cifar-10-python.tar.gz"]

    def test_a_missing_member(self, tmp_path: Path) -> None:
        self.archive({"cifar-10-batches-py/data_batch_1": PYTHON["data_batch_1"]}, tmp_path)
        found = find(self.published, tmp_path)
        assert found is not None
        with pytest.raises(Refused, match=OTHER):
            found.read(self.published)


class TestParquet:
    @needs_pyarrow
    def test_images_in_another_order_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(RECORDS, "data_batch_1", RECORDS["data_batch_1"][::-1])
        write_parquet(tmp_path / "plain_text")
        with pytest.raises(Refused, match=OTHER):
            read(tmp_path)

    @needs_pyarrow
    @pytest.mark.parametrize("order", [("data_batch_1",), ("data_batch_1", "data_batch_1")])
    def test_a_batch_is_missing(self, order: tuple[str, ...], tmp_path: Path) -> None:
        write_parquet(tmp_path / "plain_text", order)
        with pytest.raises(Refused, match=OTHER):
            read(tmp_path)

    @needs_pyarrow
    def test_an_image_of_a_hundred_thousand_pixels_a_side_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def chunk(kind: bytes, data: bytes) -> bytes:
            ends = struct.pack(">I", len(data)), struct.pack(">I", zlib.crc32(kind + data))
            return ends[0] + kind + data + ends[1]

        head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"")
        monkeypatch.setattr("tests.data.small_cifar.png", lambda record: bomb)
        write_parquet(tmp_path / "plain_text")
        with pytest.raises(Refused, match=r"parquet cannot be read \(an image cannot be decoded"):
            read(tmp_path)

    @needs_pyarrow
    def test_files_that_are_no_parquet(self, tmp_path: Path) -> None:
        write_files(tmp_path, {"train-0.parquet": b"PAR1", "test-0.parquet": b"PAR1"})
        with pytest.raises(Refused, match=r"train-0\.parquet cannot be read"):
            read(tmp_path)

    def test_without_pyarrow_one_sentence_says_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        write_files(tmp_path, {"train-0.parquet": b"", "test-0.parquet": b""})
        with pytest.raises(Refused, match=r"needs pyarrow to be read: pip install pyarrow, or get"):
            read(tmp_path)


def test_what_was_published() -> None:
    ten, hundred = PUBLISHED["cifar10"], PUBLISHED["cifar100"]
    for published in (ten, hundred):
        assert sum(batch.images for batch in published.train) == 50_000
        assert sum(batch.images for batch in published.test) == 10_000
        assert all(url.startswith("https://") for url in published.archive.urls)
        hashes = [b.sha256 for b in published.batches] + [published.archive.sha256]
        assert {len(h) for h in hashes} == {64}
        assert len(set(hashes)) == len(hashes)
    assert (len(ten.classes), len(hundred.classes)) == (10, 100)
    assert list(hundred.classes) == sorted(hundred.classes)
    assert (ten.record_bytes, hundred.record_bytes) == (3073, 3074)


def test_files_are_those_that_torchvision_knows() -> None:
    """From its source, because its import takes seconds."""
    spec = importlib.util.find_spec("torchvision")
    assert spec is not None
    (folder,) = spec.submodule_search_locations or ()
    source = Path(folder, "datasets", "cifar.py").read_text()
    for published in PUBLISHED.values():
        archive = published.archive
        known = [f'["{batch.name}", "{batch.md5}"]' for batch in published.batches]
        known += [f'"{name}"' for name in (archive.name, archive.urls[0], published.folder)]
        assert [text for text in known if text not in source] == []

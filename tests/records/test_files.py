import os
import stat
from pathlib import Path

import pytest

from bench.errors import BenchError, Refused
from bench.records.files import read_text, write_atomic


def test_write_atomic_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_atomic(path, "old\n")
    write_atomic(path, "neu: äöü\n")
    assert path.read_bytes() == b"neu: \xc3\xa4\xc3\xb6\xc3\xbc\n"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_what_write_atomic_wrote_can_be_read_by_others(tmp_path: Path) -> None:
    write_atomic(tmp_path / "table.csv", b"x")
    assert stat.S_IMODE((tmp_path / "table.csv").stat().st_mode) == 0o644


def test_a_file_system_that_refuses_permissions_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    write_atomic(tmp_path / "table.csv", "x\n")
    assert (tmp_path / "table.csv").read_bytes() == b"x\n"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_write_atomic_keeps_the_old_file_if_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "table.csv"
    write_atomic(path, "old\n")

    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else BenchError):
        write_atomic(path, "new\n")
    assert path.read_text() == "old\n"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_text_of_a_spreadsheet_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfx,y\n")
    assert read_text(tmp_path / "a.csv", 100, "--claims a.csv") == "x,y\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "--claims a.csv is not a file"),
        (b"x" * 101, "--claims a.csv is above 100 bytes"),
        (b"\xff\xfe", "--claims a.csv is not UTF-8"),
    ],
)
def test_text_that_cannot_be_read(data: bytes | None, message: str, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(Refused, match=message):
        read_text(tmp_path / "a.csv", 100, "--claims a.csv")

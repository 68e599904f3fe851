"""Zip files that somebody sent: what is read, and what is refused before it costs anything."""

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import Refused
from bench.records.zip_file import MOST_FILES, open_zip, write_zip

FILES = {"a.txt": b"one\ntwo\n" * 50, "b/c.txt": bytes(range(256))}


def made(change: Callable[[zipfile.ZipFile], None], **options: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        archive.writestr("fine.txt", "fine")
        change(archive)
    return buffer.getvalue()


def entry(name: str, data: bytes = b"x", **attributes: int) -> Callable[[zipfile.ZipFile], None]:
    def change(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        for attribute, value in attributes.items():
            setattr(info, attribute, value)
        archive.writestr(info, data)

    return change


def reason(data: bytes, tmp_path: Path) -> str:
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with pytest.raises(Refused) as refused:
        read_all(path)
    return str(refused.value)


def read_all(path: Path) -> list[bytes]:
    with open_zip(path) as archive:
        return [archive.read(name, 10**7) for name in archive.names]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", FILES)
    with open_zip(tmp_path / "x.zip") as archive:
        assert {name: archive.read(f"x/{name}", 10_000) for name in FILES} == FILES
        assert list(archive.lines("x/a.txt", 10_000))[:2] == [b"one\n", b"two\n"]
        with pytest.raises(Refused, match="above"):
            archive.read("x/a.txt", 10)


def test_equal_files_make_equal_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_zip(tmp_path / folder / "x.zip", FILES)
    assert (tmp_path / "a/x.zip").read_bytes() == (tmp_path / "b/x.zip").read_bytes()


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "..\\x", "C:\\x", "c:/x"])
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    assert "leads out" in reason(made(entry(name)), tmp_path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(kind: int, tmp_path: Path) -> None:
    data = made(entry("log", b"/etc/passwd", external_attr=(kind | 0o777) << 16))
    assert "no plain file" in reason(data, tmp_path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    assert "200 times" in reason(made(entry("x", bytes(50_000_000))), tmp_path)


def test_a_size_that_lies_gives_no_more_than_it_says(tmp_path: Path) -> None:
    data = made(entry("x", bytes(3_000_000)))
    assert data.count(struct.pack("<L", 3_000_000)) == 2
    assert reason(data.replace(struct.pack("<L", 3_000_000), struct.pack("<L", 100)), tmp_path)


def test_too_many_files_are_refused_by_their_number_alone(tmp_path: Path) -> None:
    data = bytearray(made(lambda archive: None))
    place = data.rfind(b"PK\5\6")
    data[place + 8 : place + 12] = struct.pack("<HH", MOST_FILES + 1, MOST_FILES + 1)
    assert "files" in reason(bytes(data), tmp_path)
    data[place + 8 : place + 12] = struct.pack("<HH", 1, 1)
    data[place + 12 : place + 16] = struct.pack("<L", 2**31)
    assert "directory" in reason(bytes(data), tmp_path)


def test_the_directory_of_a_64_bit_zip_is_not_read(tmp_path: Path) -> None:
    data = made(lambda archive: None)
    place = data.rfind(b"PK\5\6")
    locator = b"PK\6\7" + bytes(16)
    assert "files" in reason(data[:place] + locator + data[place:], tmp_path)


def test_what_is_packed_otherwise_is_refused(tmp_path: Path) -> None:
    for how in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        assert "plain zip" in reason(made(entry("x", compress_type=how)), tmp_path)
    locked = bytearray(made(lambda archive: None))
    locked[locked.rfind(b"PK\1\2") + 8] |= 1
    assert "encrypted" in reason(bytes(locked), tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    assert "twice" in reason(made(entry("fine.txt")), tmp_path)


@given(st.binary(max_size=300))
def test_bytes_are_no_zip_file(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    assert reason(data, tmp_path_factory.mktemp("bytes"))


@given(st.integers(0, 10_000), st.integers(0, 255), st.booleans())
def test_damage_is_noticed_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, cut: bool
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x.zip"
    write_zip(path, FILES)
    data = bytearray(path.read_bytes())
    place %= len(data)
    if cut:
        del data[place:]
    else:
        data[place] = byte
    path.write_bytes(data)
    try:
        read = read_all(path)
    except Refused:
        return
    assert set(read) <= set(FILES.values())

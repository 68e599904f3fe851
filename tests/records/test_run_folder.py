import contextlib
import json
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import BenchError, Refused
from bench.records.files import atomic_file
from bench.records.records import FinalTest, RunEnded, RunStarted
from bench.records.run_folder import LOG, RunFolder, check_output, read_log
from tests.builders import some_records, write_log

ENDED = RunEnded(0, 1.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_log(tmp_path / "run", some_records())


def break_line(folder: Path, number: int, damage: bytes) -> None:
    """Replace one line of the log, counted from 1."""
    lines = (folder / LOG).read_bytes().split(b"\n")
    lines[number - 1] = damage
    (folder / LOG).write_bytes(b"\n".join(lines))


def test_a_log_is_read_as_it_was_written(folder: Path) -> None:
    assert list(read_log(folder)) == some_records()


def test_a_log_is_one_line_of_json_for_each_record(folder: Path) -> None:
    lines = (folder / LOG).read_text().splitlines()
    assert len(lines) == len(some_records())
    assert json.loads(lines[0])["event"] == "RunStarted"


def test_a_record_is_on_disk_before_the_log_is_closed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.append(ENDED)
    assert list(read_log(tmp_path / "run")) == [ENDED]
    folder.close()


def test_folders_are_made_as_needed(tmp_path: Path) -> None:
    write_log(tmp_path / "a" / "b" / "c", [ENDED])
    assert (tmp_path / "a" / "b" / "c" / LOG).is_file()


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    write_log(tmp_path, [ENDED])
    assert list(read_log(tmp_path)) == [ENDED]


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_torn_last_line_is_left_out(folder: Path, cut: int) -> None:
    log = folder / LOG
    log.write_bytes(log.read_bytes()[:-cut])
    assert list(read_log(folder)) == some_records()[:-1]


def test_a_log_torn_in_its_first_line_holds_nothing(folder: Path) -> None:
    (folder / LOG).write_bytes((folder / LOG).read_bytes()[:10])
    assert list(read_log(folder)) == []


@pytest.mark.parametrize("damage", [b"{}", b"", b'{"event": "RunEnded"', b"\xff\x00"])
def test_a_damaged_line_is_refused_by_its_number(folder: Path, damage: bytes) -> None:
    break_line(folder, 5, damage)
    with pytest.raises(Refused, match=r"events\.jsonl, line 5: it has no checksum"):
        list(read_log(folder))


def test_a_damaged_last_line_is_refused_if_it_is_whole(folder: Path) -> None:
    last = len(some_records())
    break_line(folder, last, b"{}")
    with pytest.raises(Refused, match=f"line {last}:"):
        list(read_log(folder))


def test_another_schema_is_refused(tmp_path: Path) -> None:
    write_log(tmp_path, [RunStarted(4, "2030-01-01T00:00:00+00:00", "", {}, {})])
    with pytest.raises(Refused, match=r"has schema 4; this archbench reads schemas up to 3\."):
        list(read_log(tmp_path))


def test_a_folder_without_a_log_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"is not a run folder: it has no events\.jsonl\."):
        list(read_log(tmp_path))


def test_an_output_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(Refused, match="is not empty; name a new folder"):
        RunFolder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(Refused, match="is a file; name a new folder"):
        check_output(file)


def test_an_output_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be written to; name a folder that can"):
        check_output(tmp_path / "file" / "run")


def test_an_output_with_an_impossible_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--output"):
        check_output(tmp_path / ("x" * 300))


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0,
    reason="root may write everywhere, and Windows has no such mode",
)
def test_an_output_in_a_folder_of_others_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(Refused, match="cannot be written to"):
        check_output(tmp_path / "run")


def test_a_file_system_without_locks_is_refused(tmp_path: Path, without_locks: None) -> None:
    with pytest.raises(Refused, match="run is on a file system without locks; name another"):
        RunFolder(tmp_path / "run")


def test_checking_an_output_makes_nothing(tmp_path: Path) -> None:
    check_output(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.close()
    folder._log = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    with pytest.raises(BenchError, match=r"cannot write to .*events\.jsonl: No space left"):
        folder.append(ENDED)
    folder.close()


def test_a_trial_is_tested_once(tmp_path: Path) -> None:
    """Also after it was resumed; what is refused is not written, and the log goes on."""
    [a, b] = [FinalTest(name, 1.0, 0.5, 100, 2.0) for name in ("a", "b")]
    folder = RunFolder(tmp_path / "run")
    folder.append(a)
    for resume in (False, True):
        if resume:
            folder.close()
            folder = RunFolder(tmp_path / "run", resume=True)
        before = (tmp_path / "run" / LOG).read_bytes()
        with pytest.raises(Refused, match="has a final test of a already: the test images are"):
            folder.append(replace(a, accuracy=0.9))
        assert (tmp_path / "run" / LOG).read_bytes() == before
    folder.append(b)
    with pytest.raises(Refused, match="final test of b"):
        folder.append(b)
    folder.close()
    assert list(read_log(tmp_path / "run")) == [a, b]


def test_write_json_can_be_read_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_json("config.json", {"epochs": 2, "output": tmp_path})
    folder.close()
    read = json.loads((tmp_path / "run" / "config.json").read_text())
    assert read == {"epochs": 2, "output": str(tmp_path)}


def test_a_file_that_was_being_written_when_it_was_killed_is_removed(folder: Path) -> None:
    (folder / "plots").mkdir()
    with contextlib.suppress(KeyError), atomic_file(folder / "plots" / "a.png") as file:
        file.write(b"half")
        file.flush()
        (left,) = (folder / "plots").iterdir()
        copy = shutil.copy(left, f"{left.with_suffix('')}x{left.suffix}")
        raise KeyError
    assert list((folder / "plots").iterdir()) == [Path(copy)]
    RunFolder(folder, resume=True).close()
    assert not list((folder / "plots").iterdir())

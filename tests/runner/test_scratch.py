import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from bench.errors import Refused
from bench.runner import scratch
from bench.runner.scratch import OWNER, PREFIX, remove_orphans, scratch_folder

OWNED = """
import sys, time
from bench.runner.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "train_images.npy").write_bytes(bytes(1000))
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that no other run uses."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_it_is_removed_at_the_end(temporary: Path) -> None:
    with scratch_folder() as folder:
        (folder / "images.npy").write_bytes(b"x")
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o077 == 0
    assert list(temporary.iterdir()) == []


def test_it_is_removed_after_an_error(temporary: Path) -> None:
    with pytest.raises(ValueError, match="oh"), scratch_folder():
        raise ValueError("oh")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(37, "No locks available"), NotImplementedError("flock")])
def test_a_file_system_without_locks_is_refused(
    temporary: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lock:
        def __init__(self, path: Path, timeout: int) -> None: ...

        def acquire(self) -> None:
            raise error

    monkeypatch.setattr(scratch, "FileLock", Lock)
    with pytest.raises(Refused, match="set TMPDIR to one on a local disk"), scratch_folder():
        pass
    assert list(temporary.iterdir()) == []


def test_nothing_is_left_where_a_locked_file_cannot_be_removed(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where a lock is an open file."""
    remove = shutil.rmtree

    def remove_if_free(folder: Path, ignore_errors: bool) -> None:
        if (folder / OWNER).exists():
            try:
                with FileLock(folder / OWNER, timeout=0):
                    pass
            except Timeout:
                return
        remove(folder, ignore_errors=ignore_errors)

    orphan = temporary / f"{PREFIX}old"
    orphan.mkdir()
    (orphan / OWNER).touch()
    monkeypatch.setattr(scratch.shutil, "rmtree", remove_if_free)
    with scratch_folder():
        assert not orphan.exists()
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX")
def test_a_killed_run_s_folder_is_removed_by_the_next_and_a_live_one_s_is_not(
    temporary: Path,
) -> None:
    def start() -> tuple["subprocess.Popen[str]", Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", OWNED], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    killed, orphan = start()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert orphan.is_dir()
    live, owned = start()
    try:
        assert not orphan.exists()
        with scratch_folder() as folder:
            assert owned.is_dir()
            assert folder.is_dir()
        assert (owned / "train_images.npy").stat().st_size == 1000
    finally:
        live.kill()
        live.communicate()
    remove_orphans(temporary)
    assert list(temporary.iterdir()) == []


class TestOnlyOurs:
    def orphan(self, parent: Path, name: str = f"{PREFIX}old") -> Path:
        folder = parent / name
        folder.mkdir()
        (folder / OWNER).touch()
        (folder / "file").touch()
        return folder

    def test_an_orphan_goes(self, temporary: Path) -> None:
        folder = self.orphan(temporary)
        remove_orphans(temporary)
        assert not folder.exists()

    def test_a_folder_of_another_name(self, temporary: Path) -> None:
        folder = self.orphan(temporary, "something-else")
        remove_orphans(temporary)
        assert folder.exists()

    def test_a_folder_that_this_program_did_not_make(self, temporary: Path) -> None:
        folder = temporary / f"{PREFIX}notes"
        folder.mkdir()
        (folder / "important.txt").touch()
        remove_orphans(temporary)
        assert (folder / "important.txt").exists()

    def test_a_folder_of_another_user(
        self, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = self.orphan(temporary)
        monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
        remove_orphans(temporary)
        assert folder.exists()

    def test_a_link_to_a_folder(self, temporary: Path) -> None:
        folder = self.orphan(temporary, "mine")
        (temporary / f"{PREFIX}link").symlink_to(folder)
        remove_orphans(temporary)
        assert (folder / "file").exists()

    def test_a_folder_in_use(self, temporary: Path) -> None:
        folder = self.orphan(temporary)
        with FileLock(folder / OWNER):
            remove_orphans(temporary)
            assert (folder / "file").exists()


def test_a_folder_that_was_taken_before_it_was_locked_is_left_for_another(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    mkdtemp = tempfile.mkdtemp

    def interfered(prefix: str) -> str:
        made.append(Path(mkdtemp(prefix=prefix)))
        if len(made) == 1:
            locks.append(FileLock(made[0] / OWNER))
            locks[0].acquire()
        return str(made[-1])

    locks: list[FileLock] = []
    monkeypatch.setattr(scratch.tempfile, "mkdtemp", interfered)
    with scratch_folder() as folder:
        assert folder == made[1]
    locks[0].release()

"""Scratch folders: one per run, removed at its end, and by the next run if it was killed.

A folder belongs to whoever holds the lock in it, which the operating system releases however a
process ends. So a folder whose lock is free has no owner any more.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from bench.errors import Refused

PREFIX = "archbench-"
OWNER = ".archbench-owner"
MOST_TRIES = 10
"""New folders that are tried, of which others may take some before they are locked."""


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder for this process alone; those of killed processes are removed first.

    Raises:
        Refused: no folder for temporary files can be locked.
    """
    remove_orphans(Path(tempfile.gettempdir()))
    folder, lock = _locked_folder()
    try:
        yield folder
    finally:
        lock.release()  # first: Windows does not remove a file that is open
        shutil.rmtree(folder, ignore_errors=True)


def _locked_folder() -> tuple[Path, BaseFileLock]:
    for _ in range(MOST_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = FileLock(folder / OWNER, timeout=0)
        # Another process may find the folder before it is locked, and remove it as an orphan.
        try:
            lock.acquire()
            if (folder / OWNER).exists():
                return folder, lock
            lock.release()
        except Timeout:
            continue
        except (OSError, NotImplementedError):  # file systems without locks
            shutil.rmtree(folder, ignore_errors=True)
    raise Refused(
        f"no folder in {tempfile.gettempdir()} can be locked: set TMPDIR to one on a local disk."
    )


def remove_orphans(parent: Path) -> None:
    """Remove this user's scratch folders that nobody owns."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, NotImplementedError):
            if _is_ours(folder):
                with FileLock(folder / OWNER, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
                shutil.rmtree(folder, ignore_errors=True)  # Windows kept the lock: it was open


def _is_ours(folder: Path) -> bool:
    """Whether this program made it, for this user."""
    if folder.is_symlink() or (folder / OWNER).is_symlink() or not (folder / OWNER).is_file():
        return False
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()

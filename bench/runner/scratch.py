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

from filelock import FileLock, Timeout

PREFIX = "archbench-"
OWNER = ".archbench-owner"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder for this process alone; those of killed processes are removed first."""
    remove_orphans(Path(tempfile.gettempdir()))
    with contextlib.ExitStack() as stack:
        folder = _locked_folder(stack)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _locked_folder(stack: contextlib.ExitStack) -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        # Another process may find the folder before it is locked, and remove it as an orphan.
        with contextlib.suppress(OSError, Timeout):
            lock = FileLock(folder / OWNER, timeout=0)
            lock.acquire()
            stack.callback(lock.release)
            if (folder / OWNER).exists():
                return folder


def remove_orphans(parent: Path) -> None:
    """Remove this user's scratch folders that nobody owns."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, Timeout):
            if _is_ours(folder):
                with FileLock(folder / OWNER, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Whether this program made it, for this user."""
    if folder.is_symlink() or (folder / OWNER).is_symlink() or not (folder / OWNER).is_file():
        return False
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()

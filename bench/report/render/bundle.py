"""A run as one file to hand out: tables, pictures and reports in a zip, without its log."""

import os
from pathlib import Path

from bench.errors import Refused
from bench.records.zip_file import write_zip

PATTERNS = ("report.html", "report.md", "*.csv", "plots/**/*.png", "plots/**/*.svg")
"""What goes in, below the run folder. The log and the options stay: they name this machine's
folders."""


def check_bundle(path: Path) -> None:
    """Raises Refused unless `path` can become a zip file."""
    if path.suffix.lower() != ".zip":
        raise Refused(f"--lecture-bundle {path} must end in .zip.")
    if path.is_dir():
        raise Refused(f"--lecture-bundle {path} is a folder; name a file.")
    try:
        parent = next(p for p in path.absolute().parents if p.exists())
        usable = parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
    except OSError as error:
        raise Refused(f"--lecture-bundle {path} cannot be used: {error.strerror}.") from error
    if not usable:
        raise Refused(f"--lecture-bundle {path} cannot be written to; name a place that can.")


def write_bundle(folder: Path, path: Path) -> list[str]:
    """Replace `path` by a zip of a run folder's reports; returns the names in it.

    Names are relative, under one folder named like the file. Equal contents make equal bytes.

    Raises:
        BenchError: it cannot be written.
    """
    found = sorted({file for pattern in PATTERNS for file in folder.glob(pattern)})
    files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}
    write_zip(path, files)
    return [f"{path.stem}/{name}" for name in files]

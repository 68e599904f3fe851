"""A run as one file to hand out: tables, pictures and reports in a zip, without its log."""

import os
import zipfile
from io import BytesIO
from pathlib import Path

from bench.errors import Refused
from bench.records.files import write_atomic

PATTERNS = ("report.html", "report.md", "*.csv", "plots/**/*.png", "plots/**/*.svg")
"""What goes in, below the run folder. The log and the options stay: they name this machine's
folders."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


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
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for file in found:
            name = Path(path.stem, file.relative_to(folder)).as_posix()
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, file.read_bytes())
        names = bundle.namelist()
    write_atomic(path, buffer.getvalue())
    return names

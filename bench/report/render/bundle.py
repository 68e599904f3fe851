"""A run as one file: a bundle to hand out, with tables, pictures and reports; or a pack to send to
whoever collects, with its log."""

import json
import os
from pathlib import Path

from bench.analysis.tables import OPTIONAL, TABLES
from bench.errors import Refused
from bench.records.pack import MANIFEST, log_of, manifest, public_log
from bench.records.run import collect
from bench.records.run_folder import LOG
from bench.records.zip_file import write_zip

PATTERNS = ("report.html", "report.md", "*.csv", "plots/**/*.png", "plots/**/*.svg")
"""What goes in, below the run folder. The log and the options stay: they name this machine's
folders."""


def check_bundle(path: Path, flag: str = "--lecture-bundle") -> None:
    """Raises Refused unless `path` can become a zip file; `flag` is the option that names it."""
    if path.suffix.lower() != ".zip":
        raise Refused(f"{flag} {path} must end in .zip.")
    if path.is_dir():
        raise Refused(f"{flag} {path} is a folder; name a file.")
    try:
        parent = next(p for p in path.absolute().parents if p.exists())
        usable = parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
    except OSError as error:
        raise Refused(f"{flag} {path} cannot be used: {error.strerror}.") from error
    if not usable:
        raise Refused(f"{flag} {path} cannot be written to; name a place that can.")


def write_bundle(folder: Path, path: Path) -> list[str]:
    """Replace `path` by a zip of a run folder's reports; returns the names in it.

    Names are relative, under one folder named like the file. Equal contents make equal bytes.

    Raises:
        BenchError: it cannot be written.
    """
    found = sorted({file for pattern in PATTERNS for file in folder.glob(pattern)})
    # A link may lead out of the folder, to a file that nobody wants to hand out.
    own = [f for f in found if f.is_file() and f.resolve().is_relative_to(folder.resolve())]
    files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in own}
    write_zip(path, files)
    return [f"{path.stem}/{name}" for name in files]


def pack_files(folder: Path, name: str) -> dict[str, bytes]:
    """What of a run leaves this machine, by file: its log without local paths, the options and the
    tables that follow from it, and the name of its sender.

    Raises:
        Refused: it is no run folder, or its log is damaged.
    """
    log = public_log(folder)
    run = collect(Path(name), log)
    run.check_begun()
    tables = {table: make(run) for table, make in TABLES.items()}
    files = {
        MANIFEST: manifest(name),
        LOG: log_of(log),
        "config.json": json.dumps(run.started.config, indent=2, default=str).encode() + b"\n",
    }
    return files | {
        f"{table}.csv": frame.to_csv(index=False, lineterminator="\n").encode()
        for table, frame in tables.items()
        if not frame.empty or table not in OPTIONAL
    }

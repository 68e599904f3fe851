"""Runs as people send them: what is in a pack, and runs found in folders and zip files of others.

Nothing that was sent is unpacked, executed or followed out of its place; one bad file costs a row.
"""

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from bench.errors import BenchError, Refused
from bench.records import records
from bench.records.files import read_text
from bench.records.redaction import public
from bench.records.run import Run
from bench.records.run_folder import LOG, line_of, read_log, records_in
from bench.records.zip_file import MIB, ZipReader, open_zip

MANIFEST = "pack.json"
"""The file of a pack that names who sent it."""

TABLES = ("models.csv", "predictions.csv")
"""What is read where there is no log: of a lecture bundle."""

LARGEST_LOG = 64 * MIB
MOST_LINES = 100_000
"""Of a log that is read: 8,000 epochs with the times of 400 steps each are less."""

LARGEST_TABLE = 16 * MIB
MOST_DEPTH = 5
"""Folders within folders that are looked through."""

LONGEST_NAME, LONGEST_PLACE, LONGEST_REASON = 60, 150, 300


@dataclass(frozen=True, eq=False)
class Sent:
    """A run that somebody sent: where it was found, the name that the sender chose, and what could
    be read: the run of its log, or tables by their name where it has none.

    `id` is the same for every copy of a run, packed or not, whole or cut short.
    """

    where: str
    sender: str
    run: Run | None = None
    id: str = ""
    tables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """What could not be read, and why, in a sentence."""

    where: str
    reason: str

    def __post_init__(self) -> None:
        """What others wrote is shown on a terminal."""
        object.__setattr__(self, "reason", clean_name(self.reason, LONGEST_REASON))


def public_log(path: Path) -> list[records.Record]:
    """The records of a run folder as they may leave this machine; Refused if it is none."""
    return [public(record) for record in read_log(path)]


def log_of(log: Iterable[records.Record]) -> bytes:
    """Records as a log, each line with its checksum."""
    return b"".join(map(line_of, log))


def manifest(name: str) -> bytes:
    """The file that names the sender."""
    return json.dumps({"name": name}, ensure_ascii=False).encode() + b"\n"


def clean_name(text: str, longest: int = LONGEST_NAME) -> str:
    """A name as people may choose it, on one line, without what is invisible or changes the
    direction of text, at most so many characters; empty if nothing is left."""
    # Marks on a letter are sorted in quadratic time, so what is far too long is cut before.
    composed = unicodedata.normalize("NFC", text[: 10 * longest])
    shown = "".join(" " if c.isspace() else c for c in composed)
    kept = "".join(c for c in shown if not unicodedata.category(c).startswith("C"))
    return " ".join(kept.split())[:longest].strip()


def read_sent(paths: Sequence[Path]) -> Iterator[Sent | LeftOut]:
    """Every run in these run folders, zip files and folders of either, one at a time.

    Raises:
        Refused: a path is not there; nothing was read.
    """
    for path in paths:
        if not path.exists():
            raise Refused(f"{path} is not there; name run folders, packs, or folders of them.")
    for path in paths:
        yield from _found(path, clean_name(path.resolve().name, LONGEST_PLACE), 0)


def _found(path: Path, where: str, depth: int) -> Iterator[Sent | LeftOut]:
    try:
        if depth and path.is_symlink():
            yield LeftOut(where, "it is a link; name what it leads to.")
        elif (path / LOG).is_file():
            yield _attempt(where, lambda: _of_folder(path, where))
        elif path.is_dir():
            has_tables = (path / TABLES[0]).is_file()
            if has_tables:
                yield _attempt(where, lambda: _of_folder(path, where))
            yield from _within(path, where, depth, alone=has_tables)
        elif path.is_file() and path.name == TABLES[0]:
            yield _attempt(where, lambda: _of_table(path, where))
        elif path.is_file():
            yield from _of_zip(path, where)
        else:
            yield LeftOut(where, "it is neither a file nor a folder.")
    except OSError as error:
        yield LeftOut(where, f"it cannot be read: {error.strerror}.")


def _within(folder: Path, where: str, depth: int, *, alone: bool) -> Iterator[Sent | LeftOut]:
    parts = [p for p in sorted(folder.iterdir()) if p.is_dir() or p.suffix.lower() == ".zip"]
    if parts and depth == MOST_DEPTH:
        yield LeftOut(where, f"it lies {depth} folders deep; name it itself.")
        return
    if not parts and not depth and not alone:
        yield LeftOut(where, "it is no run folder, and has neither run folders nor zip files.")
    for part in parts:
        yield from _found(part, clean_name(f"{where}/{part.name}", LONGEST_PLACE), depth + 1)


def _attempt(where: str, read: Callable[[], Sent]) -> Sent | LeftOut:
    try:
        return read()
    except BenchError as error:
        return LeftOut(where, str(error))
    # A log whose checksums are right may still hold what no run writes.
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        return LeftOut(where, f"it makes no sense ({type(error).__name__}: {str(error)[:80]}).")


def _of_table(path: Path, where: str) -> Sent:
    if path.is_symlink():
        raise Refused("its table is a link.")
    tables = {path.name: read_text(path, LARGEST_TABLE, path.name)}
    return Sent(where, clean_name(path.resolve().parent.name), tables=tables)


def _of_folder(folder: Path, where: str) -> Sent:
    sent = Sent(where, clean_name(folder.resolve().name))
    log = folder / LOG
    if not log.is_file():
        paths = {name: folder / name for name in TABLES if (folder / name).is_file()}
        if any(path.is_symlink() for path in paths.values()):
            raise Refused("its table is a link.")
        return replace(sent, tables={n: read_text(p, LARGEST_TABLE, n) for n, p in paths.items()})
    if log.is_symlink():
        raise Refused("its log is a link.")
    if log.stat().st_size > LARGEST_LOG:
        raise Refused(f"its log is above {LARGEST_LOG // MIB} MiB.")

    def lines() -> Iterator[bytes]:
        with log.open("rb") as file:
            yield from file

    return _with_log(sent, lines)


def _of_zip(path: Path, where: str) -> Iterator[Sent | LeftOut]:
    try:
        with open_zip(path) as archive:
            roots = _roots(archive.names)
            if not roots:
                yield LeftOut(where, "it has no run in it: neither a log nor a models.csv.")
            for root, names in roots.items():
                alone = len(roots) == 1
                place = where if alone else clean_name(f"{where}/{root}", LONGEST_PLACE)
                name = path.stem if alone else PurePosixPath(root).name
                yield _attempt(place, partial(_of_archive, archive, names, place, name))
    except Refused as error:
        yield LeftOut(where, str(error))


def _roots(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The folders of a zip that hold a run: what of it is read, by its name there. Some programs
    write names with backslashes."""
    roots: dict[str, dict[str, str]] = {}
    for name in names:
        root, _, file = name.replace("\\", "/").rpartition("/")
        if file in (LOG, MANIFEST, *TABLES):
            roots.setdefault(root, {})[file] = name
    return {r: files for r, files in roots.items() if LOG in files or TABLES[0] in files}


def _of_archive(archive: ZipReader, names: Mapping[str, str], where: str, name: str) -> Sent:
    if MANIFEST in names:
        name = _sender(archive.read(names[MANIFEST], MIB)) or name
    sent = Sent(where, clean_name(name))
    if LOG in names:
        return _with_log(sent, lambda: archive.lines(names[LOG], LARGEST_LOG))
    tables = {n: archive.read(names[n], LARGEST_TABLE) for n in TABLES if n in names}
    try:
        return replace(sent, tables={n: data.decode("utf-8-sig") for n, data in tables.items()})
    except UnicodeDecodeError as error:
        raise Refused("its tables are not UTF-8.") from error


def _sender(data: bytes) -> str:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(f"its {MANIFEST} is not JSON.") from error
    name = values.get("name") if isinstance(values, dict) else None
    return name if isinstance(name, str) else ""


def _with_log(sent: Sent, lines: Callable[[], Iterator[bytes]]) -> Sent:
    """The run of a log, which is read twice: counting its lines takes little time, and what has too
    many takes no memory."""
    if sum(1 for _ in lines()) > MOST_LINES:
        raise Refused(f"its log has more than {MOST_LINES:,} lines.")
    run, digest, timed = Run(Path(sent.where)), hashlib.sha256(), False
    for record in records_in(lines(), "its log"):
        run.add(record)
        match record:
            # What a run began with, and the first that was timed in it: no two runs share that.
            case records.RunStarted() | records.DatasetFacts() | records.DeviceFacts():
                digest.update(line_of(public(record)))
            case records.Probe() | records.Calibrated() | records.Epoch() if not timed:
                digest.update(line_of(public(record)))
                timed = True
    run.undo_repetitions()
    run.check_begun()
    return replace(sent, run=run, id=digest.hexdigest())

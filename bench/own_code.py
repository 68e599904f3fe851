"""Code of the user's own: `FILE.py:NAME`, `package.module:NAME`, or an entry point of a package.

The parent process only names it; workers run it. Its imports are looked for as Python does where
the user works, so that a package of theirs may be called `models`, as one of ours is.
"""

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from bench.errors import BenchError, Refused, did_you_mean, first_line

MODELS, DATASETS = "archbench.models", "archbench.datasets"
"""Groups of entry points in which installed packages offer networks and data sets."""

OURS = ("bench", "models")
"""Our packages, by names that a user's own may have too."""

ROOT = Path(__file__).resolve().parents[1]

_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_PLACE = re.compile(rf"(?P<where>.+\.py|{_NAME}):(?P<name>{_NAME})")


@dataclass(frozen=True)
class Place:
    """A callable by its name in a file (`where` ends in `.py`) or in a module."""

    where: str
    name: str

    def __str__(self) -> str:
        return f"{self.where}:{self.name}"

    @property
    def file(self) -> Path | None:
        """Its file, made absolute; None for a module."""
        return Path(os.path.abspath(self.where)) if self.where.endswith(".py") else None

    @property
    def label(self) -> str:
        """What to call it: without the folder of its file."""
        return f"{self.file.name}:{self.name}" if self.file else str(self)


@dataclass(frozen=True)
class Loaded:
    """A callable of the user's own, the file that it is from, and that file's SHA-256."""

    target: Callable[..., Any]
    source: Path
    sha256: str


def parse_place(text: str) -> Place | None:
    """The place that a text names; None if it is nothing of the kind.

    Raises:
        Refused: it is a file, but does not say which name in it is meant.
    """
    match = _PLACE.fullmatch(text)
    if match is None and text.rpartition(":")[0].endswith(".py") | text.endswith(".py"):
        raise Refused(f"{text} names nothing in that file: write FILE.py:NAME.")
    return Place(**match.groupdict()) if match else None


def shown_place(text: str) -> str:
    """A text without the folder of the file that it names, if it names one."""
    match = _PLACE.fullmatch(text)
    return Place(**match.groupdict()).label if match else text


def labelled(places: Sequence[Place]) -> dict[Place, str]:
    """A short name for each place: of a file, with as many folders as tell it from the others."""
    files = {place.file for place in places if place.file}
    return {place: _label(place, files) for place in places}


def _label(place: Place, files: set[Path]) -> str:
    if place.file is None:
        return str(place)
    parts = place.file.parts
    for count in range(1, len(parts) + 1):
        if sum(file.parts[-count:] == parts[-count:] for file in files) == 1:
            break
    return f"{'/'.join(parts[-count:])}:{place.name}"


@functools.cache
def plugins(group: str) -> dict[str, dict[str, Place]]:
    """What installed packages offer in a group: by name, then by package. Nothing is imported."""
    offered: dict[str, dict[str, Place]] = {}
    for point in entry_points(group=group):
        package = point.dist.name if point.dist else "?"
        offered.setdefault(point.name, {})[package] = Place(point.module, point.attr)
    return offered


def plugin(group: str, name: str) -> Place | None:
    """The entry point of that name; None if there is none, Refused if there are several."""
    places = plugins(group).get(name, {})
    if len(places) > 1:
        raise Refused(
            f"{' and '.join(sorted(places))} both offer {name!r}: uninstall one of them, or name "
            f"the place that you mean, such as {next(iter(places.values()))}."
        )
    return next(iter(places.values()), None)


def clashes(group: str, taken: Container[str]) -> list[str]:
    """A sentence for each name that several packages offer, or that is `taken` by ours."""
    said = []
    for name, places in plugins(group).items():
        packages, place = " and ".join(sorted(places)), next(iter(places.values()))
        if name in taken:
            said.append(f"{name!r} is a name of archbench's own: name that of {packages} {place}.")
        elif len(places) > 1:
            said.append(f"{packages} both offer {name!r}: name the one you mean, such as {place}.")
    return said


def load(place: Place) -> Loaded:
    """Import what a place names, in a worker.

    Raises:
        Refused: it is not there, or importing it fails; the message says in which line.
    """
    file = place.file
    if file is not None and not file.is_file():
        raise Refused(f"there is no file {place.where}; the folder is {Path.cwd()}.")
    return _load(place, None if file is None else _sha256(file))


@functools.cache
def _load(place: Place, sha256: str | None) -> Loaded:
    with explained(place), importing(place):
        module = _module(place)
        target: Any = module
        for part in place.name.split("."):
            if not hasattr(target, part):
                raise Refused(f"{place.where} has no {place.name!r}: {_names(module, part)}")
            target = getattr(target, part)
        if not callable(target):
            raise Refused(f"{place} is {type(target).__name__}, not a function or a class.")
    source = Path(module.__file__ or "") if place.file is None else place.file
    if not source.is_file():
        raise Refused(f"{place} has no source file.")
    _folders[source.parent] = None
    return Loaded(target, source, sha256 or _sha256(source))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _names(module: ModuleType, name: str) -> str:
    """The callables of a module: those nearest to a name, or those defined there."""
    there = {n: v for n, v in vars(module).items() if callable(v) and not n.startswith("_")}
    own = [n for n, v in there.items() if getattr(v, "__module__", None) == module.__name__]
    if hint := did_you_mean(name, there):
        return hint
    return f"it has {', '.join(own[:8])}." if own else "it defines nothing that can be called."


def _module(place: Place) -> ModuleType:
    importlib.invalidate_caches()
    if place.file is not None:
        return _file_module(place.file)
    top = place.where.partition(".")[0]
    nowhere = f"there is no module {place.where!r}, neither in {Path.cwd()} nor installed."
    if top in OURS and not _find(top, _roots(place)):
        raise Refused(nowhere)
    try:
        return importlib.import_module(place.where)
    except ModuleNotFoundError as error:
        if f"{place.where}.".startswith(f"{error.name}.") and not line_of(error):
            raise Refused(nowhere) from error
        raise


class _FromSource(SourceFileLoader):
    """Reads the file itself. Bytecode that was kept of it tells versions apart by the second and by
    their length, and would be left in the user's folder."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _file_module(path: Path) -> ModuleType:
    # Registered, because dataclasses and pickle look up a class by its module; but never in place
    # of a module that others have imported under that name.
    name = path.stem if path.stem not in sys.modules else f"own_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


_folders: dict[Path, None] = {}
"""Where code of the user's own is, in the order in which it was loaded."""

_theirs: dict[tuple[str, ...], dict[str, ModuleType]] = {}
"""Modules of the user's own under our names, by the folders that they were looked for in; they are
in `sys.modules` only while their code imports."""


def _roots(place: Place) -> list[Path]:
    """The folders of which `place` may import: its file's, the current one, PYTHONPATH's."""
    paths = [Path(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    beside = [place.file.parent] if place.file else []
    return list(dict.fromkeys(Path(os.path.abspath(p)) for p in (*beside, Path.cwd(), *paths)))


def _find(name: str, roots: Iterable[Path]) -> ModuleSpec | None:
    """A module or package of the user's own by that name; None if there is none."""
    return PathFinder.find_spec(name, [str(r) for r in roots if r.resolve() != ROOT])


class _Finder:
    """Finds packages of the user's own before ours of the same name."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = roots

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return _find(name, self.roots) if name in OURS else None


@contextlib.contextmanager
def importing(place: Place) -> Iterator[None]:
    """Look for imports as Python does where the user works: in the folder of the file and in the
    current one first, and for a `models` or `bench` in there before ours of that name.

    After the block those are ours again; other folders stay on the path, at its end.
    """
    roots = _roots(place)
    _folders.update(dict.fromkeys(roots))
    shared = [name for name in OURS if _find(name, roots)]
    finder, paths, words = _Finder(roots), tuple(map(str, roots)), sys.argv
    ours = _taken(shared)
    sys.modules.update(_theirs.get(paths, {}))
    sys.meta_path.insert(0, finder)
    sys.path[:0], sys.argv = paths, [place.where]
    try:
        with _one_process():
            yield
    finally:
        sys.argv = words
        sys.meta_path.remove(finder)
        for path in filter(sys.path.__contains__, paths):
            sys.path.remove(path)
        sys.path += [path for path in paths if path not in sys.path]
        _theirs[paths] = _taken(shared)
        sys.modules.update(ours)


def _taken(tops: Sequence[str]) -> dict[str, ModuleType]:
    """Modules of these packages, taken out of `sys.modules`."""
    names = [name for name in sys.modules if name.partition(".")[0] in tops]
    return {name: sys.modules.pop(name) for name in names}


@contextlib.contextmanager
def _one_process() -> Iterator[None]:
    """End a child that code forked and let come back here: it would do the worker's job twice."""
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != process:
            os._exit(0)


@contextlib.contextmanager
def explained(place: Place, more: str = "") -> Iterator[None]:
    """Raise what code of the user's own raises as Refused, with its line in their file; `more` ends
    the sentence."""
    try:
        with _one_process():
            yield
    except BenchError:
        raise
    except (Exception, SystemExit) as error:
        where = line_of(error) or place.label
        raise Refused(f"{where}: {_said(place, error)}{more}") from error


def _said(place: Place, error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return 'it ends the program; put that under `if __name__ == "__main__":`.'
    said = f"{type(error).__name__}: {first_line(error)[:300]}".removesuffix(": ")
    if isinstance(error, ImportError) and "relative import" in str(error):
        return f"{said}: write package.module:{place.name} in place of the file."
    if "view size is not compatible" in said:
        return f"{said} That is so in channels-last memory; --no-channels-last leaves it."
    return said


def line_of(error: BaseException) -> str:
    """Where an error left code of the user's own, as `mynet.py, line 12`; empty if nowhere."""
    frames = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append((error.filename or "", error.lineno))
    named = ((_shown(Path(file)), line) for file, line in reversed(frames))
    return next((f"{name}, line {line}" for name, line in named if name), "")


def _shown(path: Path) -> str:
    """A file of the user's own from its nearest folder; empty for any other."""
    ours = any(path.is_relative_to(ROOT / name) for name in OURS)
    names = [path.relative_to(f) for f in _folders if path.is_relative_to(f) and not ours]
    return min((n.as_posix() for n in names if "site-packages" not in n.parts), key=len, default="")

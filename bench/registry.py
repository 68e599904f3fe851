"""A registry: names to entries, with wildcards, nearest names, and discovery of a package's files.

Models, data sets and optimizers are registered here, so that adding one is adding one file or one
row. Nothing is built at registration: an entry is data plus a function to call later.

    >>> colours = Registry[str]("colour")
    >>> _ = colours.add("red", "#f00"); _ = colours.add("rose", "#f08")
    >>> colours.match("r*")
    ['red', 'rose']
"""

import difflib
import fnmatch
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Generic, TypeVar

from bench.errors import Refused

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries of one kind by name. `kind` is the word that error messages use."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> T:
        """Register `entry` under `name`; raises ValueError if the name is taken."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._entries[name] = entry
        return entry

    def get(self, name: str) -> T:
        """The entry of that name; raises Refused with the nearest names if there is none."""
        if name not in self._entries:
            raise Refused(self._unknown(name))
        return self._entries[name]

    def match(self, pattern: str) -> list[str]:
        """Names that match a wildcard, in order of registration; Refused if none does.

        A variant such as `googlenet:noaux` is matched only by a pattern that has a colon itself, so
        that `'*'` means the models and not every way to train them.
        """
        names = [n for n in self if fnmatch.fnmatchcase(n, pattern)]
        names = [n for n in names if ":" in pattern or ":" not in n]
        if not names:
            raise Refused(self._unknown(pattern))
        return names

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._entries, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}" if near else f"there are {', '.join(self)}"
        return f"unknown {self.kind} {name!r}: {hint}?"


def discover(package: str) -> None:
    """Import every module of `package`, so that each can register what it holds."""
    module = importlib.import_module(package)
    for found in pkgutil.iter_modules(module.__path__):
        importlib.import_module(f"{package}.{found.name}")

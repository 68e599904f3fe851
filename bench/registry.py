"""Entries by name, with wildcards, suggestions for misspelt names, and discovery of files.

Adding a model, a data set or a device is adding one file or one row. Nothing is built at
registration: an entry is data plus a function to call later.

    >>> colours = Registry[str]("colour")
    >>> _ = colours.add("red", "#f00"); _ = colours.add("rose", "#f08")
    >>> colours.match("r*")
    ['red', 'rose']
"""

import fnmatch
import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from bench.errors import Refused, did_you_mean

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

        A variant such as `googlenet:noaux` matches only a pattern with a colon: `'*'` means the
        models, not every way to train them.
        """
        names = matching(self, pattern)
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
        base, _, variant = name.partition(":")
        if base in self._entries:
            others = [known for known in self if known.startswith(f"{base}:")]
            hint = f"there is {' and '.join(others)}" if others else "it has none"
            return f"{self.kind} {base} has no variant {variant!r}: {hint}."
        hint = did_you_mean(name, self, cutoff=0.4) or f"there are {', '.join(self)}?"
        return f"unknown {self.kind} {name!r}: {hint}"


def matching(names: Iterable[str], *patterns: str) -> list[str]:
    """The names that match at least one wildcard, on every system with the case as written."""
    return [n for n in names if any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)]


def discover(package: str) -> None:
    """Import every module of `package`, so that each can register its entries."""
    path = importlib.import_module(package).__path__
    for module in pkgutil.iter_modules(path, f"{package}."):
        importlib.import_module(module.name)

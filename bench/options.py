"""What an option may be: types with constraints, and the sentence where a value breaks them.

A class of options is a dataclass of annotated types. `msgspec.Meta` says in `title` what stands for
a value in `--help` and in `description` what it must be; `Help` says where the option is listed.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from bench.errors import Refused


class Group(StrEnum):
    """The headings of `--help`, in their order."""

    COMPARED = "What is compared"
    TRAINING = "How it is trained"
    LENGTH = "How long it takes"
    MEMORY = "Memory and cards"
    PLACE = "Where it runs"
    OUTPUT = "What is written"
    OPTIONS = "Options"


@dataclass(frozen=True)
class Help:
    """Where `--help` lists an option, and its default in words where that is no fixed value."""

    group: Group = Group.OPTIONS
    default: str | None = None


def one_of(names: Iterable[str]) -> Meta:
    """The constraint of a text that is one of some names."""
    names = tuple(names)
    pattern = rf"^({'|'.join(names)})\Z"
    return Meta(pattern=pattern, title="|".join(names), description=f"one of {', '.join(names)}")


Count = Annotated[int, Meta(ge=1, title="N", description="a whole number above 0")]
CountOrZero = Annotated[int, Meta(ge=0, title="N", description="a whole number, 0 or more")]
Seconds = Annotated[float, Meta(gt=0, title="SECONDS", description="a number above 0")]
Size = Annotated[str, Meta(title="SIZE", description="a size such as 700MiB or 2GiB")]
Folder = Annotated[Path, Meta(title="DIR")]
File = Annotated[Path, Meta(title="FILE")]


@dataclass(frozen=True)
class Option:
    """One option: its name, the type of one value, whether it takes several values or none, and
    what else its annotation says."""

    name: str
    kind: Any
    several: bool
    optional: bool
    marks: tuple[Any, ...]

    @property
    def flag(self) -> str:
        """How the command line spells it."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def help(self) -> Help:
        """Where `--help` lists it."""
        return next((mark for mark in self.marks if isinstance(mark, Help)), Help())

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off, and takes no value on the command line."""
        return _bare(self.kind) is bool

    @property
    def metavar(self) -> str:
        """What stands for one value in `--help`."""
        return self._meta("title") or "|".join(map(str, self._choices))

    def must_be(self, value: object) -> str:
        """The sentence that refuses a value."""
        allowed = self._meta("description") or f"one of {', '.join(map(str, self._choices))}"
        return f"{self.flag} {value} must be {allowed}."

    def allows(self, value: object) -> bool:
        """Whether that may be a value, or one of several."""
        try:
            msgspec.convert(value, self.kind)
        except msgspec.ValidationError:
            return False
        return True

    def normal(self, value: Any) -> Any:
        """Several values as a tuple, a path as a Path, anything else as it is."""
        if value is None:
            return None
        if self.several:
            return tuple(value) if isinstance(value, (list, tuple)) else (value,)
        return Path(value) if _bare(self.kind) is Path else value

    def check(self, value: Any) -> None:
        """Raises Refused unless a normal value is allowed."""
        if value is None and self.optional:
            return
        for part in value if self.several else (value,):
            if not self.allows(part):
                raise Refused(self.must_be(part))
        if self.several and not self.optional:
            if not value:
                raise Refused(f"{self.flag} needs at least one value.")
            if len(set(value)) < len(value):
                raise Refused(f"{self.flag} names a value twice.")

    @property
    def _choices(self) -> tuple[Any, ...]:
        kind = _bare(self.kind)
        return get_args(kind) if get_origin(kind) is Literal else (True, False)

    def _meta(self, name: str) -> str | None:
        marks = (*_marks(self.kind), *self.marks)
        return next((getattr(mark, name) for mark in marks if isinstance(mark, Meta)), None)


@functools.cache
def options_of(kind: type) -> dict[str, Option]:
    """The options that a dataclass is made of, by name."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: _option(field.name, hints[field.name]) for field in fields(kind)}


def _option(name: str, hint: Any) -> Option:
    element, several, optional = hint, False, False
    while (inner := _bare(element)) and (get_origin(inner) is tuple or NoneType in get_args(inner)):
        several |= get_origin(inner) is tuple
        optional |= NoneType in get_args(inner)
        element = get_args(inner)[0]
    return Option(name, element, several, optional, _marks(hint))


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _marks(hint: Any) -> tuple[Any, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()

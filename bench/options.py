"""What an option may be: annotated types, and the sentence where a value breaks their constraints.

A class of options is a dataclass. `msgspec.Meta` has in `title` what stands for a value in `--help`
and in `description` what it must be; `Help` says where the option is listed.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta
from tyro.conf import Positional, UseAppendAction

from bench.errors import Refused, did_you_mean


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
    """Where `--help` lists an option, and its default in words where that is no fixed value.

    `empty` if it may be given without a value, which then means none.
    """

    group: Group = Group.OPTIONS
    default: str | None = None
    empty: bool = False


def flag_of(name: str) -> str:
    """The flag of an option."""
    return f"--{name.replace('_', '-')}"


def shown(value: Any) -> str:
    """A value, or several, as on a command line."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def one_of(names: Iterable[str]) -> Meta:
    """The constraint of a text that is one of some names."""
    names = tuple(names)
    pattern = rf"^({'|'.join(names)})\Z"
    return Meta(pattern=pattern, title="|".join(names), description=f"one of {', '.join(names)}")


Count = Annotated[int, Meta(ge=1, title="N", description="a whole number above 0")]
Size = Annotated[str, Meta(title="SIZE", description="a size such as 700MiB or 2GiB")]
Duration = Annotated[str, Meta(title="DURATION", description="a time such as 50m, 2h or 1h30m")]
Folder = Annotated[Path, Meta(title="DIR")]
File = Annotated[Path, Meta(title="FILE")]


@dataclass(frozen=True)
class Option:
    """One option: its default (or `dataclasses.MISSING`), the type of one value, whether it takes
    several values (in one go) or None, what stands for a value, what it must be, its flags, others
    that mean the same, and whether it may be there more than once."""

    name: str
    default: Any
    kind: Any
    several: bool
    optional: bool
    metavar: str
    allowed: str
    help: Help
    flags: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    repeats: bool = False

    def must_be(self, value: object) -> str:
        """The sentence that refuses a value."""
        hint = did_you_mean(str(value), self.metavar.split("|"), most=2, cutoff=0.8)
        name = f"{flag_of(self.name)} {value}" if self.flags else repr(str(value))
        return f"{name} must be {self.allowed}{f': {hint}' if hint else '.'}"

    def allows(self, value: object) -> bool:
        """Whether that may be a value, or one of several."""
        try:
            msgspec.convert(value, self.kind)
        except msgspec.ValidationError:
            return False
        return True

    def checked(self, value: Any) -> Any:
        """The value, several as a tuple and a path as a Path; Refused if it is not allowed."""
        if value is None and self.optional:
            return None
        if _bare(self.kind) is Path:
            return Path(value)
        several = self.several and isinstance(value, (list, tuple))
        parts = tuple(value) if several else (value,)
        for part in parts:
            if not self.allows(part):
                raise Refused(self.must_be(part))
        if not parts and not self.help.empty:
            raise Refused(f"{flag_of(self.name)} needs at least one value.")
        if len(set(parts)) < len(parts) and not self.help.empty:
            twice = next(part for part in parts if parts.count(part) > 1)
            raise Refused(f"{flag_of(self.name)} names a value twice: {twice}.")
        return parts if self.several else value


@functools.cache
def options_of(kind: type) -> dict[str, Option]:
    """The options that a dataclass is made of, by name."""
    hints = get_type_hints(kind, include_extras=True)
    return {f.name: _option(f.name, f.default, hints[f.name]) for f in fields(kind)}


def _option(name: str, default: Any, hint: Any) -> Option:
    element, several, optional = hint, False, False
    # Down to X of Annotated[tuple[X, ...] | None, ...]; X may be annotated again.
    while (bare := _bare(element)) and (get_origin(bare) is tuple or NoneType in get_args(bare)):
        several |= get_origin(bare) is tuple
        optional |= NoneType in get_args(bare)
        element = get_args(bare)[0]
    parts = (hint,) if hint is element else (hint, element)
    marks = [mark for part in parts for mark in getattr(part, "__metadata__", ())]
    meta = next((mark for mark in marks if isinstance(mark, Meta)), Meta())
    choices = [str(choice) for choice in get_args(bare) or (True, False)]
    flags = (flag_of(name), flag_of(f"no-{name}")) if bare is bool else (flag_of(name),)
    return Option(
        name,
        default,
        element,
        several and UseAppendAction not in marks,
        optional,
        meta.title or "|".join(choices),
        meta.description or f"one of {', '.join(choices)}",
        next((mark for mark in marks if isinstance(mark, Help)), Help()),
        () if Positional in marks else flags,
        tuple(alias for mark in marks for alias in getattr(mark, "aliases", None) or ()),
        UseAppendAction in marks,
    )


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint

"""From the words of a command line to a dataclass of options, or one sentence.

tyro parses. Why it could not is found here and not asked of it: that works with every version, and
the sentence is the one that `bench.options` has for the same mistake in a script.
"""

import contextlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any, TypeVar

import tyro

from bench.cli.help import print_help
from bench.errors import Refused, did_you_mean
from bench.options import Option, flag_of, options_of

T = TypeVar("T")


def parse(kind: type[T], words: Sequence[str], prog: str) -> T:
    """The options that a command line gives; `prog` is the command as the user typed it.
    Raises Refused if a word cannot be understood, SystemExit once help was shown."""
    if not {"-h", "--help"}.isdisjoint(words):
        print_help(kind, prog)
        raise SystemExit(0)
    _check_words(kind, words)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return tyro.cli(kind, args=words, prog=prog, console_outputs=False, add_help=False)
    except SystemExit as ended:
        if not ended.code:
            raise
    raise Refused(_mistake(kind, words, prog))


def _check_words(kind: type, words: Sequence[str]) -> None:
    """Raises Refused if a word is no text, or an option is there twice, of which the first would be
    left out without a word."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            text = f"{word!r} is no text: it has bytes that are not UTF-8."
            raise Refused(text) from None
    options, seen = _flags(kind), set[str]()
    for flag, _ in _by_flag(words):
        option = options.get(flag)
        if option is None or option.repeats:
            continue
        if option.name in seen:
            how = "give its values together" if option.several else "give it once"
            raise Refused(f"{flag_of(option.name)} is there twice: {how}.")
        seen.add(option.name)


def _flags(kind: type) -> dict[str, Option]:
    options = options_of(kind).values()
    return {flag: o for o in options for flag in (*o.flags, *o.aliases)}


def nearest(word: str, known: Iterable[str], prog: str) -> str:
    """Where to look after a word that is not known: the one that was meant, if one is like it."""
    hint = did_you_mean(word, known, most=1, cutoff=0.4)
    return f": {hint} See {prog} --help." if hint else f"; see {prog} --help."


def _mistake(kind: type, words: Sequence[str], prog: str) -> str:
    """What is wrong with a command line that cannot be parsed."""
    options, flags = options_of(kind).values(), _flags(kind)
    stray: list[str] = []
    for flag, values in _by_flag(words):
        option = flags.get(flag)
        if flag and option is None:
            return f"unknown option {flag}{nearest(flag, flags, prog)}"
        if option is not None and len(option.flags) == 1:
            if not values and not option.several:
                return f"{flag} needs a value: {option.metavar}."
            own, values = (values, []) if option.several else (values[:1], values[1:])
            for value in own:
                if not any(map(option.allows, _readings(value))):
                    return option.must_be(value)
        stray += values
    places = [option for option in options if not option.flags]
    if len(stray) > len(places):
        return f"{stray[len(places)]!r} belongs to no option; see {prog} --help."
    missing = [place.metavar for place in places[len(stray) :] if place.default is MISSING]
    if missing:
        return f"{prog} needs {missing[0]}; see {prog} --help."
    return f"these options cannot be read; see {prog} --help."


def _by_flag(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Flags, each with the words that follow it; those before any flag have an empty one."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for word in words:
        if re.match("--?[a-zA-Z]", word):
            flag, equals, value = word.partition("=")
            parts.append((flag.replace("_", "-"), [value] if equals else []))
        elif word != "--":
            parts[-1][1].append(word)
    return parts


def _readings(word: str) -> Iterator[Any]:
    """What a word may mean."""
    yield word
    yield Path(word)
    for number in (int, float):
        with contextlib.suppress(ValueError):
            yield number(word)

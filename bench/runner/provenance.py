"""How a run came about, as it is kept with its results: without the local paths of its machine."""

import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from bench.options import flag_of
from bench.own_code import shown_place
from bench.records.redaction import PRIVATE_OPTIONS, redacted, without_paths

PRIVATE_FLAGS = {flag_of(name): placeholder for name, placeholder in PRIVATE_OPTIONS.items()}
"""Flags whose values are local paths or a host, and the placeholders for them."""


def shown_command(arguments: Sequence[str], places: Mapping[Path, str] | None = None) -> str:
    """A command line as it can be typed again, with local paths redacted; a notebook's kernel has
    one that says nothing."""
    program = Path(arguments[0])
    if program.name.endswith("kernel_launcher.py"):
        return "(started in a notebook)"
    words = [program.name]
    if program.name == "__main__.py":
        words = ["python", "-m", program.parent.name]
    elif program.suffix == ".py":
        words = ["python", program.name]
    for before, word in pairwise(arguments):
        flag, equals, value = word.partition("=")
        if (placeholder := _placeholder(before, word)) is not None:
            words.append(placeholder)
        elif equals and (placeholder := _placeholder(flag, value)) is not None:
            words.append(f"{flag}={placeholder}")
        else:
            shown = _without_folder(value if equals else word, places or {})
            words.append(flag + equals + shown if equals else shown)
    return shlex.join(words)


def _without_folder(word: str, places: Mapping[Path, str]) -> str:
    """A word as it is kept: of a file that it names, and of a path in it, the last part alone."""
    shown = redacted(shown_place(word), places)
    return Path(shown).name if Path(shown).is_absolute() else without_paths(shown)


def _placeholder(flag: str, value: str) -> str | None:
    """What stands for the value of a flag that names a place, which `auto` does not; `--data_dir`
    is `--data-dir`."""
    return None if value == "auto" else PRIVATE_FLAGS.get(flag.replace("_", "-"))

"""What leaves a machine says nothing of its folders, its host or its user: the one place for it."""

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bench.own_code import shown_place
from bench.records.records import Record, convert

PRIVATE_OPTIONS = {
    "data_dir": "DIR",
    "output": "DIR",
    "claims": "FILE",
    "ray_address": "HOST:PORT",
}
"""Options whose values are local paths or a host, and the placeholders for them."""

_PROSE = {"reason", "note", "notes", "because", "contradiction", "failed_because", "command"}
"""Fields of records that hold sentences, in which a library's message may name the host."""

_PART = r"[^/\\\s:'\"`,;()\[\]{}<>|]+"
_ROOT = r"(?:file:/+|~?/|[A-Za-z]:[\\/]|\\\\)"
_PATH = re.compile(
    # Between quotes, spaces are part of it.
    rf"(?<=(?<!\w)'){_ROOT}[^'\n]+(?=')|(?<=(?<!\w)\"){_ROOT}[^\"\n]+(?=\")"
    rf"|file:/+\S+|(?<![\w/.])~?(?:/{_PART})+/?|(?<!\w)[A-Za-z]:[\\/]\S+|\\\\{_PART}\\\S+"
)

_ADDRESS = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w|\.[0-9])")
"""IPv4: processes that train together name each other so when one is lost."""


def redacted(text: str, places: Mapping[Path, str]) -> str:
    """`text` with local paths replaced by the names that `places` gives them."""
    for path, name in places.items():
        text = text.replace(str(path), name)
    return text


def without_folders(value: Any) -> Any:
    """A value of an option, with files of networks and data sets by their names alone."""
    if isinstance(value, (list, tuple)):
        return [without_folders(part) for part in value]
    return shown_place(value) if isinstance(value, str) else value


def without_paths(text: str) -> str:
    """`text` with the last part alone of every path that begins at a root.

    >>> without_paths("cannot open '/home/me/a.png' (see https://example.org/a/b)")
    "cannot open 'a.png' (see https://example.org/a/b)"
    """
    try:
        home = Path.home()
    except RuntimeError:  # a user whom the system does not know, as in some containers
        home = Path()
    if len(home.parts) > 2:  # its name may have spaces; what is below it is a path like any other
        there = f"{home.anchor}HOME"
        for written in dict.fromkeys((str(home), home.as_posix(), repr(str(home))[1:-1])):
            text = re.sub(rf"{re.escape(written)}(?!\w)", lambda _: there, text)
    return _PATH.sub(lambda match: re.split(r"[/\\]", match[0].rstrip("/\\"))[-1], text)


def public_text(text: str) -> str:
    """A sentence without local paths, addresses in a network and the name of this machine."""
    return _ADDRESS.sub("ADDRESS", _without_host(without_paths(text)))


def public_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run without local paths and hosts."""
    return {
        name: PRIVATE_OPTIONS[name]
        if name in PRIVATE_OPTIONS and value not in (None, "auto")
        else without_folders(value)
        for name, value in config.items()
    }


def public(record: Record) -> Record:
    """A record without local paths and without the name of this machine."""
    values = msgspec.to_builtins(record)
    if "config" in values:
        values["config"] = public_options(values["config"])
    made: Record = convert(_public(values, ""), type(record))
    return made


def _public(value: Any, name: str) -> Any:
    match value:
        case dict():
            return {key: _public(part, str(key)) for key, part in value.items()}
        case list() | tuple():
            return [_public(part, name) for part in value]
        case str():
            return public_text(value) if name in _PROSE else without_paths(value)
    return value


def _without_host(text: str) -> str:
    host = platform.node()
    names = [re.escape(name) for name in (host, host.partition(".")[0]) if len(name) > 2]
    return re.sub(rf"(?<!\w)(?:{'|'.join(names)})(?!\w)", "HOST", text) if names else text

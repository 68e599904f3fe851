"""Sizes, times and numbers that people write."""

import math
import re

from bench.errors import Refused

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}

_DURATION = re.compile(
    r"\s*" + "".join(rf"(?:([0-9]+(?:\.[0-9]+)?)\s*{unit}\s*)?" for unit in "hms"), re.IGNORECASE
)


def parse_bytes(text: str, flag: str = "--memory-budget") -> int:
    """Bytes in a size such as `700MiB`, `2 GiB` or `1.5GB`.

    Raises:
        Refused: it is not a positive size; the message names the flag.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    if not match or match[2].upper() not in _UNITS:
        raise Refused(f"{flag} {text[:40]!r} is not a size; write one like 700MiB or 2GiB.")
    count = float(match[1]) * _UNITS[match[2].upper()]
    if not 1 <= count < 2**63:
        raise Refused(f"{flag} {text[:40]!r} is not a size that memory can have.")
    return int(count)


def parse_duration(text: str, flag: str = "--time-limit") -> float:
    """Seconds in a time such as `50m`, `2h`, `90s` or `1h30m`.

    Raises:
        Refused: it is not a time from a second to 30 years; the message names the flag.
    """
    match = _DURATION.fullmatch(text)
    parts = [float(part or 0) for part in match.groups()] if match else [0.0]
    seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if not 1 <= seconds <= 1e9:
        raise Refused(f"{flag} {text[:40]!r} is not a time; write one like 50m, 2h or 1h30m.")
    return seconds


def duration_option(seconds: float) -> str:
    """The shortest time that `parse_duration` reads as at least so many seconds, in whole minutes
    from two minutes on.

    >>> duration_option(3_901)
    '1h6m'
    """
    if seconds <= 119:
        return f"{max(1, math.ceil(seconds))}s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")


def finite_number(text: str) -> float | None:
    """The number that a text is; None if it is none, or not finite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def size_text(count: float) -> str:
    """Bytes as downloads show them.

    >>> size_text(73_400)
    '73 kB'
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.{0 if count >= 10 * scale else 1}f} {unit}"
    return f"{count:.0f} B"


def duration_text(seconds: float) -> str:
    """A time as people say it, to the minute from two minutes on.

    >>> duration_text(2_335)
    '39 minutes'
    """
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    if seconds < 7200:
        return f"{round(seconds / 60)} minutes"
    return f"{round(seconds / 3600):,} hours"


def counted(count: int | str, one: str, many: str = "") -> str:
    """A number of things, also as a table has it: `1 thread`, `2 threads`, `3 people`."""
    number = f"{count:,}" if isinstance(count, int) else count
    return f"{number} {one if number == '1' else many or f'{one}s'}"

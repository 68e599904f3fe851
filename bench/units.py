"""Sizes and numbers that people write."""

import math
import re

from bench.errors import Refused

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


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


def finite_number(text: str) -> float | None:
    """The number that a text is; None if it is none, or not finite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

"""Cards by name, the memory that torch reports for them and what they compute and move at most:
`cards.csv`, with its sources.

Figures are of Linux, mostly from messages of torch that round to 0.01 GiB; newer drivers keep up to
1.5 % more for themselves than older ones. A new card is a new row there. Anything else is a size,
such as `21.6GiB`: what tensors may take.

Peaks are of dense products; those of 16 bits sum in 32 bits, which GeForce cards do at half the
rate that is often quoted. They are empty where no source was found, and 16-bit ones where a card
has no tensor cores, because predictions were bad there. The power of the board is what its vendor
publishes as TDP or TGP, for cards with peaks.
"""

import csv
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.registry import Registry
from bench.units import parse_bytes

DEFAULT_RESERVE_BYTES = 512 * 2**20
"""What a card's memory loses to the CUDA context and to the libraries' workspaces.

A context takes 274 MiB where kernels are loaded lazily, the default since torch 1.13 (636 MiB
where they are not; pytorch pull request 86509), and cuBLAS 8.1 MiB, 32 from Hopper on (89027). The
rest is for kernels, for cuDNN's workspaces, which shrink where memory is short, and for what the
driver keeps. With torch 2.6 and CUDA 12.4, 128 to 256 MiB would do
(`tests/benchmarks/xmem_memory.py`).
"""


@dataclass(frozen=True)
class Peaks:
    """What a card computes (operations a second, by precision) and moves (bytes a second) at most;
    None where it has no such arithmetic or it is not known."""

    fp32: float
    bandwidth: float
    tf32: float | None = None
    fp16: float | None = None
    bf16: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Card:
    """A card: `memory_bytes` as torch reports it, or with `exact`, what tensors may take. `peaks`
    and `board_power_watts` are None where they are not known."""

    name: str
    label: str
    memory_bytes: int
    source: str
    exact: bool = False
    peaks: Peaks | None = None
    board_power_watts: float | None = None

    def usable_bytes(self, reserve_bytes: int = DEFAULT_RESERVE_BYTES) -> int:
        """What tensors may take: all but the reserve."""
        return self.memory_bytes if self.exact else max(0, self.memory_bytes - reserve_bytes)


def find_card(name: str) -> Card:
    """The card of that name, or one of that size.

    Raises:
        Refused: there is no such card; the nearest names are given.
    """
    if re.match(r"\s*[-+]?[0-9.]+\s*[kmgt]?i?b", name, re.IGNORECASE):
        return Card(name, name, parse_bytes(name, "--card"), "given", exact=True)
    return cards().get(name.lower())


@functools.cache
def cards() -> Registry[Card]:
    """Every card of `cards.csv`, in its order."""
    registry = Registry[Card]("card")
    with (Path(__file__).parent / "cards.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            watts = row["board_power_watts"]
            card = Card(
                name=row["name"],
                label=row["label"],
                memory_bytes=int(row["memory_bytes"]),
                source=row["source"],
                peaks=_peaks(row),
                board_power_watts=float(watts) if watts else None,
            )
            registry.add(card.name, card)
    return registry


_SAID_BESIDE = re.compile(r"NVIDIA|GPU|\d+GB|SXM\d|HBM\d\w*", re.IGNORECASE)


def card_called(name: str, memory_bytes: int) -> Card | None:
    """The card that a driver calls by this name and that has about so much memory; None if it is
    not in the table.

    >>> card_called("NVIDIA A100-SXM4-80GB", 85 * 10**9).name
    'a100-80gb'
    """

    def words(text: str) -> set[str]:
        return {w for w in re.split("[ -]", text) if w and not _SAID_BESIDE.fullmatch(w)}

    for card in map(cards().get, cards()):
        if words(card.label) == words(name) and abs(card.memory_bytes / memory_bytes - 1) < 0.1:
            return card
    return None


def _peaks(row: Mapping[str, str]) -> Peaks | None:
    if not row["fp32_tflops"] or not row["bandwidth_gb_per_second"]:
        return None
    rates = {
        name: float(row[f"{name}_tflops"]) * 1e12
        for name in ("fp32", "tf32", "fp16", "bf16")
        if row[f"{name}_tflops"]
    }
    bandwidth = float(row["bandwidth_gb_per_second"]) * 1e9
    return Peaks(**rates, bandwidth=bandwidth, source=row["peaks_source"])

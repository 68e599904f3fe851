"""Largest batches that were measured, each beside what is predicted for the memory that it had."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.analysis.collected.rows import Machine, SentRow, is_measured_limit
from bench.errors import Refused
from bench.records.pack import TABLES, Sent
from bench.units import finite_number

SHAPE = (
    *("model", "image_size", "optimizer", "precision", "channels_last", "freeze", "accumulate"),
    *("nproc_per_node", "nnodes"),
)
"""What the memory of a training step depends on, besides the batch."""

_BYTES = ("usable_bytes", "base_bytes", "bytes_per_image")

_USUAL = {"channels_last": "True", "freeze": "none"}
_USUAL |= dict.fromkeys(("accumulate", "nproc_per_node", "nnodes"), "1")
"""What a table leaves out because it is as usual."""

MOST_KEPT = 20
"""Predictions that are kept for each shape: they differ by card alone."""

Shape = tuple[str, ...]


@dataclass(frozen=True)
class Prediction:
    """Peak memory near a batch size: `base_bytes`, plus `bytes_per_image` for each image. As
    simulated for a CUDA card with `usable_bytes`, or, if `by_search`, as the search itself expected
    it on the device at hand."""

    usable_bytes: float
    base_bytes: float
    bytes_per_image: float
    by_search: bool = False

    def batch(self, memory_bytes: float) -> float:
        """The largest batch in so much memory, not rounded, at least 0."""
        return max(0.0, (memory_bytes - self.base_bytes) / self.bytes_per_image)


class Predictions:
    """The predictions that were sent along, by what they are of."""

    def __init__(self) -> None:
        self._known: dict[Shape, list[Prediction]] = {}

    def add(self, sent: Sent) -> None:
        """Take in those of a run; Refused if one of them cannot be."""
        for shape, prediction in _of_run(sent) if sent.run else _of_table(sent):
            if prediction.bytes_per_image <= 0 or prediction.usable_bytes <= 0:
                raise Refused("a prediction of it cannot be.")
            known = self._known.setdefault(shape, [])
            if prediction not in known and len(known) < MOST_KEPT:
                known.append(prediction)

    def near(self, shape: Shape, memory_bytes: float) -> Prediction | None:
        """The one for the memory that is nearest, None if there is none."""
        known = self._known.get(shape, [])
        return min(known, key=lambda p: abs(p.usable_bytes - memory_bytes), default=None)


@dataclass(frozen=True)
class Limit:
    """A largest batch that was measured in `memory_bytes`, and the one predicted for them: by the
    search itself, else for the card with the nearest memory; None where nobody sent either."""

    sender: str
    machine: Machine
    shape: Shape
    memory_bytes: float
    max_batch: int
    prediction: Prediction | None

    @property
    def predicted(self) -> float | None:
        """The largest batch that is predicted."""
        return self.prediction.batch(self.memory_bytes) if self.prediction else None

    @property
    def by_search(self) -> bool:
        """Whether its own search predicted it."""
        return self.prediction is not None and self.prediction.by_search


def limits(rows: Sequence[SentRow], predictions: Predictions) -> list[Limit]:
    """The largest batches that memory limited, by model and memory: one for each search, although
    all of a run's seeds tell of it."""
    found: dict[Limit, None] = {}
    for row in rows:
        memory, batch = row.number("memory_budget_bytes"), row.number("max_batch")
        if memory and batch and is_measured_limit(row) and not row.copy_of:
            shape = tuple(row.text(name) for name in SHAPE)
            prediction = _of_search(row, memory) or predictions.near(shape, memory)
            found[Limit(row.sender, row.machine, shape, memory, int(batch), prediction)] = None
    return sorted(found, key=lambda limit: (limit.shape, limit.memory_bytes))


def _of_search(row: SentRow, memory_bytes: float) -> Prediction | None:
    base, per_image = row.number("predicted_base_bytes"), row.number("predicted_bytes_per_image")
    if base is None or per_image is None or per_image <= 0:
        return None
    return Prediction(memory_bytes, base, per_image, by_search=True)


def _of_run(sent: Sent) -> list[tuple[Shape, Prediction]]:
    found = []
    for p in sent.run.all_predictions if sent.run else ():
        cells = {name: str(getattr(p.setting, name, "")) for name in SHAPE} | {"model": p.model}
        prediction = Prediction(p.usable_bytes, p.base_bytes, p.bytes_per_image)
        found.append((tuple(cells.values()), prediction))
    return found


def _of_table(sent: Sent) -> list[tuple[Shape, Prediction]]:
    found = []
    for cells in _cells_of(sent.tables.get(TABLES[1], "")):
        usable, base, per_image = (finite_number(cells.get(name) or "") for name in _BYTES)
        if usable is None or base is None or per_image is None:
            continue
        shape = tuple(cells.get(name) or _USUAL.get(name, "") for name in SHAPE)
        found.append((shape, Prediction(usable, base, per_image)))
    return found


def _cells_of(text: str) -> Iterator[dict[str, str]]:
    """The cells that are needed of each row: those of a million columns would fill the memory."""
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        header = enumerate(next(rows, []))
        places = {name: place for place, name in header if name in (*SHAPE, *_BYTES)}
        for row in rows:
            yield {name: row[place] for name, place in places.items() if place < len(row)}
    except csv.Error as error:
        raise Refused(f"{TABLES[1]} is not a CSV file ({error}).") from error

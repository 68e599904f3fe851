"""The trials that people sent, as small rows; and the trials of one thing by many people.

What a machine has no part in (accuracies, losses, counts) is pooled over people. What it has a part
in (times, memory) is known by person and machine, and has a mean over machines of one kind only.
"""

import math
import sys
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from bench.analysis.claims.rules import CURVES, NUMBERS
from bench.analysis.compare.pairwise import learned
from bench.analysis.compare.side import table_rows
from bench.analysis.intervals import Estimate, SeedOf, pooled
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import SEPARATOR, Row, TrialGroup, Values, labelled, rows_of
from bench.errors import Refused
from bench.records.pack import TABLES, Sent, clean_name
from bench.records.records import Epoch, Inspected, TimeBudget
from bench.records.run import Run, TrialResult
from bench.units import counted

SETTINGS = (
    *("model", "seed", "status", "dataset", "dataset_sha256", "train_images", "test_images"),
    *("epochs", "preset", "image_size", "recipe", "optimizer", "learning_rate", "weight_decay"),
    *("warmup", "label_smoothing"),
    *("precision", "augment", "channels_last", "pretrained", "freeze", "accumulate"),
    *("nproc_per_node", "nnodes", "sync_batch_norm"),
    *("batch_choice", "batch_size", "source_sha256"),
)
FIGURES = (
    *("final_test_accuracy", "best_test_accuracy", "first_test_accuracy", "final_train_loss"),
    *("final_test_loss", "epoch_seconds", "test_seconds", "total_seconds", "images_per_second"),
    *("step_milliseconds", "peak_memory_bytes", "max_batch", "max_batch_source"),
    *("max_batch_limited_by", "memory_budget_bytes", "predicted_base_bytes"),
    *("predicted_bytes_per_image", "params", "params_imagenet", "gmacs"),
    *("updates_per_epoch", "power_watts", "energy_per_image_joules", "calibration_gflops"),
    *("noise", "reason"),
)
MACHINE = ("device", "device_name", "threads")
COLUMNS = (*MACHINE, *SETTINGS, *FIGURES)
"""Columns of `models.csv` that are kept of a trial."""

CONDITIONS = ("dataset", "dataset_sha256", "train_images", "test_images", "epochs")
"""What trials must share to be comparable at all, besides their setting."""

_LEARNED = (
    *("final_train_loss", "final_test_loss", "final_test_accuracy", "best_test_accuracy"),
    "first_test_accuracy",
)
_TIMED = ("epoch_seconds", "test_seconds", "total_seconds")
_PROSE = {"noise": 300, "reason": 300}
_LONGEST_TEXT = 120
MOST_TRIALS = 5_000
"""Trials of a single run that is read."""


@dataclass(frozen=True)
class Machine:
    """What times are of: a kind of device, its name, and the threads that a CPU may use."""

    kind: str
    name: str
    threads: str

    @property
    def text(self) -> str:
        """The machine in words."""
        count = f", {counted(self.threads, 'thread')}" if self.threads else ""
        return f"{self.name} ({self.kind}{count})"


class Cells(Mapping[str, str]):
    """The cells of a row, of which there are many with the same columns: a dict of each would take
    five times as much memory."""

    __slots__ = ("_columns", "_values")

    def __init__(self, columns: Mapping[str, int], values: Sequence[str]) -> None:
        self._columns, self._values = columns, tuple(values)

    def __getitem__(self, name: str) -> str:
        return self._values[self._columns[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True, eq=False)
class SentRow(Row):
    """One trial that `sender` sent. `copy_of` names whoever sent the very same trial before, which
    then counts nowhere; `repeats` whose weights it has to the last digit, although it was trained
    again: its times count, and its accuracy is the same number."""

    sender: str = ""
    copy_of: str = ""
    repeats: str = ""

    def _cell(self, name: str) -> str:
        return self.cells.get(name, "")

    @cached_property
    def machine(self) -> Machine:
        """What it ran on; cards of a kind are one machine: cuda:0 and cuda:1."""
        kind = self.text("device").partition(":")[0]
        return Machine(kind, self.text("device_name"), self.text("threads"))

    @property
    def place(self) -> str:
        """Sender and machine: within it, times compare."""
        return f"{self.sender}, {self.machine.text}"

    @property
    def conditions(self) -> tuple[str, ...]:
        """What it was trained on, and how long."""
        return tuple(self.text(name) for name in CONDITIONS)

    @property
    def traits(self) -> tuple[str, ...]:
        """What it is of; a batch size is what it came to, for `auto` differs from machine to
        machine."""
        *traits, _ = super().traits
        return (*traits, self.text("batch_size"))

    @property
    def numbers(self) -> tuple[str, ...]:
        """What training came to, to the last digit; empty where that is not known."""
        losses = tuple(self.text(name) for name in _LEARNED)
        return (*self.conditions, *self.traits, *losses) if losses[0] else ()

    @property
    def times(self) -> tuple[str, ...]:
        """How long it took, to the last digit."""
        return tuple(self.text(name) for name in _TIMED)


@dataclass(frozen=True, eq=False)
class PooledGroup(TrialGroup):
    """The trials of one model under one setting, of many people."""

    rows: tuple[SentRow, ...]

    def _counted_rows(self, name: str) -> Iterator[SentRow]:
        for row in self.rows:
            if name == "max_batch" and not is_measured_limit(row):
                continue
            if not (row.repeats and learned(BY_NAME[name])):
                yield row

    def values(self, name: str) -> Values:
        """A metric by person, or by person and machine, and by seed."""
        bound = machine_bound(name)
        found: dict[SeedOf, list[float]] = {}
        for row in self._counted_rows(name):
            if (value := row.number(name)) is not None:
                key = SeedOf(row.place if bound else row.sender, row.seed)
                found.setdefault(key, []).append(value)
        return {key: sum(values) / len(values) for key, values in found.items()}

    def by_seed(self, value: Callable[[TrialResult], float | None]) -> Values:
        """A figure of the trials whose log is at hand, by person, machine and seed."""
        return {
            SeedOf(row.place, row.seed): known
            for row in self.rows
            if row.result and not row.repeats and (known := value(row.result)) is not None
        }

    def has(self, name: str) -> bool:
        """Whether the metric is known of anyone."""
        return bool(self.values(name))

    def metric(self, name: str) -> Estimate | None:
        """The mean over people; None for what unlike machines have."""
        values = self.values(name)
        if not values or (machine_bound(name) and self.unlike):
            return None
        if BY_NAME[name].exact and len(set(values.values())) == 1:
            return Estimate(next(iter(values.values())), 0.0, len(values))
        return pooled(values).estimate

    @property
    def unlike(self) -> bool:
        """Whether it was trained on more than one kind of machine."""
        return len({row.machine for row in self.rows}) > 1

    @property
    def trials(self) -> tuple[TrialResult, ...]:
        """The trials whose log is at hand, one of each that came to the same numbers."""
        return tuple(row.result for row in self.rows if row.result and not row.repeats)

    @property
    def people(self) -> list[str]:
        """Who trained it."""
        return list(dict.fromkeys(row.sender for row in self.rows))

    def curve(self, value: Callable[[Epoch], float]) -> list[Estimate]:
        """`value` epoch by epoch over people, as far as every trial got."""
        rows = [(row, row.result.epochs) for row in self.rows if row.result and not row.repeats]
        count = min((len(epochs) for _, epochs in rows), default=0)
        return [
            pooled({SeedOf(r.sender, r.seed): value(e[epoch]) for r, e in rows}).estimate
            for epoch in range(count)
        ]


def machine_bound(name: str) -> bool:
    """Whether a metric depends on the machine that it was measured on."""
    metric = BY_NAME[name]
    return not learned(metric) and (name == "max_batch" or not metric.exact)


def is_measured_limit(row: Row) -> bool:
    """Whether the largest batch of a trial was measured, and memory was what limited it."""
    known = row.text("max_batch_source"), row.text("max_batch_limited_by")
    return bool(row.text("max_batch")) and known == ("measured", "memory")


def pooled_groups(rows: Sequence[SentRow]) -> list[PooledGroup]:
    """Rows by what they are of, each called by its model and what of its setting varies."""
    groups: dict[tuple[str, ...], list[SentRow]] = {}
    for row in rows:
        groups.setdefault((*row.traits, row.text("source_sha256")), []).append(row)
    labels = [
        group.label for group in labelled([TrialGroup("", tuple(g)) for g in groups.values()])
    ]
    return [
        # Networks of one name may be of different files.
        PooledGroup(
            f"{label}{SEPARATOR}{key[-1][:8]}" if labels.count(label) > 1 else label, tuple(group)
        )
        for label, (key, group) in zip(labels, groups.items(), strict=True)
    ]


def sent_rows(sent: Sent, columns: Mapping[str, int]) -> list[SentRow]:
    """The trials that somebody sent, each with its cells alone: the columns with their places.

    Raises:
        Refused: a figure is none, or is one that cannot be.
    """
    if sent.run:
        plain: Sequence[Row] = rows_of(sent.run)
    else:
        plain = list(table_rows(sent.tables[TABLES[0]], TABLES[0]))
    if len(plain) > MOST_TRIALS:
        raise Refused(f"it has more than {MOST_TRIALS:,} trials.")
    rows = [
        SentRow(
            Cells(columns, [_cell(row, name) for name in columns]), sent.where, None, sent.sender
        )
        for row in plain
    ]
    numbers = [name for name in columns if name in NUMBERS]
    for row in rows:
        _check(row, numbers)
    return rows


def _cell(row: Row, name: str) -> str:
    text = row.text(name)
    if name in _PROSE:
        return clean_name(text, _PROSE[name])
    if len(text) > _LONGEST_TEXT:
        raise Refused(f"its {name} is longer than {_LONGEST_TEXT} characters.")
    return sys.intern(text)


def _check(row: SentRow, numbers: Iterable[str]) -> None:
    """Refuse what no measurement comes to, and a column of numbers that has text; a log can be
    written by hand, checksums and all."""
    _ = row.seed
    if not row.text("model"):
        raise Refused("a trial of it has no model.")
    if row.done:
        _check_done(row)
    for name in numbers:
        # The loss of a trial that failed may be no number.
        if row.done or not learned(BY_NAME[name]):
            _ = row.number(name)


def _check_done(row: SentRow) -> None:
    for name in ("train_images", "test_images", "epochs"):
        if not row.text(name).isdecimal():
            raise Refused(f"its {name} is not a whole number: {row.text(name)[:40]!r}.")
    for name in FIGURES:
        metric = BY_NAME[name]
        if not metric.unit or (value := row.number(name)) is None:
            continue
        if metric.unit == "fraction":
            possible = 0 <= value <= 1
        else:
            possible = (value >= 0 if learned(metric) else value > 0) and value < 1e18
        if not possible:
            raise Refused(f"its {name} of {value:g} cannot be.")


KEPT = ("steps", *CURVES)
"""What is kept of an epoch, besides its seconds: what claims can be about."""

_NO_TIME = TimeBudget(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_NO_EPOCH = Epoch(
    *("", 0, "", 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, {}, 0, 0, 0, 0.0, 0.0, None, None, None),
    time_budget=_NO_TIME,
    cpu_seconds=0.0,
)


class SlimTrial(TrialResult):
    """A trial of which curves alone are kept, as plain numbers: a class has some hundred thousand
    epochs. They are made again when they are asked for."""

    @property
    def epochs(self) -> list[Epoch]:
        """The epochs, with `KEPT` and the seconds of each."""
        width = len(KEPT) + 1
        made = []
        for number in range(len(self._numbers) // width):
            steps, *curves, seconds = self._numbers[number * width : (number + 1) * width]
            values: dict[str, Any] = {
                name: None if math.isnan(value) else value
                for name, value in zip(CURVES, curves, strict=True)
            }
            values |= {"epoch": number + 1, "steps": int(steps)}
            budget = replace(_NO_TIME, other_seconds=seconds)
            made.append(replace(_NO_EPOCH, time_budget=budget, **values))
        return made

    @epochs.setter
    def epochs(self, epochs: Sequence[Epoch]) -> None:
        self._numbers = array("d")
        for epoch in epochs:
            figures = (getattr(epoch, name) for name in KEPT)
            self._numbers.extend(math.nan if value is None else value for value in figures)
            self._numbers.append(epoch.time_budget.total_seconds)


def slim(result: TrialResult, run: Run, layers: Collection[str]) -> TrialResult:
    """A trial as claims look at it: its curves, and what training did to these layers; `run` is
    what it then belongs to."""
    kept = SlimTrial(result.trial, run, epochs=result.epochs, ended=result.ended)
    if result.inspected and layers:
        changes = tuple(c for c in result.inspected.layers if c.layer in layers)
        kept.inspected = Inspected(result.trial.id, changes, (), "")
    return kept

"""Which trials of two sides are of the same thing, and whether they may be compared at all.

Two groups match if model and setting are the same. What they were measured on and with must be the
same too (`CONDITIONS`), or the comparison is refused: unless it is told to go across just that.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from bench.analysis.compare.side import Side
from bench.analysis.trial_group import TrialGroup
from bench.errors import Refused
from bench.units import counted

Across = Literal[
    "dataset",
    "preset",
    "device",
    "precision",
    "image_size",
    "epochs",
    "augment",
    "pretrained",
    "channels_last",
    "model",
    "optimizer",
    "learning_rate",
    "batch_size",
    "recipe",
    "weight_decay",
    "freeze",
    "accumulate",
    "warmup",
    "label_smoothing",
    "nproc_per_node",
    "sync_batch_norm",
    "nnodes",
    "tuning",
]
"""What a comparison can be told to go across."""

_COLUMNS: dict[Across, tuple[str, ...]] = {
    "dataset": ("dataset", "dataset_sha256", "train_images", "validation_images", "test_images"),
    "preset": ("preset",),
    "device": ("device", "device_name", "threads"),
    "epochs": ("epochs",),
    "augment": ("augment",),
    "pretrained": ("pretrained",),
    "channels_last": ("channels_last",),
}

_TRAITS: dict[Across, str] = {
    name: "batch_choice" if name == "batch_size" else name
    for name in get_args(Across)
    if name not in _COLUMNS
}
"""The trait that each of the others crosses."""

_LATE: tuple[Across, ...] = ("augment", "pretrained", "channels_last")
"""Conditions that older tables have no column for, which then rule nothing out; several values
within a run are told apart."""

Key = tuple[str, ...]
Groups = tuple[TrialGroup, ...]
Joined = list[tuple[TrialGroup, TrialGroup]]


@dataclass(frozen=True)
class Pair:
    """A group of each side that are compared, and what is crossed between them, in words."""

    a: TrialGroup
    b: TrialGroup
    across: str


@dataclass(frozen=True)
class Matched:
    """The pairs, and the groups that only one side has."""

    pairs: tuple[Pair, ...]
    only_a: Groups
    only_b: Groups


def match(a: Side, b: Side, across: Collection[Across] = ()) -> Matched:
    """The groups of two sides that are of the same thing, but for what may differ (`across`).

    Raises:
        Refused: nothing matches, several match one, or what matches was measured under different
            conditions; the sentence names the difference, both values, and the remedy.
    """
    kept = [trait for name, trait in _TRAITS.items() if name not in across]
    late = [name for name in _LATE if name not in across]
    joined = _join(a.groups, b.groups, lambda g: tuple(g.traits[n] for n in (*kept, *late)))
    # What differs in a condition alone is named below.
    joined = joined or _join(a.groups, b.groups, lambda g: tuple(g.traits[n] for n in kept))
    if "batch_size" not in across:
        # A batch asked for by a word in one run and by its number in the other.
        rest = [name for name in kept if name != "batch_choice"]
        joined += _join(
            *_left(a, b, joined), lambda g: (*(g.traits[name] for name in rest), g.batch_sizes)
        )
    if not joined:
        raise Refused(_nothing(a, b))
    for side in (a, b):
        check_conditions([*side.groups], across, within=side.name)
    _check_comparable(a, b, joined, across)
    _check_one_each(a, b, joined)
    return Matched(
        tuple(Pair(one, other, _crossed(one, other, across)) for one, other in joined),
        *_left(a, b, joined),
    )


def check_conditions(groups: Sequence[TrialGroup], across: Collection[Across], within: str) -> None:
    """Raises Refused if groups that are compared with each other differ in a condition."""
    for name in (name for name in _COLUMNS if name not in _LATE):
        values = dict.fromkeys(value for group in groups for value in _values(group, name))
        if len(values) > 1 and name not in across:
            raise Refused(
                f"{within} has more than one {name}: {' and '.join(values)}; give a table with "
                f"one, or add --across {name}."
            )


def _join(
    a: Iterable[TrialGroup], b: Iterable[TrialGroup], key: Callable[[TrialGroup], Key]
) -> Joined:
    """Every pair of groups with the same key."""
    others: dict[Key, list[TrialGroup]] = {}
    for group in b:
        others.setdefault(key(group), []).append(group)
    return [(one, other) for one in a for other in others.get(key(one), [])]


def _left(a: Side, b: Side, joined: Joined) -> tuple[Groups, Groups]:
    """The groups of each side that are in no pair."""
    paired = {group for pair in joined for group in pair}
    only_a, only_b = (tuple(g for g in side.groups if g not in paired) for side in (a, b))
    return only_a, only_b


def _check_comparable(a: Side, b: Side, joined: Joined, across: Collection[Across]) -> None:
    for pair in joined:
        different = [n for n in _differences(*pair) if n not in across and n in _COLUMNS]
        if different:
            raise Refused(
                f"these are not comparable: {_difference_text(a, b, *pair, different)}; to compare "
                f"them all the same, add --across {' '.join(different)}."
            )


def _check_one_each(a: Side, b: Side, joined: Joined) -> None:
    """One group may have but one partner, or its lines would contradict each other."""
    for side, place in ((b, 0), (a, 1)):
        partners: dict[TrialGroup, list[TrialGroup]] = {}
        for pair in joined:
            partners.setdefault(pair[place], []).append(pair[1 - place])
        for group, several in partners.items():
            if len(several) > 1:
                names = " and ".join(map(_described, several))
                raise Refused(
                    f"{side.name} has several to compare {_described(group)} with: {names}; "
                    "choose with --models, or give a run with one of them."
                )


def _nothing(a: Side, b: Side) -> str:
    """Why no group has a partner: the two that are closest, and what differs between them."""
    pairs = [(one, other) for one in a.groups for other in b.groups]
    closest = min(pairs, key=lambda pair: len(_different_traits(*pair)))
    different = _different_traits(*closest)
    return (
        "nothing in one matches anything in the other: closest, "
        f"{_difference_text(a, b, *closest, different)}; to compare them all the same, add "
        f"--across {' '.join(different)}."
    )


def _difference_text(
    a: Side, b: Side, one: TrialGroup, other: TrialGroup, names: Iterable[Across]
) -> str:
    return ", ".join(
        f"{name} is {_value(one, name)} in {a.name} and {_value(other, name)} in {b.name}"
        for name in names
    )


def _different_traits(one: TrialGroup, other: TrialGroup) -> list[Across]:
    return [name for name, trait in _TRAITS.items() if one.traits[trait] != other.traits[trait]]


def _differences(one: TrialGroup, other: TrialGroup) -> list[Across]:
    """All that differs between two groups, of what a comparison can go across."""
    different = _different_traits(one, other)
    for name in _COLUMNS:
        a, b = _values(one, name), _values(other, name)
        unknown = name in _LATE and "" in (*a, *b)
        if a != b and not unknown:
            different.append(name)
    return different


def _crossed(one: TrialGroup, other: TrialGroup, across: Collection[Across]) -> str:
    """What is crossed between a pair, with both values; empty if nothing is."""
    return "; ".join(
        f"{name} {_value(one, name)} → {_value(other, name)}"
        for name in get_args(Across)
        if name in across and name in _differences(one, other)
    )


def _value(group: TrialGroup, name: Across) -> str:
    """What a group has of something that can be crossed."""
    if name in _COLUMNS:
        return " and ".join(_values(group, name))
    return group.traits[_TRAITS[name]]


def _values(group: TrialGroup, name: Across) -> tuple[str, ...]:
    """A condition of a group's trials, in words: one, if they are of one run."""
    columns = _COLUMNS[name]
    cells = dict.fromkeys(tuple(row.text(column) for column in columns) for row in group.rows)
    return tuple(_WORDS.get(name, "".join)(cell) for cell in cells)


def _dataset(cells: Sequence[str]) -> str:
    name, digest, *counts = cells
    return f"{name} ({' + '.join(n for n in counts if n != '0')} images, {digest[:8]})"


def _device(cells: Sequence[str]) -> str:
    device, name, threads = cells
    # Two cards of a kind are one device: cuda:0 and cuda:1.
    kind = device.partition(":")[0]
    return f"{name} ({kind}, {counted(threads, 'thread')})" if threads else f"{name} ({kind})"


_WORDS: dict[str, Callable[[Sequence[str]], str]] = {"dataset": _dataset, "device": _device}


def _described(group: TrialGroup) -> str:
    """A group in words, as its setting tells it from others."""
    t = group.traits
    return (
        f"{t['model']} ({t['image_size']} px, {t['precision']}, {t['optimizer']} at "
        f"{t['learning_rate']}, batch {t['batch_choice']})"
    )

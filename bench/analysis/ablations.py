"""What a run varies: groups of series that differ in one trait alone, such as the optimizer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.analysis.trial_group import Series

NO_HEADS = ":noaux"
"""How the names of models without their auxiliary heads end."""

Key = tuple[object, ...]


@dataclass(frozen=True)
class Trait:
    """Something that a comparison varies.

    `value` of a series is None where it has no such trait; `rest` is what must be equal within a
    group, and `name` what the group is called.
    """

    label: str
    value: Callable[[Series], str | int | None]
    rest: Callable[[Series], Key]
    name: Callable[[Series], str]


@dataclass(frozen=True)
class Group:
    """Series that differ in one trait alone, with its values, numbers ascending."""

    name: str
    values: tuple[str | int, ...]
    members: tuple[Series, ...]


def grouped(found: Sequence[Series], trait: Trait) -> list[Group]:
    """The groups in which the trait takes several values; the first series of each value."""
    groups: dict[Key, dict[str | int, Series]] = {}
    for one in found:
        value = trait.value(one)
        if value is not None:
            groups.setdefault(trait.rest(one), {}).setdefault(value, one)
    made = []
    for members in groups.values():
        if len(members) > 1:
            values = list(members)
            if all(isinstance(value, int) for value in values):
                values.sort()
            ordered = tuple(members[value] for value in values)
            made.append(Group(trait.name(ordered[0]), tuple(values), ordered))
    names = [group.name for group in made]
    return [replace(g, name=_told_apart(g)) if names.count(g.name) > 1 else g for g in made]


def _told_apart(group: Group) -> str:
    """A group's name with what else varies in the run, as its first series' label has it."""
    first = group.members[0]
    traits = first.label.removeprefix(first.model).replace(f" {group.values[0]}", "")
    return group.name + traits


def _choice(one: Series) -> str:
    return one.trials[0].trial.batch_choice


def _batch(one: Series) -> int | None:
    return one.trials[0].trial.batch_size


def _stem(one: Series) -> tuple[str, int] | None:
    """`resnet` and 18 of resnet18: families are named by their layers."""
    parts = re.fullmatch(r"(.*[A-Za-z])(\d{2,4})", one.model)
    return (parts[1], int(parts[2])) if parts else None


def _depth(one: Series) -> int | None:
    parts = _stem(one)
    return parts[1] if parts else None


def _base(one: Series) -> str:
    return one.model.removesuffix(NO_HEADS)


def _setting(one: Series) -> Key:
    s = one.setting
    return (s.image_size, s.optimizer, s.learning_rate, s.precision)


OPTIMIZER = Trait(
    "Optimizer",
    lambda one: one.setting.optimizer,
    lambda one: (one.model, one.setting.image_size, one.setting.precision, _choice(one)),
    lambda one: one.model,
)
BATCH = Trait(
    "Batch size (images)", _batch, lambda one: (one.model, *_setting(one)), lambda one: one.model
)
DEPTH = Trait(
    "Layers",
    _depth,
    lambda one: ((_stem(one) or ("",))[0], *_setting(one), _choice(one)),
    lambda one: (_stem(one) or ("",))[0],
)
HEADS = Trait(
    "Auxiliary heads",
    lambda one: "without" if one.model.endswith(NO_HEADS) else "with",
    lambda one: (_base(one), *_setting(one), _choice(one)),
    _base,
)

"""What a run varies: trial groups that differ in one trait alone, such as the optimizer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.analysis.trial_group import SEPARATOR, TrialGroup

NO_HEADS = ":noaux"
"""How the names of models without their auxiliary heads end."""

Key = tuple[object, ...]


@dataclass(frozen=True)
class Trait:
    """Something that a comparison varies.

    `value` of a group is None where it has no such trait; `rest` is what must be equal within a
    group, and `name` what the group is called.
    """

    label: str
    value: Callable[[TrialGroup], str | int | None]
    rest: Callable[[TrialGroup], Key]
    name: Callable[[TrialGroup], str]


@dataclass(frozen=True)
class Ablation:
    """Groups that differ in one trait alone, with its values, numbers ascending."""

    name: str
    values: tuple[str | int, ...]
    groups: tuple[TrialGroup, ...]


def ablations(groups: Sequence[TrialGroup], trait: Trait) -> list[Ablation]:
    """Those in which the trait takes several values; the first group of each value."""
    siblings: dict[Key, dict[str | int, TrialGroup]] = {}
    for group in groups:
        value = trait.value(group)
        if value is not None:
            siblings.setdefault(trait.rest(group), {}).setdefault(value, group)
    made = []
    for by_value in siblings.values():
        if len(by_value) > 1:
            values = list(by_value)
            if all(isinstance(value, int) for value in values):
                values.sort()
            ordered = tuple(by_value[value] for value in values)
            made.append(Ablation(trait.name(ordered[0]), tuple(values), ordered))
    names = [ablation.name for ablation in made]
    return [replace(a, name=_told_apart(a)) if names.count(a.name) > 1 else a for a in made]


def _told_apart(ablation: Ablation) -> str:
    """Its name with what else varies in the run, as its first group's label has it."""
    first = ablation.groups[0]
    traits = first.label.removeprefix(first.model).replace(f"{SEPARATOR}{ablation.values[0]}", "")
    return ablation.name + traits


def _choice(group: TrialGroup) -> str:
    return group.trials[0].trial.batch_choice


def _family(group: TrialGroup) -> tuple[str, int | None]:
    """`resnet` and 18 of resnet18: families are named by their layers."""
    parts = re.fullmatch(r"(.*[A-Za-z])(\d{2,4})", group.model)
    return (parts[1], int(parts[2])) if parts else ("", None)


def _base(group: TrialGroup) -> str:
    return group.model.removesuffix(NO_HEADS)


OPTIMIZER = Trait(
    "Optimizer",
    lambda group: group.setting.optimizer,
    lambda group: (group.model, group.setting.image_size, group.setting.precision, _choice(group)),
    lambda group: group.model,
)
BATCH = Trait(
    "Batch size (images)",
    lambda group: group.trials[0].trial.batch_size,
    lambda group: (group.model, group.setting),
    lambda group: group.model,
)
DEPTH = Trait(
    "Layers",
    lambda group: _family(group)[1],
    lambda group: (_family(group)[0], group.setting, _choice(group)),
    lambda group: _family(group)[0],
)
HEADS = Trait(
    "Auxiliary heads",
    lambda group: "without" if group.model.endswith(NO_HEADS) else "with",
    lambda group: (_base(group), group.setting, _choice(group)),
    _base,
)

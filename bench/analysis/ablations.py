"""What a run varies: trial groups that differ in one trait alone, such as the optimizer."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.analysis.trial_group import SEPARATOR, TrialGroup, trait_text
from bench.records.records import Setting
from bench.settings import decay_of, label_smoothing_of, warmup_of

NO_HEADS, SMALL_STEM = ":noaux", ":cifar"
"""What names of models without their auxiliary heads, and with the stem for small images, have."""

_DEEP = re.compile(
    r"((?:timm:|torchvision:)?(?:[a-z]*resnet(?:v2_)?|vgg|densenet|darknet|dla|dpn))"
    r"(\d{2,4})(:cifar)?"
)
"""Names whose number is a depth: elsewhere it may be a width, as in hrnet_w18."""

Key = tuple[object, ...]
Value = str | int | float | tuple[int, int]


@dataclass(frozen=True)
class Trait:
    """Something that a comparison varies.

    `value` of a group is None where it has no such trait; `rest` is what must be equal within a
    group, and `name` what the group is called. `following` are columns that differ with the value,
    as a rate does with the optimizer; one that a run varies besides is equal within a group.
    """

    label: str
    value: Callable[[TrialGroup], Value | None]
    rest: Callable[[TrialGroup], Key]
    name: Callable[[TrialGroup], str]
    following: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ablation:
    """Groups that differ in one trait alone, with its values, numbers ascending."""

    name: str
    values: tuple[Value, ...]
    groups: tuple[TrialGroup, ...]


def ablations(groups: Sequence[TrialGroup], trait: Trait) -> list[Ablation]:
    """Those in which the trait takes several values; the first group of each value."""
    siblings: dict[Key, dict[Value, list[TrialGroup]]] = {}
    for group in groups:
        value = trait.value(group)
        if value is not None:
            siblings.setdefault(trait.rest(group), {}).setdefault(value, []).append(group)
    made = []
    matched = (m for alike in siblings.values() for m in _matched(alike, trait.following))
    for by_value in matched:
        if len(by_value) > 1:
            values = list(by_value)
            if not any(isinstance(value, str) for value in values):
                values.sort()
            ordered = tuple(by_value[value] for value in values)
            made.append(Ablation(trait.name(ordered[0]), tuple(values), ordered))
    names = [ablation.name for ablation in made]
    return [replace(a, name=_told_apart(a)) if names.count(a.name) > 1 else a for a in made]


def _matched(
    siblings: Mapping[Value, Sequence[TrialGroup]], following: Sequence[str]
) -> list[dict[Value, TrialGroup]]:
    """A group of each value, as often as there are values of what else is varied."""
    varied = (n for n in following if any(_differ(alike, n) for alike in siblings.values()))
    name = next(varied, None)
    if name is None:
        return [{value: alike[0] for value, alike in siblings.items()}]
    parts: dict[str, dict[Value, list[TrialGroup]]] = {}
    for value, alike in siblings.items():
        for group in alike:
            parts.setdefault(group.traits[name], {}).setdefault(value, []).append(group)
    return [matched for part in parts.values() for matched in _matched(part, following)]


def _differ(groups: Sequence[TrialGroup], name: str) -> bool:
    return len({group.traits[name] for group in groups}) > 1


def _told_apart(ablation: Ablation) -> str:
    """Its name with what else varies in the run, as its first group's label has it."""
    first, own = ablation.groups[0], str(ablation.values[0])
    traits = first.label.removeprefix(first.model).split(SEPARATOR)
    rest = [text for text in traits if text != own and not text.endswith(f" {own}")]
    return ablation.name + SEPARATOR.join(rest)


def _choice(group: TrialGroup) -> str:
    return group.trials[0].trial.batch_choice


def _family(group: TrialGroup) -> tuple[str, int | None]:
    """`resnet` and 18 of resnet18, a family that is named by its layers."""
    parts = _DEEP.fullmatch(group.model)
    return (parts[1] + (parts[3] or ""), int(parts[2])) if parts else ("", None)


def _base(group: TrialGroup) -> str:
    return group.model.removesuffix(NO_HEADS)


def _any_stem(group: TrialGroup) -> str:
    return group.model.replace(SMALL_STEM, "")


def _of_column(label: str, column: str, *following: str) -> Trait:
    """A trait of settings, by its column; others that follow from it may differ, too."""

    def value(group: TrialGroup) -> Value:
        found = getattr(group.setting, column)
        return found if isinstance(found, float) else trait_text(column, str(found))

    def rest(group: TrialGroup) -> Key:
        return tuple(v for name, v in group.traits.items() if name not in (column, *following))

    return Trait(label, value, rest, lambda group: group.model, following)


def _resolved(label: str, column: str, value: Callable[[Setting], float]) -> Trait:
    """A trait that is what a setting comes to where it says nothing itself."""
    return replace(_of_column(label, column), value=lambda group: value(group.setting))


RECIPE = _of_column(
    *("Recipe", "recipe", "optimizer", "learning_rate", "weight_decay", "augment", "warmup"),
    "label_smoothing",
)
OPTIMIZER = _of_column("Optimizer", "optimizer", "learning_rate", "weight_decay")
LEARNING_RATE = _of_column("Learning rate", "learning_rate")
WEIGHT_DECAY = _resolved("Weight decay", "weight_decay", decay_of)
AUGMENTATION = _of_column("Augmentation", "augment")
LAYOUT = _of_column("Memory layout", "channels_last")
WARMUP = _resolved("Warm-up", "warmup", warmup_of)
SMOOTHING = _resolved("Label smoothing", "label_smoothing", label_smoothing_of)
FROZEN = _of_column("Frozen", "freeze")
ACCUMULATION = _of_column("Parts of a batch", "accumulate")
PROCESSES = Trait(
    "Processes",
    lambda group: (group.setting.ranks, group.setting.nnodes),
    lambda group: tuple(
        value
        for name, value in group.traits.items()
        if name not in ("nproc_per_node", "nnodes", "sync_batch_norm", "learning_rate")
    ),
    lambda group: group.model,
)
WEIGHTS = _of_column("Initial weights", "pretrained")
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
STEM = Trait(
    "Stem",
    lambda group: "cifar" if SMALL_STEM in group.model else "imagenet",
    lambda group: (_any_stem(group), group.setting, _choice(group)),
    _any_stem,
)

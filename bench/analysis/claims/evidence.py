"""What evidence decides a claim: which trials, trained how, and how many seeds of them.

Most of it follows from the claim's rule, its figure and its conditions. The column `evidence` of a
file of claims changes single options. Claims that want the same options share an experiment: one
run, with the models of all of them.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.claims.claim import Claim
from bench.analysis.claims.rules import LAYER_CHANGES, RULES, TRAINED
from bench.analysis.compare.verdicts import SPEEDS
from bench.analysis.metrics import BY_NAME
from bench.config import Config
from bench.errors import Refused
from bench.options import options_of
from bench.recipes import RECIPES
from models import REGISTRY

COUNTED = {"epochs": 1, "train_limit": 10_000, "test_limit": 2_000, "batch_size": (10,)}
"""What a figure that is counted, searched for or simulated takes: no training, and more images than
a batch can have."""

TIMED = {"epochs": 3, "train_limit": 2_000, "test_limit": 200, "batch_size": (64,)}
"""What seconds take: their ratios need no accuracy."""

LEARNT = {"epochs": 10, "train_limit": 10_000, "test_limit": 2_000, "batch_size": (128,)}
"""What a curve, an accuracy or a change of weights takes."""

COUNTED_IN_TRAINING = {"epochs", "updates_per_epoch"}
"""Figures without chance that only training has."""

LADDER = (8, 32, 128)
"""Batch sizes far enough apart to tell whether more is faster."""

USUAL_MODELS = {
    "falls_with_batch": ("resnet18",),
    "rank_falls": ("resnet18", "densenet121", "googlenet"),
}
"""Models that decide a claim about all of them."""

SMALL = 32
"""Pixels a side where a claim does not say."""

MOST_SEEDS = 1_000
"""The most seeds that a claim may ask for."""

OPTIONS = (
    *("epochs", "train_limit", "test_limit", "batch_size", "image_size", "recipe", "lr"),
    *("weight_decay", "precision", "augment", "channels_last", "pretrained", "freeze"),
    *("accumulate", "memory_budget", "models", "seeds"),
)
"""Options of a run that the column `evidence` may change; `models` are others in the claim's place,
`seeds` the fewest."""

Options = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, order=True)
class Subject:
    """What is trained: a model with an optimizer."""

    model: str
    optimizer: str


@dataclass(frozen=True, order=True)
class Wanted:
    """A subject's trials with one seed in an experiment, of all its batch sizes."""

    experiment: int
    seed: int
    subject: Subject


@dataclass(frozen=True)
class Requirement:
    """What decides a claim: options of a run, subjects, and at least so many seeds.

    `claim` is about the models that stand in for its own, where others do. The seconds of its
    subjects are compared if they are to be trained `side_by_side`; they are not `trained` at all
    where everything that it says is known without.
    """

    claim: Claim
    options: Options
    subjects: tuple[Subject, ...]
    seeds: int
    side_by_side: bool
    trained: bool


@dataclass(frozen=True)
class Experiment:
    """Claims that want the same options, decided by one run."""

    number: int
    options: Options
    requirements: tuple[Requirement, ...]

    @property
    def trained(self) -> bool:
        """Whether its subjects are trained."""
        return self.requirements[0].trained

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """What is trained for any of its claims, each once."""
        return tuple(dict.fromkeys(s for r in self.requirements for s in r.subjects))

    def config(self, **more: Any) -> Config:
        """The options of its run; raises Refused if they cannot work."""
        models = tuple(dict.fromkeys(subject.model for subject in self.subjects))
        optimizers = tuple(dict.fromkeys(subject.optimizer for subject in self.subjects))
        named = {"preset": "quick", "models": models, "optimizer": optimizers}
        return Config(**named | dict(self.options) | more)

    def wanted(self, claim: str, seeds: int, undecided: Iterable[str]) -> frozenset[Wanted]:
        """What decides one of its claims with so many seeds. What `undecided` claims compare the
        seconds of is trained side by side, so all of that belongs to it."""
        by_id = {requirement.claim.id: requirement for requirement in self.requirements}
        together = [by_id[name] for name in undecided if name in by_id]
        linked = [set(requirement.subjects) for requirement in together if requirement.side_by_side]
        subjects = set(by_id[claim].subjects)
        while grown := [group for group in linked if group & subjects and not group <= subjects]:
            subjects = subjects.union(*grown)
        return frozenset(Wanted(self.number, k, s) for k in range(seeds) for s in subjects)


def experiments(claims: Sequence[Claim]) -> tuple[Experiment, ...]:
    """The runs that decide these claims, in the order in which the claims ask for them."""
    groups: dict[tuple[Options, bool], list[Requirement]] = {}
    for claim in claims:
        needed = requirement(claim)
        groups.setdefault((needed.options, needed.trained), []).append(needed)
    return tuple(
        Experiment(number, options, tuple(group))
        for number, ((options, _), group) in enumerate(groups.items(), 1)
    )


def requirement(claim: Claim) -> Requirement:
    """What decides a claim; Refused if its `evidence` cannot work, or not with its rule."""
    rule, metrics = RULES[claim.rule], [BY_NAME[m] for m in claim.metric if m in BY_NAME]
    given = dict(_given(claim))
    named = given.pop("models", None) or claim.models or USUAL_MODELS.get(claim.rule, ())
    if rule.models is not None and len(named) != rule.models:
        raise Refused(f"rule {claim.rule} needs models: {rule.models}, not {len(named)}")
    claim = replace(claim, models=tuple(named))
    certain = bool(metrics) and all(metric.exact for metric in metrics)
    trained = not certain or bool(COUNTED_IN_TRAINING & set(claim.metric))
    seeds = max(given.pop("seeds", 1), 1 if certain else rule.seeds)
    if seeds > MOST_SEEDS:
        raise Refused(f"seeds={seeds} is above {MOST_SEEDS:,}")
    options = _usual(claim, trained=trained) | given
    epochs = options["epochs"] = max(options["epochs"], rule.epochs, _epochs_said(claim))
    if claim.rule == "about" and claim.at not in (None, epochs):
        raise Refused(f"epochs={epochs} is not the {claim.at} of the column 'at'")
    subjects = tuple(_subject(name, options["recipe"]) for name in named)
    timed = claim.rule == "sooner" or any(metric.unit in SPEEDS for metric in metrics)
    several = len(subjects) > 1 or len(options["batch_size"]) > 1
    key = tuple(sorted(options.items()))
    return Requirement(claim, key, subjects, seeds, timed and several, trained)


def check_evidence(claim: Claim) -> None:
    """Raises Refused if what decides a claim cannot be run, whatever the machine."""
    try:
        needed = requirement(claim)
        Experiment(1, needed.options, (needed,)).config()
    except Refused as error:
        raise Refused(f"evidence: {str(error).removesuffix('.')}") from error


def _usual(claim: Claim, *, trained: bool) -> dict[str, Any]:
    """The options that follow from a claim's rule, figure and conditions."""
    searched = "max_batch" in claim.metric and not claim.card
    learnt = claim.rule == "sooner" or bool(TRAINED & set(claim.metric))
    usual = LEARNT if learnt else TIMED if trained else COUNTED
    options: dict[str, Any] = dict(usual) | {
        "image_size": ("native",) if "native" in claim.needs else (_smallest(claim.models),),
        "recipe": ("constant",),
        "max_batch": searched,
        "inspect": learnt or bool(set(LAYER_CHANGES) & set(claim.metric)),
        "card": (claim.card,) if claim.card else (),
    }
    if "cifar10" in claim.needs:
        options |= {"train_limit": "all", "test_limit": "all"}
    if claim.rule == "falls_with_batch":
        options["batch_size"] = LADDER
    if epochs := _epochs_said(claim):
        options["epochs"] = epochs
    return options


def _epochs_said(claim: Claim) -> int:
    """The epochs that a claim is about; 0 if it does not say."""
    return (claim.at or 0) if claim.rule in ("about", "at_epoch") else 0


def _smallest(models: Iterable[str]) -> int:
    """The smallest image size from 32 px that all these models take."""
    known = (name.partition("@")[0] for name in models)
    return max([SMALL, *(REGISTRY.get(n).facts.smallest_size for n in known if n in REGISTRY)])


def _subject(word: str, recipe: Sequence[str]) -> Subject:
    model, _, optimizer = word.partition("@")
    return Subject(model, optimizer or RECIPES[recipe[0]].optimizer)


def _given(claim: Claim) -> Iterator[tuple[str, Any]]:
    """The options in the column `evidence`, with their values."""
    known = options_of(Config)
    for name, text in claim.options.items():
        if name not in OPTIONS:
            raise Refused(f"{name!r} is no option; there are {', '.join(OPTIONS)}")
        option = known[name]
        values = tuple(_read(part, option) for part in text.split(","))
        if len(values) > 1 and name not in ("batch_size", "models"):
            raise Refused(f"{name} takes one value, not {len(values)}")
        yield name, option.checked(values if option.several else values[0])


def _read(text: str, option: Any) -> Any:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            if option.allows(kind(text)):
                return kind(text)
    return text

"""What a run says to claims: each holds, does not hold, or cannot be told, with the reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.claims.claim import CannotTell, Claim, ClaimVerdict, Evidence
from bench.analysis.claims.rules import RULES, TRAINED
from bench.analysis.compare.ranking import Standings
from bench.analysis.trial_group import TrialGroup
from bench.options import flag_of
from bench.records.records import Setting
from bench.records.run import Run
from bench.settings import decay_of, label_smoothing_of, make_setting, warmup_of

CIFAR10_CLASSES = frozenset(
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
)
CIFAR10_IMAGES = {"training": 50_000, "test": 10_000}
ALL_OF_CIFAR10 = "--dataset cifar10 --train-limit all --test-limit all"

TRAINED_UPDATES = 100
"""A statement about training says nothing of a network that has seen fewer optimizer updates."""


@dataclass(frozen=True)
class JudgedClaim:
    """A claim and the verdict on it."""

    claim: Claim
    verdict: ClaimVerdict


def judge_all(claims: Sequence[Claim], run: Run, standings: Standings) -> list[JudgedClaim]:
    """A verdict on each claim, in their order."""
    return [JudgedClaim(claim, judge(claim, run, standings)) for claim in claims]


def judge(claim: Claim, run: Run, standings: Standings) -> ClaimVerdict:
    """What the run says to one claim; where a condition is not met, only what was measured."""
    try:
        subjects = tuple(_subject(claim, word, standings.groups, run) for word in claim.models)
    except CannotTell as lack:
        return ClaimVerdict("cannot tell", str(lack), options=lack.options)
    try:
        verdict = RULES[claim.rule].judge(claim, Evidence(run, standings, subjects))
    except CannotTell as lack:
        verdict = ClaimVerdict(
            "cannot tell",
            str(lack),
            lack.measured,
            options=lack.options,
            more_seeds=lack.more_seeds,
        )
    if RULES[claim.rule].card:
        verdict = replace(verdict, got="predicted")
    try:
        if verdict.answer != "cannot tell":
            _check_trained(claim, subjects)
        for condition in claim.needs:
            CONDITIONS[condition](claim, run, subjects)
    except CannotTell as lack:
        return ClaimVerdict("cannot tell", str(lack), verdict.measured, verdict.got, lack.options)
    return verdict


def _subject(claim: Claim, word: str, groups: Sequence[TrialGroup], run: Run) -> TrialGroup:
    """The group of MODEL or MODEL@OPTIMIZER under the claim's recipe, if it names one; of several,
    one that no option changed, else one of the claim's image size, else Adam's, else the first."""
    model, _, optimizer = word.partition("@")
    meant = [g for g in groups if g.model == model and optimizer in ("", g.setting.optimizer)]
    if not meant:
        raise CannotTell(f"not run: {word}", options="")
    recipe = claim.options.get("recipe")
    same = [group for group in meant if recipe in (None, group.setting.recipe)]
    if not same:
        reason = f"other recipe: {meant[0].setting.recipe}, not {recipe}"
        raise CannotTell(reason, options=f"--recipe {recipe}")

    def changed(group: TrialGroup) -> list[str]:
        return _changed(group, optimizer, run) if recipe else []

    def rank(group: TrialGroup) -> tuple[bool, ...]:
        other_size = _other_size(claim, group, run)
        return bool(changed(group)), other_size, group.setting.optimizer != "adam"

    found = min(same, key=rank)
    if names := [name for name in changed(found) if name not in claim.options]:
        reason = f"not as the recipe {recipe} has it: {', '.join(map(flag_of, names))}"
        raise CannotTell(reason, options=f"--recipe {recipe}")
    return found


def _other_size(claim: Claim, group: TrialGroup, run: Run) -> bool:
    """Whether a claim names an image size, and the group has another."""
    size = claim.options.get("image_size", "native" if "native" in claim.needs else None)
    facts = run.facts.get(group.model)
    if size == "native":
        size = str(facts.native_size) if facts else None
    return size not in (None, str(group.setting.image_size))


def _changed(group: TrialGroup, optimizer: str, run: Run) -> list[str]:
    """The options by which a group is trained otherwise than its recipe says, but for the optimizer
    that a claim names."""
    is_, facts = group.setting, run.facts.get(group.model)
    family = facts.family if facts else ""
    usual = make_setting(
        is_.image_size, family=family, recipe=is_.recipe, optimizer=optimizer or None
    )
    rates = {usual.learning_rate * scale for scale in (1.0, float(is_.ranks), is_.ranks**0.5)}
    made: dict[str, Callable[[Setting], Any]] = {
        "optimizer": lambda s: s.optimizer,
        "lr": lambda s: s.learning_rate in rates,
        "weight_decay": decay_of,
        "augment": lambda s: s.augment,
        "pretrained": lambda s: s.pretrained,
        "freeze": lambda s: s.freeze,
        "warmup": warmup_of,
        "label_smoothing": label_smoothing_of,
    }
    return [name for name, value in made.items() if value(is_) != value(usual)]


def _check_trained(claim: Claim, subjects: Sequence[TrialGroup]) -> None:
    """Raises CannotTell if the claim is about training, and there was less of it than it takes."""
    if claim.rule != "sooner" and not TRAINED & set(claim.metric):
        return
    epochs = int(claim.options.get("epochs", 1))
    for group in subjects:
        if not group.finished:
            raise CannotTell(f"{group.label} was not trained to the end")
    for trial in (trial for group in subjects for trial in group.trained):
        if len(trial.epochs) < epochs:
            raise CannotTell(f"too few epochs: {len(trial.epochs)} of {epochs}")
        if (updates := sum(epoch.steps for epoch in trial.epochs)) < TRAINED_UPDATES:
            raise CannotTell(f"too little training: {updates} updates of {TRAINED_UPDATES}")


def _on_some_of_cifar10(claim: Claim, run: Run, subjects: Sequence[TrialGroup]) -> None:
    data = run.dataset
    if data.name != "cifar10" and frozenset(data.classes) != CIFAR10_CLASSES:
        raise CannotTell(f"other data: {data.name}, not CIFAR-10", options="--dataset cifar10")


def _on_cifar10(claim: Claim, run: Run, subjects: Sequence[TrialGroup]) -> None:
    _on_some_of_cifar10(claim, run, subjects)
    here = {"training": run.dataset.train_images, "test": run.dataset.test_images}
    for part, images in here.items():
        if images != CIFAR10_IMAGES[part]:
            reason = f"other data: {images:,} of CIFAR-10's {part} images"
            raise CannotTell(reason, options=ALL_OF_CIFAR10)


def _native(claim: Claim, run: Run, subjects: Sequence[TrialGroup]) -> None:
    for group in subjects:
        facts, size = run.facts.get(group.model), group.setting.image_size
        if facts and facts.native_size != size:
            reason = f"other image size: {size} px, not {facts.native_size}"
            raise CannotTell(reason, options="--image-size native")


def _same_batch(claim: Claim, run: Run, subjects: Sequence[TrialGroup]) -> None:
    if len({group.trials[0].trial.batch_size for group in subjects}) > 1:
        smallest = min(group.trials[0].trial.batch_size or 0 for group in subjects)
        options = f"--batch-size {smallest}" if smallest else None
        raise CannotTell("batch sizes differ", options=options)


OTHER_HARDWARE = "other hardware: only ratios compare"


def _same_device(claim: Claim, run: Run, subjects: Sequence[TrialGroup]) -> None:
    if not claim.device or claim.device.lower() not in run.device.name.lower():
        raise CannotTell(OTHER_HARDWARE)


CONDITIONS: dict[str, Callable[[Claim, Run, Sequence[TrialGroup]], None]] = {
    "cifar10": _on_cifar10,
    "some-cifar10": _on_some_of_cifar10,
    "native": _native,
    "same-batch": _same_batch,
    "device": _same_device,
}
"""What must be true of a run before a claim can be judged: all of CIFAR-10, or any part of it; each
model at its native image size; one batch size for all the claim's models; the device of the quoted
figure."""

"""From options to trials: what will be run, in which order, or why it cannot work."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any, Literal

import psutil

from bench.analysis.tuning import setting_at, space_in
from bench.config import VARIED, Config, choices, suits
from bench.data.batches import dropped_images
from bench.errors import Refused
from bench.recipes import RECIPES
from bench.records import logits
from bench.records.records import (
    Contestant,
    DatasetFacts,
    LargestBatch,
    ModelDescribed,
    ModelFacts,
    PointChosen,
    Setting,
    Trial,
    TuningDeclared,
    TuningRole,
)
from bench.settings import make_setting

AUTO_LIMIT = 128
"""The largest batch that `auto` and `own` choose: the lecture's."""

MOST_TRIALS = 100_000
"""A larger plan would fill memory before its first trial, and take years."""

Shape = tuple[str, Setting]
"""What the largest batch depends on: a model and a setting."""


def at_any_rate(shape: Shape) -> Shape:
    """A shape without its learning rate and when that rises, which take no memory."""
    model, setting = shape
    return model, replace(setting, learning_rate=0.0, warmup=None)


@dataclass(frozen=True)
class Plan:
    """The trials of a run, interleaved; batch sizes are open where they depend on the largest."""

    trials: tuple[Trial, ...]

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """What the largest batch is searched for, each once."""
        return tuple(dict.fromkeys(trial.shape for trial in self.trials))


def make_plan(
    config: Config,
    models: Sequence[ModelFacts],
    dataset: DatasetFacts,
    tuning: TuningDeclared | None = None,
) -> Plan:
    """The product of models, settings, batch sizes and seeds, without recipes that are for other
    models.

    With tuning, every one of them first tries all points, and then each seed is trained twice: with
    the default values, and with those that are chosen, which are not known yet (`at_chosen`).

    Trials of one seed run model after model, those of the next in the reverse order (A B, B A), so
    that a machine that warms up or slows down favours none.

    Raises:
        Refused: an image size is too small for a model, a batch is larger than the training set, or
            there are more than `MOST_TRIALS`, or a model has no published weights to start from.
    """
    if dataset.train_images < 2:
        raise Refused("one training image is too few for batch norm; raise --train-limit.")
    most = config.most_ranks
    together = 1 if config.scaling == "strong" else most
    for batch in config.batch_size:
        if isinstance(batch, int) and batch * together > dataset.train_images:
            each = f" for each of {most} processes" if together > 1 else ""
            raise Refused(
                f"--batch-size {batch}{each} is more than the {dataset.train_images} training "
                "images; use a smaller one."
            )
    if most > min(dataset.parts.values()):
        part = min(dataset.parts, key=lambda name: dataset.parts[name])
        raise Refused(
            f"{most} processes (--nproc-per-node) are more than the {dataset.parts[part]} {part} "
            "images; use fewer."
        )
    check_trials(config, len(models))
    one_seed: dict[tuple[Any, ...], Trial] = {}
    for choice, batch in product(choices(config), config.batch_size):
        for model in models:
            if suits(choice, model.name):
                trial = _trial(config, model, choice, batch)
                # Options may differ in what a setting does not have, as one process no ranks.
                one_seed.setdefault((*trial.shape, trial.batch_choice), trial)
    orders = (list(one_seed.values()), list(reversed(one_seed.values())))
    seeds = [
        replace(trial, seed=config.first_seed + k)
        for k in range(config.seeds)
        for trial in orders[k % 2]
    ]
    if tuning is None:
        return Plan(tuple(seeds))
    points = range(1, len(tuning.points) + 1)
    tried = [_at_point(trial, tuning, k) for k in points for trial in orders[(k - 1) % 2]]
    parts: tuple[Literal["default", "tuned"], ...] = ("default", "tuned")
    again = [
        replace(trial, tuning=TuningRole(part, trial.setting))
        for trial in seeds
        for part in (parts[::-1] if trial.seed % 2 else parts)
    ]
    return Plan((*tried, *again))


def _at_point(trial: Trial, tuning: TuningDeclared, point: int) -> Trial:
    default = trial.setting
    setting = setting_at(default, space_in(tuning, default), tuning.points[point - 1])
    role = TuningRole("point", default, point)
    return replace(trial, seed=tuning.trial_seed, setting=setting, tuning=role)


def at_chosen(trial: Trial, chosen: Mapping[Contestant, PointChosen]) -> Trial | None:
    """A trial of a plan as it is to be trained: with the values that were chosen for it, if it
    trains those; None if nothing could be chosen."""
    if trial.tuning is None or trial.tuning.part != "tuned":
        return trial
    setting = chosen[trial.contestant].setting
    return None if setting is None else replace(trial, setting=setting)


def _trial(config: Config, model: ModelFacts, choice: dict[str, Any], batch: int | str) -> Trial:
    """A trial with seed 0; its batch size is that of each process."""
    setting = _setting(model, choice)
    shares = setting.ranks if config.scaling == "strong" else 1
    size = batch // shares if isinstance(batch, int) else None
    return Trial(model.name, 0, setting, str(batch), size, _variant(config, choice))


def _setting(model: ModelFacts, choice: dict[str, Any]) -> Setting:
    options = {name: value for name, value in choice.items() if name != "image_size"}
    if options["pretrained"] == "yes":
        model.check_pretrained()
    return make_setting(model.pixels(choice["image_size"]), family=model.family, **options)


def _variant(config: Config, choice: dict[str, Any]) -> str:
    """What tells a trial's name from others, of the options that names do not have anyway."""
    named = ("image_size", "optimizer", "precision")
    several = [n for n in VARIED if n not in named and len(getattr(config, n) or ()) > 1]
    return " ".join(f"{name}={choice[name]}" for name in several)


def check_trials(config: Config, models: int) -> None:
    """Raises Refused, before anything is built, if that many models make too many trials."""
    varied = (getattr(config, name) or (None,) for name in (*VARIED, "batch_size"))
    each = config.seeds if config.tune is None else config.tune + 2 * config.seeds
    trials = models * prod(map(len, varied)) * each
    if trials > MOST_TRIALS:
        raise Refused(
            f"these options make {trials:,} trials, and a run has at most {MOST_TRIALS:,}: lower "
            "--seeds or compare less."
        )


def check_recipes(recipes: Sequence[str], models: Sequence[str]) -> None:
    """Raises Refused if a recipe is for a model that is not there, or a model has none."""
    only = {name: model for name in recipes if (model := RECIPES[name].model)}
    for recipe, model in only.items():
        if model not in models:
            raise Refused(f"--recipe {recipe} is for {model} alone: add it to --models.")
    for model in models:
        if not any(RECIPES[name].trains(model) for name in recipes):
            raise Refused(
                f"--recipe {' '.join(only)} is not for {model}: add another recipe, or leave the "
                "model out."
            )


def check_image_sizes(
    image_sizes: Iterable[int | str], memory_bytes: int | None, owner: str = "the memory budget"
) -> None:
    """Raises Refused if two images, as float32, are larger than all memory: `memory_bytes`, or
    where that is None, this machine's."""
    if memory_bytes is None:
        memory_bytes, owner = psutil.virtual_memory().total, "this machine's memory"
    for pixels in image_sizes:
        needed_bytes = 0 if isinstance(pixels, str) else 2 * 3 * 4 * pixels**2
        if needed_bytes > memory_bytes:
            raise Refused(
                f"--image-size {pixels} is too large: two images alone need "
                f"{needed_bytes >> 20:,} MiB, and {owner} is {memory_bytes >> 20:,} MiB."
            )


def choose_batches(
    trials: Iterable[Trial],
    searched: dict[Shape, LargestBatch],
    train_images: int,
    *,
    strong: bool = False,
) -> dict[Trial, int | None]:
    """Each trial's batch size, in each process: what it was given, or what its choice comes to
    after the search; if scaling is `strong`, what a batch of one process is divided into.

    Without a search, `auto` and `own` are at most `AUTO_LIMIT`, unchecked, and `max` is not known.
    None means that not even two images fit in memory.
    """
    trials = list(trials)
    ceiling = power_of_two(min(AUTO_LIMIT, train_images))
    answers = {trial: searched.get(trial.shape) for trial in trials}
    largest = {t: answer.max_batch if answer else None for t, answer in answers.items()}
    own = {t: ceiling if n is None else min(ceiling, power_of_two(n)) for t, n in largest.items()}
    shared = min((size for size in own.values() if size), default=0)
    chosen: dict[Trial, int | None] = {}
    for trial in trials:
        by_choice = {"auto": min(shared, own[trial]), "own": own[trial], "max": largest[trial]}
        size = by_choice.get(trial.batch_choice, trial.batch_size)
        if strong and size and trial.batch_choice in by_choice:
            size //= trial.setting.ranks
        chosen[trial] = size if size and size > 1 else None
    return chosen


def refusal(trial: Trial, batch_size: int | None, largest: LargestBatch | None) -> str | None:
    """Why a trial is known not to fit in memory, in a sentence; None if it may run."""
    if largest is not None and largest.max_batch < 2:
        mib = [(size or 0) / 2**20 for size in (largest.budget_bytes, largest.needed_bytes)]
        budget = f" in {mib[0]:.0f} MiB" if mib[0] else ""
        needs = f"; it needs about {mib[1]:.0f} MiB" if mib[1] else ""
        return (
            f"{trial.model} at {trial.setting.image_size} px cannot train even the smallest batch"
            f"{budget}{needs}: raise --memory-budget, lower --image-size or leave the model out."
        )
    if batch_size is None:
        return (
            f"--batch-size {trial.batch_choice} is known only after a search; drop --no-max-batch."
        )
    parts = trial.setting.accumulate
    if batch_size < 2 * parts:
        return (
            f"--accumulate {parts} makes parts of one image of its batch of {batch_size}, which "
            f"cannot train batch norm; use at most {batch_size // 2}."
        )
    if largest is not None and batch_size > largest.max_batch:
        size = trial.setting.image_size
        return (
            f"--batch-size {batch_size} does not fit {trial.model} at {size} px: "
            f"{largest.max_batch} is the largest; use --batch-size max or a smaller one."
        )
    return None


def power_of_two(limit: int) -> int:
    """The largest power of two up to `limit`; 0 if there is none."""
    return 1 << (limit.bit_length() - 1) if limit > 0 else 0


def notes_on(
    trial: Trial,
    described: ModelDescribed | None,
    data: DatasetFacts,
    *,
    epochs: int,
    searched: bool,
) -> tuple[str, ...]:
    """Decisions made for the user, in sentences; `data` has the images that the trial trains on."""
    notes, size, ranks = [], trial.batch_size or 0, trial.setting.ranks
    if trial.batch_choice in ("auto", "own") and not searched:
        notes.append(f"Batch {size} was chosen without a search.")
    if size and (dropped := dropped_images(data.train_images, size * ranks, ranks)):
        many = "One image is" if dropped == 1 else f"{dropped} images are"
        for_each = " for a process" if ranks > 1 else ""
        why = f"batch norm cannot train on one{for_each}"
        notes.append(f"{many} left out of each epoch: {why}.")
    if not logits.are_small(data.test_images, len(data.classes)):
        notes.append("The test logits are not kept, because they are too large.")
    part, frozen = trial.setting.part_of(size), trial.setting.freeze == "body"
    layers = described.layers if described and not frozen else ()
    if part < size and any("BatchNorm" in layer.type for layer in layers):
        notes.append(
            f"Batch norm sees {part} images at a time, not {size}: with --accumulate its "
            "statistics, and so the training, are not those of a whole batch."
        )
    name = trial.setting.recipe
    if wanted := RECIPES[name].made_for(epochs, size * ranks):
        notes.append(f"The recipe {name} was made for {wanted}.")
    return tuple(notes)

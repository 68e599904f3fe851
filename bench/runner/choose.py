"""Which card to take: cards ranked for a plan by predicted time, money and energy."""

from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Annotated, Any

from msgspec import Meta

from bench import config
from bench.analysis.time_to_accuracy import epochs_to
from bench.analysis.trial_group import TrialGroup, trial_groups
from bench.errors import BenchError, Refused
from bench.options import Count, Duration, Folder, Group, Help, flag_of, options_of
from bench.prediction.cards import cards, find_card
from bench.prediction.choice import Candidate, Plan, rank
from bench.prediction.speed import why_no_speed
from bench.records.run import Run, load_run
from bench.registry import matching
from bench.runner.max_batch import CARDS, MaxBatchOptions, ModelsOnCards, predict_batches
from bench.units import parse_duration
from models.own import named

EPOCHS = 10
"""As many as in the lecture."""

Money = Annotated[float, Meta(gt=0, le=1e12, title="MONEY", description="a number above 0")]


@dataclass(frozen=True)
class ChooseOptions(ModelsOnCards):
    """Which card to take for a plan: all the models, each trained for --epochs.

    Nothing is measured: times are predicted, with a range. Exit code 1 if no card does it.

    Raises:
        Refused: an option has a value that cannot work; the message says which and what would.
    """

    card: Annotated[tuple[config.Card, ...], Help(Group.MEMORY, "all that are known"), CARDS] = (
        *cards(),
    )

    epochs: Annotated[Count | None, Help(Group.LENGTH, str(EPOCHS))] = None
    """Passes over the training images, of each model."""

    run: Annotated[Folder | None, Help(Group.LENGTH)] = None
    """Train each model for as many epochs as it took in this run to reach --accuracy: the median
    over seeds. Models, image size, optimizer, precision and images are then the run's, unless
    they are given."""

    accuracy: Annotated[config.Accuracy | None, Help(Group.LENGTH)] = None
    """With --run: the accuracy to reach."""

    deadline: Annotated[Duration | None, Help(Group.LENGTH)] = None
    """Be done in this time, such as 2h."""

    budget: Annotated[Money | None, Help(Group.LENGTH)] = None
    """Spend at most this, in the currency of --price."""

    epoch_seconds: Annotated[config.Seconds | None, Help(Group.LENGTH)] = None
    """Somebody's time of an epoch of one model, on a card that is not known: which could it be?"""

    output: Annotated[Folder | None, Help(Group.OUTPUT, "results/TIME-choose")] = None
    """Where table and picture go."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name, option in options_of(ChooseOptions).items():
            option.checked(getattr(self, name))
        if (self.run is None) != (self.accuracy is None):
            raise Refused("--run and --accuracy go together: give both, or neither.")
        lengths = [name for name in ("epochs", "run", "epoch_seconds") if getattr(self, name)]
        if len(lengths) > 1:
            flags = " and ".join(map(flag_of, lengths))
            raise Refused(f"{flags} each say how many epochs: give one of them.")
        if self.budget is not None and not self.price:
            raise Refused("--budget needs --price, what an hour on each card costs.")
        _ = self.deadline_seconds, self.prices
        asked = self.asked()
        names = named(asked.models)[0]
        several = (names, asked.image_size, asked.optimizer, asked.precision)
        of_zoo = set("*?[") & set(names[0])  # a pattern, of however many
        if self.epoch_seconds is not None and (of_zoo or max(map(len, several)) > 1):
            raise Refused("--epoch-seconds is of one model in one setting: give each one value.")
        pairs = product(map(find_card, self.card), asked.precision)
        reasons = [why_no_speed(card, precision) for card, precision in pairs]
        if all(reasons):
            raise Refused(
                f"{self.card[0]} has no predicted time: {reasons[0]}; name another --card."
            )

    @property
    def deadline_seconds(self) -> float | None:
        """The deadline that was given, in seconds; None if none was."""
        return None if self.deadline is None else parse_duration(self.deadline, "--deadline")

    def asked(self, **otherwise: Any) -> MaxBatchOptions:
        """What is to be predicted; `otherwise` stands in for options that were not given."""
        given = {field.name: getattr(self, field.name) for field in fields(ModelsOnCards)}
        given = {name: value for name, value in given.items() if value is not None}
        return MaxBatchOptions(**{"dataset": "cifar10", **otherwise, **given})


def choose(options: ChooseOptions) -> tuple[list[Candidate], Plan]:
    """The cards for a plan, the best first, and the plan.

    Raises:
        Refused: the run did not reach the accuracy, or no model fits any card.
        BenchError: some model cannot be predicted at all.
    """
    otherwise: dict[str, Any] = {}
    epochs: dict[str, int] = {}
    if options.run is not None and options.accuracy is not None:
        otherwise, epochs = _of_run(load_run(options.run), options.accuracy, options)
        options = replace(options, models=tuple(epochs))
    asked = options.asked(**otherwise)
    if options.batch_size and options.batch_size > asked.epoch_images:
        raise Refused(
            f"--batch-size {options.batch_size} is more than the {asked.epoch_images:,} images of "
            "an epoch; lower it."
        )
    predictions = predict_batches(asked)
    if predictions.problems:
        raise BenchError(f"the plan cannot be predicted: {predictions.problems[0]}")
    count = options.epochs or (EPOCHS if options.epoch_seconds is None else 1)
    plan = Plan(
        epochs={p.model: epochs.get(p.model, count) for p in predictions.largest},
        images=asked.epoch_images,
        batch_size=options.batch_size,
        prices=options.prices,
        deadline_seconds=options.deadline_seconds,
        budget=options.budget,
        epoch_seconds=options.epoch_seconds,
    )
    named = dict.fromkeys(map(find_card, asked.card))
    return rank(list(named), predictions.largest, plan), plan


def _of_run(
    run: Run, accuracy: float, options: ChooseOptions
) -> tuple[dict[str, Any], dict[str, int]]:
    """What a run was of, as options, and the epochs that each model needed there."""
    run.check_begun()
    found = trial_groups(run)
    models = dict.fromkeys(group.model for group in found)
    patterns = options.models or ("*",)
    for pattern in patterns:
        if not matching(models, pattern):
            known = ", ".join(models)
            raise Refused(f"--run {run.path} has no trial of {pattern}; it has {known}.")
    wanted = matching(models, *patterns)
    groups = [group for group in found if group.model in wanted]
    if len(groups) > len(wanted):
        raise Refused(f"--run {run.path} has several settings of a model; name a run with one.")
    epochs = {group.model: _epochs_of(group, accuracy) for group in groups}
    otherwise: dict[str, Any] = {
        name: tuple(dict.fromkeys(getattr(group.setting, name) for group in groups))
        for name in ("image_size", "optimizer", "precision")
    }
    if len(otherwise["image_size"]) > 1:
        otherwise["image_size"] = ("native",)
    if options.dataset is None:
        otherwise["images"] = run.dataset.train_images
    return otherwise, epochs


def _epochs_of(group: TrialGroup, accuracy: float) -> int:
    """Epochs until the median seed reached the accuracy; Refused if it never did."""
    curves = [trial.epochs for trial in group.evaluated]
    epochs = epochs_to(curves, accuracy)
    if epochs is None:
        best = max((epoch.accuracy for curve in curves for epoch in curve), default=0.0)
        raise Refused(
            f"{group.model} never reached --accuracy {accuracy:g} in this run, at best {best:.3g}; "
            "lower it, or leave the model out of --models."
        )
    return epochs

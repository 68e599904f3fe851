"""What is compared: the trials of one model under one setting, which differ only in their seed.

A group is made of rows of `models.csv`, whether a run folder's log gives them or a table that came
from elsewhere. Labels say only what varies within what is compared.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from bench.analysis.intervals import Estimate, estimate
from bench.analysis.metrics import BY_NAME
from bench.errors import Refused
from bench.recipes import RECIPES
from bench.records.records import Contestant, Epoch, HeldOut, Setting, Trial
from bench.records.run import Run, TrialResult
from bench.settings import OPTIMIZERS, decay_of, label_smoothing_of, warmup_of
from bench.units import finite_number

TRAITS = (
    *("model", "image_size", "recipe", "precision", "optimizer", "learning_rate", "weight_decay"),
    *("augment", "channels_last", "pretrained", "freeze", "accumulate", "warmup"),
    *("label_smoothing", "nproc_per_node", "sync_batch_norm", "nnodes", "tuning", "batch_choice"),
)
"""Columns that make two trials trials of the same thing, apart from the seed."""

FOLLOWS = {
    "optimizer": ("recipe",),
    "learning_rate": ("model", "recipe", "optimizer", "tuning"),
    "weight_decay": ("model", "recipe", "optimizer", "tuning"),
    "warmup": ("model", "recipe", "optimizer", "tuning"),
    "label_smoothing": ("model", "recipe", "optimizer", "tuning"),
    "augment": ("recipe",),
}
"""Traits that may follow from others, which then say enough."""

Values = Mapping[Any, float]
"""A metric by seed: a number, or a `SeedOf` somebody where many people's trials are pooled."""

SEPARATOR = " · "


@dataclass(frozen=True, eq=False)
class Row:
    """One trial: its cells as text by column, where they stand, and the trial itself if its run is
    at hand; each cell is then worked out when it is asked for."""

    cells: Mapping[str, str]
    where: str
    result: TrialResult | None = None

    def _cell(self, name: str) -> str:
        if self.result is None:
            return self.cells.get(name, "").strip()
        value = BY_NAME[name].value(self.result)
        return "" if value is None else str(value).strip()

    def text(self, name: str) -> str:
        """A cell in the one way it can be written: 32, not 32.0; empty if it is not there. A table
        may be somebody else's: what would command a terminal is left out."""
        cell = self._cell(name) or self._usual(name)
        try:
            return _written(float(cell))
        except ValueError:
            return cell if cell.isprintable() else "".join(filter(str.isprintable, cell))

    def _usual(self, name: str) -> str:
        """What a cell means that a table leaves out because it is as usual."""
        if name == "weight_decay":
            own = OPTIMIZERS.get(self._cell("optimizer"))
            return str(own.weight_decay) if own else ""
        if name in ("warmup", "label_smoothing"):
            recipe = RECIPES.get(self.text("recipe"))
            return str(getattr(recipe, name)) if recipe else ""
        usual = {"recipe": "constant", "freeze": "none", "sync_batch_norm": "False"}
        usual |= dict.fromkeys(("accumulate", "nproc_per_node", "nnodes"), "1")
        return (usual | {"validation_images": "0"}).get(name, "")

    def number(self, name: str) -> float | None:
        """A cell as a number, None if it is empty; Refused if it is no number."""
        cell = self._cell(name)
        value = finite_number(cell)
        if cell and value is None:
            raise Refused(f"{self.where}: {name} {cell[:40]!r} is not a number.")
        return value

    @property
    def seed(self) -> int:
        """The trial's seed; Refused if it is no whole number."""
        value = self.number("seed")
        if value is None or value < 0 or not value.is_integer():
            raise Refused(f"{self.where}: seed {self.text('seed')!r} is no whole number from 0.")
        return int(value)

    @property
    def done(self) -> bool:
        """Whether the trial came to its end."""
        return self.text("status") == "done"

    @property
    def traits(self) -> tuple[str, ...]:
        """What the trial is of, in the order of `TRAITS`."""
        *traits, batch = (self.text(name) for name in TRAITS)
        # Older tables know only the size that a choice such as `auto` came to.
        return (*traits, batch or self.text("batch_size"))


@dataclass(frozen=True, eq=False)
class TrialGroup:
    """The trials of one model under one setting, a row each."""

    label: str
    rows: tuple[Row, ...]

    @cached_property
    def traits(self) -> dict[str, str]:
        """What all its trials share, by column."""
        return dict(zip(TRAITS, self.rows[0].traits, strict=True))

    @property
    def model(self) -> str:
        """The model that was trained."""
        return self.traits["model"]

    def values(self, name: str) -> Values:
        """A metric by seed, of the trials that have it: those that are done, or all for a count
        that training does not change; Refused if one has text."""
        rows = self.rows if BY_NAME[name].exact else [row for row in self.rows if row.done]
        known = {row.seed: row.number(name) for row in rows}
        return {seed: value for seed, value in known.items() if value is not None}

    def texts(self, name: str) -> tuple[str, ...]:
        """The different values of a column, in order of appearance."""
        return tuple(dict.fromkeys(row.text(name) for row in self.rows))

    @property
    def batch_sizes(self) -> str:
        """The batch size that it was trained with; several, if it was changed."""
        return ", ".join(self.texts("batch_size"))

    @property
    def noisy(self) -> int:
        """How many of its trials are marked as disturbed."""
        return sum(bool(row.text("noise")) for row in self.rows)

    @property
    def machine(self) -> Values:
        """By seed, the speed of a fixed matrix product beside each trial, where it was timed."""
        return {s: speed for s, speed in self.values("calibration_gflops").items() if speed > 0}

    @property
    def trials(self) -> tuple[TrialResult, ...]:
        """Its trials, where their run is at hand."""
        return tuple(row.result for row in self.rows if row.result is not None)

    @property
    def setting(self) -> Setting:
        """The setting of all its trials."""
        return self.trials[0].trial.setting

    @property
    def finished(self) -> bool:
        """Whether any of its trials came to its end."""
        return any(row.done for row in self.rows)

    @property
    def counted(self) -> tuple[TrialResult, ...]:
        """The trials that figures are taken over: those that are done, or all if none is."""
        return tuple(trial for trial in self.trials if trial.status == "done") or self.trials

    @property
    def trained(self) -> tuple[TrialResult, ...]:
        """The counted trials that have at least one epoch."""
        return tuple(trial for trial in self.counted if trial.epochs)

    @property
    def evaluated_on(self) -> HeldOut:
        """The images that its epochs were evaluated on."""
        return next((e.evaluated_on for trial in self.trials for e in trial.epochs), "test")

    @property
    def evaluated(self) -> tuple[TrialResult, ...]:
        """The trained trials whose epochs were evaluated: none of them, if tuning trained them on
        all images again."""
        return tuple(trial for trial in self.trained if trial.epochs[-1].evaluated)

    def curve(self, value: Callable[[Epoch], float]) -> list[Estimate]:
        """`value` epoch by epoch over the seeds, as far as every seed got."""
        columns = zip(*([value(e) for e in t.epochs] for t in self.trained), strict=False)
        return [estimate(column) for column in columns]

    def by_seed(self, value: Callable[[TrialResult], float | None]) -> Values:
        """A figure of the trained trials, where they have it."""
        known = {trial.trial.seed: value(trial) for trial in self.trained}
        return {seed: v for seed, v in known.items() if v is not None}

    def has(self, name: str) -> bool:
        """Whether a metric is known of any counted trial, although it may have no mean."""
        return self.metric(name) is not None

    def metric(self, name: str) -> Estimate | None:
        """A metric's mean over the counted trials; None if none has it as a number."""
        values = [BY_NAME[name].value(trial) for trial in self.counted]
        known = [float(value) for value in values if isinstance(value, (int, float))]
        return estimate(known) if known else None


def trial_groups(run: Run) -> list[TrialGroup]:
    """The groups of a run, in the order of the first seed's trials."""
    return grouped(rows_of(run))


def rows_of(run: Run) -> list[Row]:
    """The trials of a run as rows, in the order of `results_of`."""
    return [Row({}, f"{run.path}, {r.trial.id}", r) for r in results_of(run)]


def results_of(run: Run) -> list[TrialResult]:
    """The trials of a run, seed by seed: several at once begin in any order. Not the points of
    tuning."""
    compared = (result for result in run.trials if not result.trial.is_point)
    return sorted(compared, key=lambda result: result.trial.seed)


def grouped(rows: Iterable[Row]) -> list[TrialGroup]:
    """Rows by what they are of; Refused if one seed is there twice under one setting."""
    groups: dict[tuple[str, ...], dict[int, Row]] = {}
    for row in rows:
        seeds = groups.setdefault(row.traits, {})
        if row.seed in seeds:
            raise Refused(
                f"{row.where}: {row.traits[0]} with seed {row.seed} is there twice under one "
                "setting; compare one run with another, not several in one table."
            )
        seeds[row.seed] = row
    return labelled([TrialGroup("", tuple(seeds.values())) for seeds in groups.values()])


def labelled(groups: Sequence[TrialGroup]) -> list[TrialGroup]:
    """The groups, each called by its model and what of its setting varies between them."""
    labels = labels_of([tuple(group.traits.values()) for group in groups])
    return [replace(group, label=label) for group, label in zip(groups, labels, strict=True)]


def trial_labels(trials: Iterable[Trial]) -> dict[str, str]:
    """What to call each trial, by its id: model, what varies of its setting, its seed if seeds do.

    >>> trial_labels([Trial("resnet18", s, Setting(32, "sgd", 0.01, "fp32"), "auto", 8)
    ...               for s in (0, 1)]).values()
    dict_values(['resnet18 · seed 0', 'resnet18 · seed 1'])
    """
    trials = list(trials)
    traits = [_traits_of(trial) for trial in trials]
    several = len({trial.seed for trial in trials if not trial.is_point}) > 1
    return {
        trial.id: f"{label}{SEPARATOR}seed {trial.seed}"
        if several and not trial.is_point
        else label
        for trial, label in zip(trials, labels_of(traits), strict=True)
    }


def contestant_labels(contestants: Iterable[Contestant]) -> dict[Contestant, str]:
    """What to call each contestant of a tuning: model, and what varies of its default values."""
    contestants = list(contestants)
    trials = [Trial(c.model, 0, c.default, c.batch_choice, None) for c in contestants]
    labels = labels_of([_traits_of(trial) for trial in trials])
    return dict(zip(contestants, labels, strict=True))


def labels_of(traits: Sequence[Sequence[str]]) -> list[str]:
    """A label for each row of traits: the model, and the traits that take several values for one
    and the same model. What follows from others (`FOLLOWS`) is not repeated."""
    models = {row[0] for row in traits}
    varying = [
        column
        for column in range(1, len(TRAITS))
        if len({(row[0], row[column]) for row in traits}) > len(models)
    ]
    varying = [column for column in varying if not _follows(TRAITS[column], traits)]
    return [
        SEPARATOR.join([row[0], *(trait_text(TRAITS[column], row[column]) for column in varying)])
        for row in traits
    ]


def _traits_of(trial: Trial) -> tuple[str, ...]:
    values = asdict(trial.setting) | {"model": trial.model, "batch_choice": trial.batch_choice}
    values["weight_decay"] = decay_of(trial.setting)
    values["warmup"] = warmup_of(trial.setting)
    values["label_smoothing"] = label_smoothing_of(trial.setting)
    values["tuning"] = trial.tuning.text if trial.tuning else ""
    return tuple(f"{v:g}" if isinstance(v := values[name], float) else str(v) for name in TRAITS)


def setting_text(setting: Setting) -> str:
    """A setting in words: `32 px, sgd, fp32`, and what is otherwise than usual."""
    usual = asdict(Setting(setting.image_size, setting.optimizer, 0.0, setting.precision))
    cells = asdict(setting)
    words = [trait_text(n, str(cells[n])) for n in ("image_size", "optimizer", "precision")]
    more = (
        *("recipe", "augment", "channels_last", "freeze", "accumulate", "warmup"),
        *("label_smoothing", "nproc_per_node", "sync_batch_norm", "nnodes"),
    )
    return ", ".join(words + [trait_text(n, str(cells[n])) for n in more if cells[n] != usual[n]])


def _follows(name: str, traits: Sequence[Sequence[str]]) -> bool:
    """Whether a trait has but one value for each combination of those that it may follow from."""
    sources = [TRAITS.index(source) for source in FOLLOWS.get(name, ())]
    known = {tuple(row[source] for source in sources) for row in traits}
    both = {(*(row[source] for source in sources), row[TRAITS.index(name)]) for row in traits}
    return bool(sources) and len(known) == len(both)


def _written(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def trait_text(name: str, text: str) -> str:
    """A trait as labels have it: `lr 0.1`, `pretrained`."""
    yes = text in ("True", "yes")
    return {
        "image_size": f"{text} px",
        "learning_rate": f"lr {text}",
        "weight_decay": f"decay {text}",
        "warmup": f"warm-up {text}",
        "label_smoothing": f"smoothing {text}",
        "tuning": {"default": "default values"}.get(text, text) or "not tuned",
        "augment": {"True": "shift", "False": "not augmented", "none": "not augmented"}.get(
            text, text
        ),
        "channels_last": "channels last" if yes else "channels first",
        "pretrained": "pretrained" if yes else "from scratch",
        "freeze": "all trained" if text == "none" else f"{text} frozen",
        "accumulate": f"accumulate {text}",
        "nproc_per_node": "1 process" if text == "1" else f"{text} processes",
        "nnodes": "1 node" if text == "1" else f"{text} nodes",
        "sync_batch_norm": "synchronised batch norm" if yes else "batch norm by process",
        "batch_choice": f"batch {text}",
    }.get(name, text)

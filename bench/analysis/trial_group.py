"""What is compared: the trials of one model under one setting, over all seeds.

Labels say only what varies within the run; a model has one colour through the whole report.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analysis.intervals import Estimate, estimate
from bench.analysis.metrics import BY_NAME
from bench.records.records import Epoch, Setting
from bench.records.run import Run, TrialResult

PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#8C6D31",
)
"""Okabe and Ito's colours, which people with any colour vision tell apart (yellow, too pale for
lines, replaced by brown)."""

LineStyle = str | tuple[int, tuple[int, ...]]

LINE_STYLES: tuple[LineStyle, ...] = (
    "-",
    "--",
    ":",
    "-.",
    (0, (8, 2)),
    (0, (1, 3)),
    (0, (6, 2, 1, 2, 1, 2)),
    (0, (3, 4)),
)
"""Matplotlib's: by name, or an offset and the lengths of dashes and gaps."""


@dataclass(frozen=True)
class Series:
    """Trials that differ in nothing but their seed, with how they look in every plot."""

    label: str
    model: str
    colour: str
    line_style: LineStyle
    trials: tuple[TrialResult, ...]

    @property
    def setting(self) -> Setting:
        """The setting of all its trials."""
        return self.trials[0].trial.setting

    @property
    def counted(self) -> tuple[TrialResult, ...]:
        """The trials that figures are taken over: those that are done, or all if none is."""
        return tuple(trial for trial in self.trials if trial.status == "done") or self.trials

    @property
    def trained(self) -> tuple[TrialResult, ...]:
        """The counted trials that have at least one epoch."""
        return tuple(trial for trial in self.counted if trial.epochs)

    def curve(self, value: Callable[[Epoch], float]) -> list[Estimate]:
        """`value` epoch by epoch over the seeds, as far as every seed got."""
        columns = zip(*([value(e) for e in t.epochs] for t in self.trained), strict=False)
        return [estimate(column) for column in columns]

    def metric(self, name: str) -> Estimate | None:
        """A metric over the seeds; None if no trial has it, or if it is not a number."""
        values = [BY_NAME[name].value(trial) for trial in self.counted]
        known = [float(value) for value in values if isinstance(value, (int, float))]
        return estimate(known) if known else None


def series(run: Run) -> list[Series]:
    """The series of a run, in the order of its trials."""
    groups: dict[tuple[str, ...], list[TrialResult]] = {}
    for result in run.trials:
        groups.setdefault((result.trial.model, *_traits(result)), []).append(result)
    models = list(dict.fromkeys(model for model, *_ in groups))
    varying = _varying([list(key) for key in groups])
    found = []
    for (model, *traits), results in groups.items():
        siblings = [key for key in groups if key[0] == model]
        number, turn = models.index(model), siblings.index((model, *traits))
        if len(models) == 1:  # colours are told apart more easily, and no other model needs them
            number, turn = turn, 0
        # Beyond the palette, colours come again with another style.
        style = LINE_STYLES[(turn + number // len(PALETTE)) % len(LINE_STYLES)]
        label = " ".join([model, *(t for t, varies in zip(traits, varying, strict=True) if varies)])
        colour = PALETTE[number % len(PALETTE)]
        found.append(Series(label, model, colour, style, tuple(results)))
    return found


def _traits(result: TrialResult) -> tuple[str, ...]:
    setting = result.trial.setting
    batch = f"batch {result.trial.batch_choice}"
    return (f"{setting.image_size} px", setting.optimizer, setting.precision, batch)


def _varying(keys: Sequence[Sequence[str]]) -> list[bool]:
    """Which traits take several values for one and the same model."""
    per_model: dict[str, list[Sequence[str]]] = {}
    for model, *traits in keys:
        per_model.setdefault(model, []).append(traits)
    columns = [
        [len(set(column)) > 1 for column in zip(*rows, strict=True)] for rows in per_model.values()
    ]
    return [any(column) for column in zip(*columns, strict=True)]

"""A run put together from its records. Tables are functions over it: `bench.analysis.tables`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from bench.errors import Refused
from bench.records import records
from bench.records.run_folder import read_log

T = TypeVar("T")
R = TypeVar("R", bound="Run")


Began = records.TrialStarted | records.TrialResumed | records.TrialRepeated
"""Each of these begins a stay of a trial in a slot."""


OfTrial = (
    records.TrialResumed
    | records.TrialRepeated
    | records.TrialNoted
    | records.Calibrated
    | records.Epoch
    | records.FinalTest
    | records.Inspected
    | records.TrialEnded
)
"""A record of a trial that has begun."""


UNTRAINED = "not trained: its claims need only what is known without training."
"""Why a settlement leaves trials untrained."""


@dataclass
class Stay:
    """A trial in a slot, from its start, resumption or repetition to its end or interruption."""

    began: Began
    place: str
    """The device, and the node in a cluster, that the slot stood for then."""
    seconds: float = 0.0
    status: str = "interrupted"

    @cached_property
    def began_at(self) -> float:
        """When it began, in seconds since 1970."""
        return datetime.fromisoformat(self.began.started_at).timestamp()


@dataclass(eq=False)
class TrialResult:
    """One trial and what came of it. `batch_size` and the rest of `trial` are as it was run.

    If it was repeated, for its times could not be trusted, its figures are those of the last time
    that came to its end; `repeated` says why, each time. `final_test` is of the first time: a trial
    is tested once.
    """

    trial: records.Trial
    run: "Run"
    notes: tuple[str, ...] = ()
    epochs: list[records.Epoch] = field(default_factory=list)
    ended: records.TrialEnded | None = None
    final_test: records.FinalTest | None = None
    inspected: records.Inspected | None = None
    calibrations: list[records.Calibrated] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    stays: list[Stay] = field(default_factory=list)
    _before: "TrialResult | None" = None
    _undone: "TrialResult | None" = None

    def add(self, record: OfTrial) -> None:
        """Take one record of this trial in, but its first."""
        match record:
            case records.TrialResumed():
                self.stays.append(Stay(record, self.run.place(record.slot)))
                if self._undone is not None:  # an older version went on with a repetition
                    before = replace(self)
                    self._take(self._undone)
                    self._before = before
                del self.epochs[record.epochs :]
                self.ended = None
            case records.TrialRepeated():
                self.undo_repetition()
                self.stays.append(Stay(record, self.run.place(record.slot)))
                self.repeated.append(record.because)
                before = replace(self)
                self._take(TrialResult(self.trial, self.run))
                self._before = before
            case records.TrialNoted():
                if record.note not in self.notes:
                    self.notes = (*self.notes, record.note)
            case records.Calibrated():
                self.calibrations.append(record)
            case records.Epoch():
                self.epochs.append(record)
                if self.stays:
                    self.stays[-1].seconds += record.train_seconds + record.test_seconds
            case records.FinalTest():
                if self.final_test is not None:
                    raise Refused(
                        f"the log of {self.run.path} has two final tests of {record.trial}."
                    )
                self.final_test = record
            case records.Inspected():
                self.inspected = record
            case records.TrialEnded():
                self.ended = record
                if self.stays:
                    stay = self.stays[-1]
                    # Of one whose end alone was not logged, that end took no time.
                    stay.seconds = max(stay.seconds, record.seconds)
                    stay.status = record.status
                if record.status == "done":
                    self._before = None
                self.undo_repetition()

    def undo_repetition(self) -> None:
        """If a repetition came to nothing, the figures are those of the time before."""
        if (before := self._before) is not None:
            undone = replace(self)
            self._take(before)
            self._undone = undone

    def _take(self, other: "TrialResult") -> None:
        """Have the figures of another time."""
        self.epochs, self.calibrations = other.epochs, other.calibrations
        self.ended, self.inspected = other.ended, other.inspected
        self._before = self._undone = None

    @property
    def slot(self) -> int:
        """The slot that it last ran in."""
        return self.stays[-1].began.slot if self.stays else 0

    @property
    def status(self) -> str:
        """`done`, `failed`, `refused`, or `unfinished` if the log ends before the trial did."""
        return self.ended.status if self.ended else "unfinished"

    @property
    def went_wrong(self) -> bool:
        """Whether it ended without being done, and was not meant to be left untrained."""
        left = self.ended is not None and self.ended.reason == UNTRAINED
        return self.status not in ("done", "unfinished") and not left

    @property
    def seconds(self) -> float:
        """Wall-clock seconds that it took in all, interruptions apart."""
        return sum(stay.seconds for stay in self.stays)

    @property
    def dataset(self) -> records.DatasetFacts:
        """The images that it trained on."""
        declared, role = self.run.tuning_declared, self.trial.tuning
        retrained = declared is not None and role is not None and role.part != "point"
        return declared.retrained_on if declared and retrained else self.run.dataset

    @property
    def facts(self) -> records.ModelFacts | None:
        """What is published about the model."""
        return self.run.facts.get(self.trial.model)

    @property
    def described(self) -> records.ModelDescribed | None:
        """The model's counts at the trial's image size."""
        return self.run.described.get((self.trial.model, self.trial.setting.image_size))

    @property
    def logits(self) -> records.KeptLogits | None:
        """The test logits after its last epoch, if they were kept."""
        if self.final_test is not None:
            return self.final_test.logits
        return self.epochs[-1].logits if self.epochs else None

    @property
    def largest_batch(self) -> records.LargestBatch | None:
        """The search for its largest batch, if there was one."""
        return self.run.largest_batches.get(self.trial.shape)

    @property
    def sweep(self) -> list[records.SweepPoint]:
        """Speed and memory at a few batch sizes, if they were timed."""
        return [p for p in self.run.sweep_points if (p.model, p.setting) == self.trial.shape]

    def predicted(self, card: str) -> records.Predicted | None:
        """The largest batch predicted for a card, if it was."""
        key = (*self.trial.shape, card)
        predictions = self.run.all_predictions
        return next((p for p in predictions if (p.model, p.setting, p.card) == key), None)


class Run:
    """The records of one run, in memory; `add` takes them in the order of the log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._started: records.RunStarted | None = None
        self._dataset: records.DatasetFacts | None = None
        self._device: records.DeviceFacts | None = None
        self.slots: tuple[records.DeviceFacts, ...] = ()
        self.nodes: tuple[str, ...] = ()
        self.ended: records.RunEnded | None = None
        self.facts: dict[str, records.ModelFacts] = {}
        self.described: dict[tuple[str, int], records.ModelDescribed] = {}
        self.largest_batches: dict[tuple[str, records.Setting], records.LargestBatch] = {}
        self.all_probes: list[records.Probe] = []
        self.sweep_points: list[records.SweepPoint] = []
        self.all_predictions: list[records.Predicted] = []
        self.breakdowns: list[records.MemoryBreakdown] = []
        self.steps_timed: dict[tuple[str, records.Setting, int], records.StepsTimed] = {}
        self.time_predicted: records.TimePredicted | None = None
        self.predicted_times: dict[str, records.TrialTime] = {}
        self.seeds_cut: records.SeedsCut | None = None
        self.points_cut: records.SeedsCut | None = None
        self.tuning_declared: records.TuningDeclared | None = None
        self.chosen: dict[records.Contestant, records.PointChosen] = {}
        self.phase_seconds: dict[str, float] = {}
        self.older: dict[str, Any] = {}
        self._trials: dict[str, TrialResult] = {}
        self._repeating: set[str] = set()

    def add(self, record: records.Record) -> None:
        """Take one record in."""
        if self.older:
            record = _with_setting(record, self.older)
        match record:
            case records.RunStarted():
                self._started = record
                self.older = said_once(record.config)
            case records.DatasetFacts():
                self._dataset = record
            case records.DeviceFacts():
                self._device = record
            case records.Slots():
                self.slots, self.nodes = record.devices, record.nodes
            case records.ModelFacts():
                self.facts[record.name] = record
            case records.ModelDescribed():
                self.described[record.model, record.image_size] = record
            case records.Probe():
                self.all_probes.append(record)
            case records.LargestBatch():
                self.largest_batches[record.model, record.setting] = record
            case records.SweepPoint():
                self.sweep_points.append(record)
            case records.Predicted():
                self.all_predictions.append(record)
            case records.MemoryBreakdown():
                self.breakdowns.append(record)
            case records.StepsTimed():
                self.steps_timed[record.model, record.setting, record.batch_size] = record
            case records.TimePredicted():
                if self.time_predicted is not None and self.time_predicted.factor > 1:
                    self.predicted_times.clear()  # no step was timed for those
                self.time_predicted = record
                for time in record.trials:  # of a resumed trial, its whole is compared
                    self.predicted_times.setdefault(time.trial.id, time)
            case records.SeedsCut():
                if record.points:
                    self.points_cut = record
                else:
                    self.seeds_cut = record
            case records.TuningDeclared():
                self.tuning_declared = record
            case records.PointChosen():
                self.chosen[record.contestant] = record
            case records.TrialStarted():
                self.ended = None
                stays, notes = [Stay(record, self.place(record.slot))], record.notes
                self._trials[record.trial.id] = TrialResult(record.trial, self, notes, stays=stays)
            case records.TrialResumed() | records.TrialRepeated() | records.TrialEnded():
                self.ended = None
                name, fresh = record.trial.id, TrialResult(record.trial, self)
                self._repeating.add(name)
                self._trials.setdefault(name, fresh).add(record)
            case records.Epoch() if record.trial not in self._trials:
                raise Refused(f"the log of {self.path} has an epoch of no trial.")
            case (
                records.Epoch()
                | records.TrialNoted()
                | records.Calibrated()
                | records.FinalTest()
                | records.Inspected()
            ) if record.trial in self._trials:
                self._trials[record.trial].add(record)
            case records.RunTimed():
                for phase, seconds in record.seconds.items():
                    self.phase_seconds[phase] = self.phase_seconds.get(phase, 0.0) + seconds
            case records.RunEnded():
                self.ended = record
                self.undo_repetitions()

    @property
    def complete(self) -> bool:
        """Whether it came to its end: it is not under way, and no signal stopped it."""
        return self.ended is not None and self.ended.exit_code < 128

    def place(self, slot: int) -> str:
        """What a slot stands for now; a run may be resumed on other cards or nodes."""
        here = self._device.device if self._device else "elsewhere"
        device = self.slots[slot].device if slot < len(self.slots) else here
        return f"{device}, node {self.nodes[slot]}" if slot < len(self.nodes) else device

    def undo_repetitions(self) -> None:
        """Nothing is being repeated any more."""
        names, self._repeating = self._repeating, set()
        for name in names:  # not all trials: a log of others may end often
            self._trials[name].undo_repetition()

    @property
    def started(self) -> records.RunStarted:
        """The first record; Refused if the log has none."""
        return _present(self._started, self.path)

    @property
    def dataset(self) -> records.DatasetFacts:
        """The images of the run; Refused if the log does not say."""
        return _present(self._dataset, self.path)

    @property
    def device(self) -> records.DeviceFacts:
        """Where it ran; Refused if the log does not say."""
        return _present(self._device, self.path)

    def check_begun(self) -> None:
        """Raises Refused if the log ends before the run began."""
        _ = self.started, self.dataset, self.device

    @property
    def trials(self) -> list[TrialResult]:
        """All trials that began or were refused, in order."""
        return list(self._trials.values())

    def trial(self, name: str) -> TrialResult | None:
        """The trial of that name, if it has begun."""
        return self._trials.get(name)


def read_run(run: R) -> R:
    """Take in the log of the folder that an empty run names, and return that run.

    Raises:
        Refused: it is not a run folder, or its log is damaged or of another schema.
    """
    for record in read_log(run.path):
        run.add(record)
    run.undo_repetitions()
    return run


def load_run(path: str | Path) -> Run:
    """Read a run folder's log; raises Refused like `read_run`."""
    return read_run(Run(Path(path)))


def collect(path: Path, log: Iterable[records.Record]) -> Run:
    """A run of these records."""
    run = Run(path)
    for record in log:
        run.add(record)
    run.undo_repetitions()
    return run


def said_once(config: Mapping[str, Any]) -> dict[str, Any]:
    """What an older run says in its options alone, for all its trials, and every `Setting` of a
    newer one has: those of the values that are not usual."""
    given = {
        "augment": ("shift", True),
        "channels_last": (False, False),
        "pretrained": (True, True),
    }
    return {name: value for name, (value, flag) in given.items() if config.get(name) is flag}


def _with_setting(record: Any, values: dict[str, Any]) -> Any:
    """A record whose setting, if it has one, has these values."""
    if isinstance(trial := getattr(record, "trial", None), records.Trial):
        return replace(record, trial=_with_setting(trial, values))
    if getattr(record, "setting", None) is not None:
        return replace(record, setting=replace(record.setting, **values))
    return record


def _present(value: T | None, path: Path) -> T:
    if value is None:
        raise Refused(f"the log of {path} ends before its run began; there is nothing to report.")
    return value

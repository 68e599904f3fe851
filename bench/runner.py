"""The main job: options in, a run folder out.

Everything that can be refused is refused before the folder exists. Then every model is described
and fitted, and every trial trained, each in a process of its own; one that fails costs itself
alone.
"""

import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.config import DEFAULT_MEMORY_BUDGET, Config
from bench.errors import BenchError, Interrupted, Refused, TrialFailed
from bench.fit.answer import SMALLEST_BATCH
from bench.fit.cards import DEFAULT_CARDS, DEFAULT_RESERVE_BYTES, Card, find_card
from bench.fit.predict import breakdown, predict
from bench.frames import write_tables
from bench.messages import (
    Conditions,
    FitJob,
    Prepared,
    PrepareJob,
    Progress,
    Simulated,
    SimulateJob,
    TrainJob,
    Warned,
)
from bench.plan import Plan, Shape, choose_batches, make_plan, refusal
from bench.prober import Prober
from bench.process import Worker
from bench.records import (
    SCHEMA,
    ModelDescribed,
    Record,
    RunEnded,
    RunStarted,
    Status,
    Trial,
    TrialEnded,
    TrialStarted,
)
from bench.results import Run
from bench.store import RunFolder, check_output, new_folder
from bench.units import parse_bytes
from models import REGISTRY
from models.zoo import is_zoo

Listener = Callable[[Any], None]
"""Called with every record, `Progress` and `Warned` of a run, to show them."""

CPU_LIMIT_HOLDS = sys.platform == "linux"
"""Elsewhere nothing limits a process's memory, so that the CPU has no largest batch to find."""

PRIVATE_FLAGS = ("--data-dir", "--output")

BREAKDOWN_BATCH = 32
"""The batch size whose memory is taken apart: the lecture's for its GoogLeNet."""


def run(config: Config, listener: Listener = lambda message: None) -> Run:
    """Run a comparison and return its results, which are in its folder too.

    Raises:
        Refused: the input cannot work; nothing was trained.
        Interrupted: Ctrl-C; what was measured until then is in the run folder.
        BenchError: the run folder cannot be written to any more.
    """
    refuse_early(config)
    with tempfile.TemporaryDirectory(prefix="archbench-") as scratch:
        prepared = _prepare(config, Path(scratch), listener)
        plan = make_plan(config, prepared.models, prepared.dataset)
        session = Session(config, prepared, Path(scratch), listener)
        try:
            session.start()
            session.fit_all(plan)
            session.predict_all()
            session.train_all(plan)
        except KeyboardInterrupt:
            where = session.folder.path
            raise Interrupted(
                f"interrupted; what was measured is in {where}, "
                f"and `python -m bench report {where}` makes its report."
            ) from None
        finally:
            session.end()
    refused = [
        t.ended.reason or "" for t in session.run.trials if t.ended and t.status == "refused"
    ]
    if len(refused) == len(session.run.trials):
        raise Refused(" ".join(dict.fromkeys(refused)))
    return session.run


def refuse_early(config: Config) -> None:
    """Find what can be found without torch: unknown names, sizes too small, an unusable folder."""
    check_output(_output(config))
    if config.memory_budget is not None and config.device == "cpu" and not CPU_LIMIT_HOLDS:
        raise Refused("--memory-budget on the CPU needs Linux; leave it out.")
    for pattern in config.models:
        if is_zoo(pattern):
            continue
        for name in REGISTRY.match(pattern):
            for size in config.image_size:
                REGISTRY.get(name).facts.pixels(size)


def _output(config: Config) -> Path:
    return new_folder(config.preset) if config.output is None else config.output


def _prepare(config: Config, scratch: Path, listener: Listener) -> Prepared:
    job = PrepareJob(
        models=config.models,
        device=config.device,
        precisions=config.precision,
        dataset=config.dataset,
        data_dir=None if config.data_dir is None else str(config.data_dir),
        train_limit=None if config.train_limit == "all" else config.train_limit,
        test_limit=None if config.test_limit == "all" else config.test_limit,
        image_sizes=config.image_size,
        data_folder=str(scratch),
    )
    listener(Progress("preparing data", 0, 1))
    with Worker(job, scratch / "worker.log") as worker:
        for message in worker.messages():
            if isinstance(message, Prepared):
                return message
            listener(message)
    raise BenchError("the data could not be prepared.")


class Session:
    """One run under way: its folder, its results so far, and what all its workers are told."""

    def __init__(
        self, config: Config, prepared: Prepared, scratch: Path, listener: Listener
    ) -> None:
        self.config = config
        self.prepared = prepared
        self.scratch = scratch
        self.listener = listener
        self.folder = RunFolder(_output(config))
        self.run = Run(self.folder.path)
        self.log = self.folder.path / "workers.log"
        self.began = perf_counter()
        self.failed_shapes: dict[Shape, str] = {}
        on_cpu = prepared.device.kind == "cpu"
        budget = config.memory_budget_bytes
        self.training = Conditions(
            device=prepared.device.device,
            dataset=prepared.dataset,
            channels_last=config.channels_last,
            augment=config.augment,
            pretrained=config.pretrained,
            budget_bytes=budget,
            workers=config.workers,
        )
        default = parse_bytes(DEFAULT_MEMORY_BUDGET) if on_cpu else None
        self.searching = replace(self.training, budget_bytes=budget or default)
        self.searches = config.fit and (not on_cpu or CPU_LIMIT_HOLDS)

    def start(self) -> None:
        """Write down what was asked for and where it runs."""
        config = self.config.to_dict()
        self.folder.write_json("config.json", config)
        self.folder.write_json("environment.json", self.prepared.environment)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        command = shown_command(sys.argv)
        self.record(RunStarted(SCHEMA, now, command, config, self.prepared.environment))
        self.record(self.prepared.device)
        self.record(self.prepared.dataset)
        for facts in self.prepared.models:
            self.record(facts)

    def fit_all(self, plan: Plan) -> None:
        """Describe every model and find the largest batch of each shape."""
        for shape in plan.shapes:
            try:
                self._fit(shape)
            except (TrialFailed, Refused) as error:
                self.failed_shapes[shape] = str(error)
        write_tables(self.run)

    def train_all(self, plan: Plan) -> None:
        """Train every trial that is not known to fail, one after the other."""
        chosen = choose_batches(plan.trials, self.run.fits, self.prepared.dataset.train_images)
        for trial in plan.trials:
            shape = (trial.model, trial.setting)
            settled = replace(trial, batch_size=chosen[trial])
            no = refusal(trial, chosen[trial], self.run.fits.get(shape))
            if shape in self.failed_shapes:
                self.record(TrialEnded(settled, "failed", self.failed_shapes[shape], 0.0))
            elif no is not None:
                self.record(TrialEnded(settled, "refused", no, 0.0))
            else:
                self._train(settled)
            write_tables(self.run)

    def end(self) -> None:
        """Close the log, tables up to date; nothing that was measured is lost."""
        seconds = perf_counter() - self.began
        try:
            with suppress(BenchError):
                self.record(RunEnded(exit_code(self.run), seconds))
                write_tables(self.run)
        finally:
            self.folder.close()

    def record(self, record: Record) -> None:
        """Write a record to the log, take it into the results, show it."""
        self.folder.append(record)
        self.run.add(record)
        self.listener(record)

    def predict_all(self) -> None:
        """Predict the largest batch of each shape on cards that need not be here."""
        here = self.prepared.device.kind == "cuda"
        names = self.config.card if self.config.card is not None else () if here else DEFAULT_CARDS
        cards = [find_card(name) for name in names]
        if not cards:
            return
        job = SimulateJob(
            models=tuple(facts.name for facts in self.prepared.models),
            image_sizes=self.config.image_size,
            optimizers=self.config.optimizer,
            precisions=self.config.precision,
            learning_rate=self.config.lr,
            num_classes=len(self.prepared.dataset.classes),
            channels_last=self.config.channels_last,
            dataset=self.prepared.dataset,
        )
        self.listener(Progress("predicting the largest batch on other cards", 0, 1))
        try:
            with Worker(job, self.log) as worker:
                for message in worker.messages():
                    self._predict(message, cards)
        except (TrialFailed, Refused) as error:
            self.listener(Warned(f"no prediction: {error}"))
        write_tables(self.run)

    def _predict(self, simulated: Simulated, cards: Sequence[Card]) -> None:
        model, setting, trace = simulated.model, simulated.setting, simulated.trace
        if trace is None:
            self.listener(Warned(f"{model}: no prediction: {simulated.reason}"))
            return
        classes = len(self.prepared.dataset.classes)
        cap = max(SMALLEST_BATCH, self.prepared.dataset.train_images)
        for card in cards:
            self.record(
                predict(
                    trace, model=model, setting=setting, num_classes=classes, card=card, cap=cap
                )
            )
        size, reserve = min(BREAKDOWN_BATCH, cap), DEFAULT_RESERVE_BYTES
        self.record(
            breakdown(trace, model=model, setting=setting, batch_size=size, reserve_bytes=reserve)
        )

    def _fit(self, shape: Shape) -> None:
        on_cpu, images = self.prepared.device.kind == "cpu", self.prepared.dataset.train_images
        largest = 0
        with Prober(
            FitJob(*shape, self.searching),
            self.log,
            limited=on_cpu,
            on_described=self._described,
            on_probe=self.record,
        ) as prober:
            prober.open()
            if self.searches:
                found = prober.search(images)
                self.record(found)
                largest = found.max_batch
        if self.config.sweep_batch and largest:
            # As training runs: without the search's own limit, which slows it on the CPU.
            limited = on_cpu and self.training.budget_bytes is not None
            with Prober(FitJob(*shape, self.training), self.log, limited=limited) as prober:
                for point in prober.sweep(largest):
                    self.record(point)

    def _described(self, described: ModelDescribed) -> None:
        if (described.model, described.image_size) not in self.run.described:
            self.record(described)

    def _train(self, trial: Trial) -> None:
        now, start = datetime.now(UTC).isoformat(timespec="seconds"), perf_counter()
        self.record(TrialStarted(trial, now, self._notes(trial)))
        status: Status = "done"
        reason = None
        job = TrainJob(trial, self.config.epochs, str(self.scratch), self.training)
        try:
            with Worker(job, self.log, limited=self.training.budget_bytes is not None) as worker:
                for message in worker.messages():
                    if isinstance(message, Progress):
                        self.listener(message)
                        continue
                    self.record(message)
                    write_tables(self.run)
                    worker.answer()
        except (TrialFailed, Refused) as error:
            status, reason = "failed", str(error)
        self.record(TrialEnded(trial, status, reason, perf_counter() - start))

    def _notes(self, trial: Trial) -> tuple[str, ...]:
        """What was decided for the user."""
        notes = []
        if trial.batch_choice in ("auto", "own") and not self.searches:
            notes.append(f"Batch {trial.batch_size} was chosen without a search.")
        images = self.prepared.dataset.train_images
        if trial.batch_size and images % trial.batch_size == 1:
            notes.append("One image is left out of each epoch: batch norm cannot train on one.")
        return tuple(notes)


def shown_command(arguments: Sequence[str]) -> str:
    """A command line as it is kept with results: folders of this machine are nobody's business."""
    words = [Path(arguments[0]).name]
    for before, word in pairwise(arguments):
        flag, equals, _ = word.partition("=")
        if before in PRIVATE_FLAGS:
            words.append("DIR")
        else:
            words.append(f"{flag}=DIR" if equals and flag in PRIVATE_FLAGS else word)
    return shlex.join(words)


def exit_code(run: Run) -> int:
    """0 if every trial is done, else 1."""
    return 0 if all(result.status == "done" for result in run.trials) else 1

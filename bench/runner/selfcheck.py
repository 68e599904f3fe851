"""Whether this tool keeps its promises on this machine: measured here, judged by
`bench.analysis.selfcheck`.

Experiments are taken in parts, one after the other, each in processes of its own. A part of each
comes first, then the rest; a part is not begun if one like it took longer than there is time.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any, Literal

from msgspec import Meta

from bench.analysis.compare.pairwise import USUAL, compare
from bench.analysis.compare.side import read_side
from bench.analysis.metrics import BY_NAME
from bench.analysis.selfcheck import CHECKS, PAIRS, Checked, Evidence, judge_all
from bench.config import Config, Options, settings_of
from bench.errors import BenchError, Interrupted, TimedOut, TrialFailed
from bench.options import Folder, Group, Help, options_of
from bench.prediction.cards import DEFAULT_RESERVE_BYTES, card_called, find_card
from bench.prediction.memory import predict
from bench.records import messages
from bench.records.measurement import Measurement
from bench.records.records import DeviceFacts, Probe, Setting, TrialStarted
from bench.records.redaction import public_text
from bench.records.run import Run, TrialResult
from bench.runner.batch_search import Prober
from bench.runner.max_batch import IMAGES, blank_images
from bench.runner.recorder import Listener
from bench.runner.run import run
from bench.runner.scratch import scratch_folder
from bench.runner.session import CPU_LIMIT_HOLDS
from bench.runner.worker_process import Worker
from models import REGISTRY

ROUNDS = 5
"""How often the ways to train an epoch are timed in turn."""

TIMED_STEPS = 5
"""Steps that are timed at the largest batch, on a card; on the CPU its limit would slow them."""

SEEDS, EPOCHS = 3, 2
"""Of each run that is compared with an equal one."""

MIB = 2**20

Figures = Iterator[Measurement]


@dataclass(frozen=True)
class SelfCheckOptions:
    """Check whether this tool keeps its promises on this machine, and leave a folder to send, with
    no local paths and host names: checks.csv, measurements.csv, speeds.csv and environment.json.

    Exit code 0, or 1 if a promise is broken. Use an otherwise idle machine.

    Raises:
        Refused: an option has a value that cannot work; the message says which and what would.
    """

    device: Annotated[
        str,
        Meta(
            pattern=r"^(auto|cpu|cuda(:[0-9]+)?)\Z",
            title="auto|cpu|cuda[:N]",
            description="one of auto, cpu, cuda, cuda:N",
        ),
        Help(Group.PLACE),
    ] = "auto"
    """What to check; auto is the CUDA card if there is one, else the CPU."""

    minutes: Annotated[
        float,
        Meta(gt=0, le=10_000, title="MINUTES", description="a number above 0"),
        Help(Group.LENGTH),
    ] = 20.0
    """Measure for this long at most; what does not fit is out of time, and says so."""

    output: Annotated[Folder | None, Help(Group.OUTPUT, "results/TIME-selfcheck")] = None
    """Where the tables go; must be new or empty."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name, option in options_of(SelfCheckOptions).items():
            option.checked(getattr(self, name))


@dataclass(frozen=True)
class Scale:
    """How much is measured on a kind of device. The first of the `models` is what is trained; the
    search for its largest batch may take `budget_bytes`, those of the others `other_budget_bytes`,
    None for all that there is. `batch` images are a step, `images` an epoch."""

    models: tuple[str, ...]
    image_size: int | Literal["native"]
    budget_bytes: int | None
    other_budget_bytes: int | None
    batch: int
    images: int
    rounds: int = ROUNDS


SCALES = {
    "cpu": Scale(
        models=("resnet18", "lenet", "googlenet"),
        image_size=32,
        budget_bytes=384 * MIB,
        other_budget_bytes=384 * MIB,
        batch=64,
        images=512,
    ),
    "cuda": Scale(
        models=("resnet18", "resnet50", "googlenet", "densenet121", "inception_v3", "vgg16"),
        image_size="native",
        budget_bytes=None,
        other_budget_bytes=8192 * MIB,
        batch=64,
        images=4096,
    ),
}
"""A card whole for one model, and as an emulated smaller one, which is quicker, for the others."""


@dataclass(frozen=True)
class SelfCheck:
    """What a self-check came to: where, every figure, every verdict; and whether somebody ended it
    before its time."""

    device: DeviceFacts
    environment: dict[str, Any]
    measurements: tuple[Measurement, ...]
    checked: tuple[Checked, ...]
    seconds: float
    interrupted: bool = False


@dataclass(frozen=True)
class Bench:
    """Where everything is measured, how much of it, and until when."""

    device: DeviceFacts
    abilities: messages.Abilities
    scale: Scale
    scratch: Path
    deadline: float

    @property
    def on_cpu(self) -> bool:
        """Whether it is the CPU."""
        return self.device.kind == "cpu"

    @property
    def log(self) -> Path:
        """The file for what workers say on standard error."""
        return self.scratch / "worker.log"

    @property
    def seconds_left(self) -> float:
        """The time that is left, below 0 if none is."""
        return self.deadline - perf_counter()

    @property
    def timeout(self) -> float:
        """Seconds after which a worker that starts now is ended."""
        return max(0.1, self.seconds_left)

    def setting(self, model: str, precision: str) -> Setting:
        """How a model is trained."""
        options = Options(
            image_size=(self.scale.image_size,), precision=(precision,), recipe=("constant",)
        )
        return settings_of(REGISTRY.get(model).facts, options)[0]

    def ask(self, what: str, model: str, precision: str, repeat: int | None = None) -> Figures:
        """The figures of a job of a worker, which may be one of several times."""
        job = messages.SelfCheckJob(
            what,
            self.device.device,
            model,
            self.setting(model, precision),
            self.scale.batch,
            self.scale.images,
        )
        limited = None if what == "plain" else False
        with Worker(job, self.log, limited=limited, timeout=self.timeout) as worker:
            for message in worker.messages():
                for figure in message.values:
                    yield figure if repeat is None else replace(figure, repeat=repeat)


@dataclass(frozen=True)
class Part:
    """A part of an experiment, which may give figures to others, too."""

    experiment: str
    label: str
    take: Callable[[Bench], Figures]
    beside: tuple[str, ...] = ()


@dataclass
class _Gathered:
    """What an experiment has come to so far, and how long its longest part took."""

    figures: list[Measurement] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    late: int = 0
    longest: float = 0.0


def selfcheck(
    options: SelfCheckOptions,
    listener: Listener = lambda message: None,
    scales: dict[str, Scale] = SCALES,
) -> SelfCheck:
    """Measure for as long as the options say, and judge.

    Raises:
        Refused: there is no such device here, or torch cannot use it.
    """
    start = perf_counter()
    with scratch_folder() as scratch:
        prepared, abilities = _asked(options.device, scratch)
        listener(prepared.device)
        bench = Bench(
            prepared.device,
            abilities,
            scales[prepared.device.kind],
            scratch,
            start + 60 * options.minutes,
        )
        gathered, interrupted = _measured(parts_of(bench), bench, listener)
    kind, not_run = bench.device.kind, _not_run(bench)
    if interrupted:
        unseen = {name for name, one in gathered.items() if not one.figures}
        not_run = dict.fromkeys(unseen, "interrupted") | not_run
    evidence = {
        name: Evidence(tuple(one.figures), kind, not_run.get(name), tuple(one.failed), one.late)
        for name, one in gathered.items()
    }
    return SelfCheck(
        prepared.device,
        prepared.environment,
        tuple(figure for one in gathered.values() for figure in one.figures),
        tuple(judge_all(evidence, kind)),
        perf_counter() - start,
        interrupted,
    )


def _asked(device: str, scratch: Path) -> tuple[messages.Prepared, messages.Abilities]:
    """The device and its surroundings, and what it can do."""
    folder = scratch / "data"
    folder.mkdir()
    job = messages.PrepareJob(
        ("resnet18",), device, ("fp32",), "shapes10", None, 10, 10, (32,), str(folder)
    )
    answers = []
    for asked in (job, messages.AbilitiesJob(device)):
        with Worker(asked, scratch / "worker.log") as worker:
            answers.append(list(worker.messages()))
    if not all(answers):
        raise BenchError("the device could not be examined.")
    prepared, abilities = (found[-1] for found in answers)
    return prepared, abilities


def _not_run(bench: Bench) -> dict[str, str]:
    """Experiments that are not made here, with the reasons."""
    reasons = {}
    if bench.on_cpu and (bench.device.threads or 1) < 2:
        reasons["cards"] = "torch has one thread here"
    elif not bench.on_cpu and bench.abilities.devices < 2:
        reasons["cards"] = "fewer than two cards are here"
    if sys.platform != "linux":
        reasons["cards"] = "processes that train together need Linux"
    if bench.on_cpu and not CPU_LIMIT_HOLDS:
        reasons["batches"] = "only Linux limits the memory of a process"
    if not bench.on_cpu:
        card = card_called(bench.device.name, bench.device.memory_bytes)
        if card is None or card.peaks is None:
            reasons["speed"] = "what this card computes and moves at most is not known here"
    return reasons


def parts_of(bench: Bench) -> list[Part]:
    """Everything that can be measured here, a part of each experiment first."""
    scale, precisions, skipped = bench.scale, bench.abilities.precisions, _not_run(bench)
    first, *_ = scale.models
    steps = [Part("step", f"a step in {p}", partial(_asks, "step", first, p)) for p in precisions]
    beside = () if bench.on_cpu else ("memory",)
    batches = [
        Part("batches", f"{model} {p}, largest batch", partial(_batches, model, p), beside)
        for p, model in product(precisions, scale.models)
    ]
    sizes = [
        Part("memory", f"{model}, memory of a step", partial(_asks, "memory", model, "fp32"))
        for model in scale.models
    ]
    speeds = [
        Part("speed", f"{model} {p}, seconds of a step", partial(_asks, "speed", model, p))
        for p, model in product(("fp32",) if bench.on_cpu else precisions, scale.models)
    ]
    watched = Part("telemetry", "NVML", partial(_asks, "telemetry", first, "fp32"))
    repeat = Part("repeat", "the same seed twice", _repeat)
    cards = Part("cards", "two processes together", _together)
    rounds = range(1, scale.rounds + 1)
    pace = [Part("pace", f"an epoch, round {n}", partial(_round, n)) for n in rounds]
    pairs = [Part("runs", f"equal runs, pair {n}", partial(_pair, n)) for n in range(1, PAIRS + 1)]
    ours = sizes if bench.on_cpu else [watched]
    firsts = [*steps, *batches[:1], *ours[:1], *speeds[:1], repeat, cards, *pace, *pairs]
    every = [*firsts, *speeds[1:], *ours[1:], *batches[1:]]
    return [part for part in every if part.experiment not in skipped]


def _measured(
    parts: Sequence[Part], bench: Bench, listener: Listener
) -> tuple[dict[str, _Gathered], bool]:
    """What the parts came to, by experiment, and whether somebody ended it."""
    gathered = {check.experiment: _Gathered() for check in CHECKS.values()}
    for number, part in enumerate(parts):
        listener(messages.Progress(part.label, number, len(parts)))
        own, begun = gathered[part.experiment], perf_counter()
        try:
            if bench.seconds_left <= own.longest:
                raise TimedOut("there is no time for it.")
            for figure in part.take(bench):
                gathered[figure.experiment].figures.append(figure)
        except TimedOut:
            for name in (part.experiment, *part.beside):
                gathered[name].late += 1
        except (KeyboardInterrupt, Interrupted):
            return gathered, True
        except BenchError as error:
            own.failed.append(public_text(f"{part.label}: {error}"))
        else:
            own.longest = max(own.longest, perf_counter() - begun)
    return gathered, False


def _asks(what: str, model: str, precision: str, bench: Bench) -> Figures:
    return bench.ask(what, model, precision)


def _round(number: int, bench: Bench) -> Figures:
    """The three ways to train an epoch, each round beginning with another."""
    ways = ("plain", "ours", "floor")
    shift = number % len(ways)
    for way in (*ways[shift:], *ways[:shift]):
        yield from bench.ask(way, bench.scale.models[0], "fp32", repeat=number)


def _batches(model: str, precision: str, bench: Bench) -> Figures:
    """The search's answer, and then it and one image more in another process, twice."""
    scale, setting = bench.scale, bench.setting(model, precision)
    whole = model == scale.models[0]
    conditions = messages.Conditions(
        device=bench.device.device,
        dataset=blank_images(10),
        budget_bytes=scale.budget_bytes if whole else scale.other_budget_bytes,
        workers=0,
    )
    job = messages.SearchJob(model, setting, conditions)

    tried: list[Probe] = []

    def prober() -> Prober:
        how: dict[str, Any] = {"limited": bench.on_cpu, "timeout": bench.timeout}
        return Prober(job, bench.log, on_probe=tried.append, **how)

    def row(quantity: str, value: float, **more: Any) -> Measurement:
        traits = {"experiment": "batches"} | more
        return Measurement(
            quantity=quantity,
            value=float(value),
            model=model,
            image_size=setting.image_size,
            precision=precision,
            **traits,
        )

    with prober() as searching:
        answer, ready = searching.search(IMAGES), searching.ready
    largest = answer.max_batch
    yield row("max_batch", largest)
    if answer.certificate is not None and answer.certificate.peak_memory_bytes is not None:
        peak = answer.certificate.peak_memory_bytes
        yield row("peak_bytes", peak, batch_size=largest, variant="search")
    yield row("probes", len(tried))
    if ready.limit_bytes is not None:
        yield row("limit_bytes", ready.limit_bytes)
    trace = None if bench.on_cpu else ready.trace
    if trace is not None and ready.limit_bytes is not None:
        usable = min(bench.device.memory_bytes - DEFAULT_RESERVE_BYTES, ready.limit_bytes)
        card = find_card(f"{usable}B")
        p = predict(trace, model=model, setting=setting, num_classes=10, card=card, cap=IMAGES)
        for name in ("max_batch", "max_batch_low", "max_batch_high"):
            yield row(name, getattr(p, name), source="predicted")
    if not largest:
        return
    sizes = (largest, largest + 1) if largest < IMAGES else (largest,)
    with prober() as again:
        for repeat, size in product((1, 2), sizes):
            steps = 0 if bench.on_cpu else TIMED_STEPS
            probe = again.probe(messages.ProbeRequest(size, timed_steps=steps))
            more: dict[str, Any] = {"batch_size": size, "repeat": repeat}
            yield row("fits", probe.fits, **more)
            if probe.peak_memory_bytes is not None:
                yield row("peak_bytes", probe.peak_memory_bytes, **more)
                if trace is not None and repeat == 1:
                    more["experiment"] = "memory"
                    yield row("tensor_bytes", probe.peak_memory_bytes, **more)
                    yield row("tensor_bytes", trace.peak_bytes(size), source="predicted", **more)
            if probe.step_seconds:
                yield row("step_seconds", median(probe.step_seconds), **more)


def _repeat(bench: Bench) -> Figures:
    """Two runs with one seed."""
    for variant in ("first", "second"):
        result = _run(bench, f"repeat-{variant}", deterministic=True)
        for trial in result.trials:
            yield from _losses("repeat", trial, variant)


def _together(bench: Bench) -> Figures:
    """A network without batch norm, trained by one process and by two."""
    how: dict[str, Any] = {"models": ("lenet",), "image_size": (32,), "device": bench.device.kind}
    result = _run(bench, "together", nproc_per_node=(1, 2), scaling="strong", **how)
    for trial in result.trials:
        yield from _losses(
            "cards", trial, "alone" if trial.trial.setting.ranks == 1 else "together"
        )


def _losses(experiment: str, trial: TrialResult, variant: str) -> Figures:
    """The losses of every epoch."""
    for epoch in trial.epochs:
        how: dict[str, Any] = {"model": epoch.model, "precision": "fp32", "variant": variant}
        for quantity in ("train_loss", "test_loss"):
            value = getattr(epoch, quantity)
            yield Measurement(experiment, quantity, value, **how, repeat=epoch.epoch)


def _pair(number: int, bench: Bench) -> Figures:
    """Two runs of the same thing, as `compare` sees them."""
    paths = [_run(bench, f"pair-{number}{which}", seeds=SEEDS).path for which in "ab"]
    first, second = map(read_side, paths)
    found = compare(first, second, [BY_NAME[name] for name in USUAL])
    row = partial(Measurement, "runs", model=bench.scale.models[0], repeat=number)
    yield row("compared", float(len(found.lines)))
    yield row("told_apart", float(sum(line.verdict.apart for line in found.lines)))
    for line in found.lines:
        if line.metric.name == "images_per_second":
            yield row("speed_ratio", line.effect.change)


def _run(bench: Bench, name: str, **changes: Any) -> Run:
    """A small run in the scratch folder, of the model that is trained, but for these changes.

    Raises:
        TimedOut: there was no time for all of it.
        TrialFailed: a trial failed.
    """
    scale = bench.scale

    def in_time(message: object) -> None:
        if isinstance(message, TrialStarted) and bench.seconds_left <= 0:
            raise TimedOut("there is no time for it.")

    options: dict[str, Any] = {
        "preset": "smoke",
        "models": scale.models[:1],
        "dataset": "shapes10",
        "device": bench.device.device,
        "image_size": (bench.setting(scale.models[0], "fp32").image_size,),
        "train_limit": scale.images // 2,
        "test_limit": scale.images // 4,
        "batch_size": (scale.batch,),
        "epochs": EPOCHS,
        "seeds": 1,
        "max_batch": False,
        "inspect": False,
        "card": (),
        "output": bench.scratch / name,
        "trial_timeout": bench.timeout,
    }
    result = run(Config(**options | changes), in_time)
    problems = [t.ended.reason or "" for t in result.trials if t.ended and t.status != "done"]
    if problems and bench.seconds_left <= 0:
        raise TimedOut(problems[0])
    if problems:
        raise TrialFailed(problems[0])
    return result

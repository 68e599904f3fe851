"""Records of a small run, made by hand: no torch, no measuring, the same figures every time.

`a_run(folder)` writes a run folder and returns its `Run`; the other builders make single records.
Model number m (0, 1, ...), seed s, epoch e (1, 2, ...): an epoch trains for 10 (m + 1) seconds, the
first one 5 seconds longer, and tests for 1; test accuracy is 0.3 + 0.1 e + 0.02 s + 0.05 m.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.analysis.references import Reference, conditions_of, settings_of
from bench.analysis.tables import RunTables
from bench.analysis.trial_group import trial_groups
from bench.analysis.tuning import choose, contestants, declare
from bench.config import Config
from bench.records.records import (
    SCHEMA,
    DatasetFacts,
    DeviceFacts,
    Epoch,
    FinalTest,
    LargestBatch,
    Layer,
    MemoryBreakdown,
    ModelDescribed,
    ModelFacts,
    Predicted,
    PredictedSpeed,
    Probe,
    Record,
    RunEnded,
    RunStarted,
    Setting,
    StepsTimed,
    Surroundings,
    SweepPoint,
    TimeBudget,
    Trial,
    TrialEnded,
    TrialStarted,
    TuningDeclared,
)
from bench.records.run import collect, read_run
from bench.records.run_folder import RunFolder
from bench.report.context import Context
from bench.runner.plan import at_chosen, make_plan

MIB = 2**20
NOTE = "shapes10 is generated: its accuracies say nothing about photographs."


def a_setting(**changes: Any) -> Setting:
    return replace(Setting(32, "adam", 1e-3, "fp32"), **changes)


def a_trial(model: str = "resnet18", seed: int = 0, **changes: Any) -> Trial:
    return replace(Trial(model, seed, a_setting(), "auto", 64), **changes)


def a_dataset(**changes: Any) -> DatasetFacts:
    classes = tuple(f"class{i}" for i in range(10))
    grey = (0.5, 0.5, 0.5)
    facts = DatasetFacts(
        "shapes10", "auto", classes, 640, 320, 32, grey, grey, "ab" * 32, True, (NOTE,)
    )
    return replace(facts, **changes)


def a_device(**changes: Any) -> DeviceFacts:
    return replace(DeviceFacts("cpu", "cpu", "Test CPU", 8192 * MIB, 2), **changes)


def some_facts(model: str = "resnet18", **changes: Any) -> ModelFacts:
    facts = ModelFacts(model, "family", 224, 1, {}, "https://example.org", 11_689_512, 1.814)
    return replace(facts, **changes)


def a_description(model: str = "resnet18", number: int = 0, **changes: Any) -> ModelDescribed:
    layers = (
        Layer("conv1", "Conv2d", 9_408, 0.002, (64, 16, 16), False),
        Layer("fc", "Linear", 5_130, 0.000005, (10,), False),
    )
    described = ModelDescribed(
        model=model,
        image_size=32,
        params=(number + 1) * 1_000_000,
        params_aux=0,
        params_imagenet=(number + 1) * 1_500_000,
        params_by_kind={"Conv2d": 900_000, "Linear": 100_000},
        gmacs=0.25 * (number + 1),
        gmacs_native=1.75 * (number + 1),
        weight_bytes=(number + 1) * 4_000_000,
        layers=layers,
    )
    return replace(described, **changes)


def a_probe(model: str = "resnet18", batch_size: int = 64, **changes: Any) -> Probe:
    return replace(Probe(model, a_setting(), batch_size, True, 300 * MIB, 0.5), **changes)


def a_largest_batch(model: str = "resnet18", max_batch: int = 100, **changes: Any) -> LargestBatch:
    fitted = LargestBatch(model, a_setting(), max_batch, "measured", "memory", 1024 * MIB)
    return replace(fitted, **changes)


def a_prediction(model: str = "resnet18", card: str = "t4", **changes: Any) -> Predicted:
    predicted = Predicted(
        model, a_setting(), card, 10, 15_000 * MIB, 1234, 1170, 1298, 200 * MIB, 12 * MIB
    )
    return replace(predicted, **changes)


def a_speed(batch_size: int = 1234, **changes: Any) -> PredictedSpeed:
    """A millisecond an image, two thirds of it in convolutions."""
    step = 1e-3 * batch_size
    kinds = {"convolution": 2 / 3 * step, "batch norm": 1 / 3 * step}
    made = PredictedSpeed(batch_size, step, 1.5, 1.5 * step, "arithmetic", kinds, 60.0)
    return replace(made, **changes)


def a_sweep_point(model: str = "resnet18", batch_size: int = 32, **changes: Any) -> SweepPoint:
    """Seconds for which 64 images at once are the fastest."""
    seconds = 0.01 * batch_size + abs(batch_size - 64) * 0.002
    point = SweepPoint(model, a_setting(), batch_size, (seconds,) * 5, (200 + batch_size) * MIB)
    return replace(point, **changes)


def a_breakdown(model: str = "resnet18", **changes: Any) -> MemoryBreakdown:
    parts = {
        "parameters": 45 * MIB,
        "gradients": 45 * MIB,
        "optimizer state": 90 * MIB,
        "data": 5 * MIB,
        "activations": 700 * MIB,
        "temporaries": 40 * MIB,
        "allocator": 10 * MIB,
        "workspace and context": 512 * MIB,
    }
    return replace(MemoryBreakdown(model, a_setting(), 32, parts), **changes)


def some_steps(model: str = "resnet18", **changes: Any) -> StepsTimed:
    """Steps of 2 s, the first of 5; evaluation of 0.1 s an image, the first batch 3 s slower."""
    timed = StepsTimed(
        *(model, a_setting(), 64, 5.0, (2.0, 2.0), 3 + 6.4, 0.1),
        checkpoint_seconds=0.5,
        inspection_seconds=7.0,
        peak_memory_bytes=300 * MIB,
        seconds=30.0,
        start_seconds=4.0,
        calibration_seconds=1.0,
    )
    return replace(timed, **changes)


def an_epoch(trial: Trial, epoch: int = 1, number: int = 0, **changes: Any) -> Epoch:
    train_seconds = 10.0 * (number + 1) + (5.0 if epoch == 1 else 0.0)
    accuracy = 0.3 + 0.1 * epoch + 0.02 * trial.seed + 0.05 * number
    made = Epoch(
        model=trial.model,
        seed=trial.seed,
        trial=trial.id,
        epoch=epoch,
        train_seconds=train_seconds,
        test_seconds=1.0,
        images_per_second=640 / train_seconds,
        train_loss=2.0 / epoch,
        train_accuracy=accuracy + 0.05,
        test_loss=2.2 / epoch,
        test_accuracy=accuracy,
        aux_losses={},
        steps=10,
        images_trained=640,
        images_dropped=0,
        step_seconds=train_seconds / 10,
        step_seconds_p95=train_seconds / 8,
        first_step_seconds=6.0 if epoch == 1 else None,
        peak_memory_bytes=(300 + epoch) * MIB,
        reserved_memory_bytes=None,
        time_budget=TimeBudget(0.5, 3.0, train_seconds - 4.5, 0.5, 1.0, 0.5),
        cpu_seconds=train_seconds * 1.9,
        step_times=(train_seconds / 10,) * 10,
        surroundings=Surroundings(2, 0.01, None, 0, 5),
    )
    return replace(made, **changes)


def run_start(**config: Any) -> list[Record]:
    """The records before any model: start, device, data set."""
    values = json.loads(json.dumps(Config(preset="smoke", device="cpu", **config).to_dict()))
    started = RunStarted(SCHEMA, "2026-01-02T03:04:05+00:00", "run_bench.py", values, {"os": "x"})
    return [started, a_device(), a_dataset()]


def a_done_trial(trial: Trial, epochs: int = 3, number: int = 0) -> list[Record]:
    measured = [an_epoch(trial, epoch, number) for epoch in range(1, epochs + 1)]
    started = TrialStarted(trial, "2026-01-02T03:05:00+00:00")
    return [started, *measured, TrialEnded(trial, "done", None, 40.0)]


def validated(records: Sequence[Record]) -> list[Record]:
    """The same log of a run with validation images: what epochs measured on the test images is of
    them, and each trial that is done has a final test, 0.02 and 0.1 nats worse than its last."""
    made: list[Record] = []
    last: dict[str, Epoch] = {}
    for record in records:
        match record:
            case DatasetFacts():
                record = replace(record, validation_images=64, validation_sha256="cd" * 32)
            case Epoch(test_loss=loss, test_accuracy=accuracy):
                last[record.trial] = record
                ours = {"validation_loss": loss, "validation_accuracy": accuracy}
                record = replace(record, **ours, test_loss=None, test_accuracy=None)
            case TrialEnded(status="done", trial=trial):
                made.append(a_final_test(trial, last[trial.id]))
        made.append(record)
    return made


def a_final_test(trial: Trial, last: Epoch) -> FinalTest:
    return FinalTest(trial.id, last.loss + 0.1, last.accuracy - 0.02, 320, 1.0)


def a_refused_trial(trial: Trial, reason: str = "nothing fits.") -> list[Record]:
    return [TrialEnded(replace(trial, batch_size=None), "refused", reason, 0.0)]


def a_failed_trial(trial: Trial, epochs: int = 0, reason: str = "it broke.") -> list[Record]:
    """A trial that ended with `reason` after so many epochs."""
    *before, _ = a_done_trial(trial, epochs)
    return [*before, TrialEnded(trial, "failed", reason, 3.0)]


def some_records(
    models: Sequence[str] = ("resnet18", "googlenet"), seeds: int = 1, epochs: int = 3
) -> list[Record]:
    """A whole log in which every trial is done."""
    records = run_start(models=tuple(models), seeds=seeds)
    records += [some_facts(model) for model in models]
    for number, model in enumerate(models):
        records += [a_description(model, number), a_probe(model)]
        records += [a_probe(model, 101, fits=False, peak_memory_bytes=None, reason="no memory")]
        records += [a_largest_batch(model, 100 - 10 * number)]
    for seed in range(seeds):
        for number, model in enumerate(models):
            records += a_done_trial(a_trial(model, seed), epochs, number)
    return [*records, RunEnded(0, 100.0)]


def write_log(folder: Path, records: Sequence[Record]) -> Path:
    """A new run folder that holds these records."""
    run_folder = RunFolder(folder)
    for record in records:
        run_folder.append(record)
    run_folder.close()
    return folder


def a_run(
    folder: Path,
    seeds: int = 1,
    models: Sequence[str] = ("resnet18", "googlenet"),
    epochs: int = 3,
) -> RunTables:
    """A run whose trials are all done, with its log in `folder` (new or empty)."""
    return read_run(RunTables(write_log(folder, some_records(models, seeds, epochs))))


def tables_of(folder: Path, records: Sequence[Record]) -> RunTables:
    """A run of these records with its tables, in memory."""
    run = RunTables(folder)
    for record in records:
        run.add(record)
    return run


def a_context(records: Sequence[Record], folder: Path = Path("somewhere")) -> Context:
    """What sections see of a run of these records."""
    return Context(collect(folder, records))


def a_reference(
    mean: float, deviation: float | None = 0.01, seeds: int = 3, **setting: Any
) -> Reference:
    """What resnet18 is known to reach in 3 epochs under a setting."""
    records = [*run_start(), *a_done_trial(a_trial(setting=a_setting(**setting)))]
    (group,) = trial_groups(collect(Path("somewhere"), records))
    conditions, settings = conditions_of(group.rows[0]), settings_of(group.rows[0])
    measured = ("made up", 640, 320, seeds, mean, deviation, "Test CPU", "2.14.1", "2026-01-02")
    return Reference(conditions, settings, *measured)


def tuned_records(
    *optimizers: str,
    models: Sequence[str] = ("resnet18", "googlenet"),
    budget: int = 4,
    seeds: int = 2,
    failed: Sequence[tuple[int, str]] = (),
) -> list[Record]:
    """A whole log of a run that tunes. The best point is that with the learning rate nearest to the
    middle of its space, more so for a later model; trials of a `failed` point and model diverged.
    """
    names = optimizers or ("adam", "sgd")
    options: dict[str, Any] = {"models": tuple(models), "optimizer": names, "epochs": 2}
    options |= {"tune": budget, "seeds": seeds}
    data = a_dataset(train_images=576, validation_images=64, validation_sha256="cd" * 32)
    declared = declare(budget, names, a_dataset(sha256="ef" * 32))
    facts = [some_facts(model) for model in models]
    records = [r for r in run_start(**options) if not isinstance(r, DatasetFacts)]
    records += [data, *facts, declared]
    records += [a_description(model, number) for number, model in enumerate(models)]
    config = Config(preset="smoke", device="cpu", **options)
    plan = make_plan(config, facts, data, declared)
    run = collect(Path("tuned"), records)
    for planned in plan.trials:
        if not planned.is_point and not run.chosen:
            chosen = [choose(run, c, declared) for c in contestants(run)]
            records += chosen
            for choice in chosen:
                run.add(choice)
        trial = replace(at_chosen(planned, run.chosen) or planned, batch_size=64)
        made = _tuned_trial(trial, models.index(trial.model), declared, failed)
        records += made
        for record in made:
            run.add(record)
    return [*records, RunEnded(0, 100.0)]


def _tuned_trial(
    trial: Trial, number: int, declared: TuningDeclared, failed: Sequence[tuple[int, str]]
) -> list[Record]:
    started, setting = TrialStarted(trial, "2026-01-02T03:05:00+00:00"), trial.setting
    space = declared.spaces[setting.optimizer][0]
    off = abs(space.share(setting.learning_rate) - 0.5)
    accuracy = 0.5 - (number + 1) * 0.2 * off + 0.01 * (trial.seed % 7) + 0.03 * number
    nothing: dict[str, Any] = {"test_loss": None, "test_accuracy": None}
    if trial.is_point:
        if (trial.tuning.point, trial.model) in failed:
            return [started, TrialEnded(trial, "failed", "the training loss was nan.", 3.0)]
        figures = nothing | {"validation_loss": 1.5, "validation_accuracy": round(accuracy, 4)}
        epochs = [an_epoch(trial, epoch, number, **figures) for epoch in (1, 2)]
        return [started, *epochs, TrialEnded(trial, "done", None, 30.0)]
    epochs = [an_epoch(trial, epoch, number, **nothing) for epoch in (1, 2)]
    tested = FinalTest(trial.id, 1.5, accuracy, 320, 1.0)
    return [started, *epochs, tested, TrialEnded(trial, "done", None, 40.0)]

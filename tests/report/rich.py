"""A run that has an answer to every question of the report."""

from pathlib import Path

import numpy as np

from bench.records.records import EvaluationMode, Inspected, LayerChange, Record
from bench.records.run import Run, load_run
from tests.builders import (
    MIB,
    a_breakdown,
    a_description,
    a_done_trial,
    a_failed_trial,
    a_largest_batch,
    a_prediction,
    a_probe,
    a_refused_trial,
    a_setting,
    a_speed,
    a_sweep_point,
    a_trial,
    run_start,
    some_facts,
    write_log,
)

KERNELS = "kernels.npz"
MODELS = ("resnet18", "resnet152", "googlenet", "googlenet:noaux")


def rich_records(
    models: tuple[str, ...] = MODELS, reason: str = "the loss is nan."
) -> list[Record]:
    """Several models, depths, heads, optimizers, batch sizes and seeds; predictions; failures."""
    records = run_start(models=models, seeds=2)
    for number, model in enumerate(models):
        largest = 100 - 10 * number
        records += [
            some_facts(model),
            a_description(model, number),
            a_largest_batch(model, largest),
        ]
        for size in (8, 32, largest):
            records.append(a_probe(model, size, peak_memory_bytes=(200 + 5 * size) * MIB))
        records.append(a_probe(model, largest + 1, fits=False, peak_memory_bytes=None))
        records += [a_prediction(model, speeds=(a_speed(), a_speed(32))), a_breakdown(model)]
        records += [a_sweep_point(model, size) for size in (16, 32, 64)]
    sgd = a_setting(optimizer="sgd", learning_rate=1e-2)
    for seed in range(2):
        for number, model in enumerate(models):
            records += a_done_trial(a_trial(model, seed), number=number)
            fixed = a_trial(model, seed, batch_size=16, batch_choice="16")
            records += a_done_trial(fixed, number=number)
        records += a_done_trial(a_trial(models[0], seed, setting=sgd), number=2)
    records += [a_look(a_trial(model).id) for model in models]
    records += a_failed_trial(a_trial("resnet50"), 1, reason)
    return [*records, *a_refused_trial(a_trial("densenet201"))]


def a_look(trial: str) -> Inspected:
    """What training did to a trial's two layers; its kernels are in KERNELS."""
    layers = (
        LayerChange("conv1", 1, 0.5, 0.95, 2.0, 1.0),
        LayerChange("fc", 2, 0.1, 0.05, 1.0, 0.5),
    )
    modes = (
        EvaluationMode("inference", "shuffled", 32, 320, 0.6),
        EvaluationMode("training", "sorted by class", 32, 320, 0.2),
    )
    return Inspected(trial, layers, modes, KERNELS)


def rich_run(folder: Path) -> Run:
    """That run, with its log and its kernels in `folder`."""
    write_log(folder, rich_records())
    (folder / "kernels").mkdir()
    grid = np.linspace(-1, 1, 4 * 3 * 9, dtype=np.float32).reshape(4, 3, 3, 3)
    layers = {"first_before": grid, "first_after": -grid, "second_before": grid[:, :1]}
    np.savez(folder / "kernels" / KERNELS, **layers, second_after=grid[:, 1:2])
    return load_run(folder)

"""Run folders of many days, made by hand: one model, three seeds, whatever varies given."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.records.records import Calibrated, Record, RunEnded, RunStarted
from tests.builders import a_description, a_device, a_done_trial, a_trial, run_start, write_log

ENVIRONMENT = {"python": "3.12.1", "packages": {"torch": "2.9.0"}, "cpu": "Some CPU"}


def day_records(
    day: int,
    factor: float = 1.0,
    *,
    models: Sequence[str] = ("resnet18",),
    seeds: int = 3,
    machine: float = 1.0,
    device: str = "Test CPU",
    **environment: Any,
) -> list[Record]:
    """A run of the day `day` whose epochs take `factor` times as long, on a machine whose fixed
    matrix product is `machine` times as fast."""
    started, _, data = run_start(models=tuple(models), seeds=seeds)
    assert isinstance(started, RunStarted)
    date = f"2026-01-{day:02}T03:04:05+00:00"
    commit = {"commit": f"c{day:011}", "committed_at": date}
    started = replace(started, started_at=date, environment=ENVIRONMENT | commit | environment)
    records: list[Record] = [started, a_device(name=device), data]
    rng = np.random.default_rng(day)
    for number, model in enumerate(models):
        records.append(a_description(model, number))
        for seed in range(seeds):
            trial = a_trial(model, seed)
            begun, *epochs, ended = a_done_trial(trial, 3, number)
            slower = factor * float(np.exp(rng.normal(0, 0.002)))
            epochs = [
                replace(
                    epoch,
                    train_seconds=epoch.train_seconds * slower,
                    images_per_second=epoch.images_per_second / slower,
                )
                for epoch in epochs
            ]
            seconds = (2e-3 / machine,) * 15
            timed = [Calibrated(trial.id, at, "fp32", 512, seconds) for at in (0, 3)]
            records += [begun, timed[0], *epochs, timed[1], ended]
    return [*records, RunEnded(0, 100.0)]


def a_day(folder: Path, day: int, factor: float = 1.0, **options: Any) -> Path:
    """A run folder `day-07` in a folder."""
    return write_log(folder / f"day-{day:02}", day_records(day, factor, **options))

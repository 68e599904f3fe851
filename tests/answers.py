"""Runs of a few models that kept their test logits, made by hand: no torch, the same every time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.records.logits import FOLDER, keep_logits
from bench.records.records import Epoch, KeptLogits, Record
from tests.builders import a_dataset, a_description, a_done_trial, a_trial, run_start, some_facts

CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CAT, DOG = 3, 5


def labels_of(images: int, classes: int = 10) -> NDArray[np.int64]:
    return np.arange(images) % classes


def some_logits(images: int, skill: float, seed: int, classes: int = 10) -> NDArray[np.float32]:
    """Noise, with `skill` added for the right class, less of it where that is cat, of which many
    look like dogs; images are as hard for all seeds."""
    labels, hard = labels_of(images, classes), np.random.default_rng(0).normal(size=images)
    logits = np.random.default_rng(seed + 1).normal(size=(images, classes))
    logits[np.arange(images), labels] += skill + hard - 1.5 * (labels == CAT)
    logits[labels == CAT, DOG] += 1.0
    return (2 * logits).astype(np.float32)


def kept(folder: Path, number: int, logits: NDArray[np.float32]) -> KeptLogits:
    """The record of logits that are in a run folder from now on."""
    path = folder / FOLDER / f"{number:02}.npy"
    return keep_logits(path, logits, labels_of(*logits.shape))


def answering_records(
    folder: Path,
    skills: Mapping[str, float],
    seeds: int = 1,
    images: int = 1000,
    classes: Sequence[str] = CLASSES,
) -> list[Record]:
    """A run of these models, whose last epoch's test accuracy is that of their logits."""
    data = a_dataset(name="cifar10", classes=tuple(classes), test_images=images)
    start, device, _ = run_start(models=tuple(skills), seeds=seeds)
    records: list[Record] = [start, device, data]
    for number, model in enumerate(skills):
        records += [some_facts(model), a_description(model, number)]
    trials = [(model, seed) for seed in range(seeds) for model in skills]
    for number, (model, seed) in enumerate(trials):
        logits = some_logits(images, skills[model], number, len(classes))
        right = (logits.argmax(1) == labels_of(images, len(classes))).mean()
        records += [
            replace(r, test_accuracy=float(right), logits=kept(folder, number, logits))
            if isinstance(r, Epoch) and r.epoch == 3
            else r
            for r in a_done_trial(a_trial(model, seed), number=list(skills).index(model))
        ]
    return records

"""Data sets of the user's own: `mydata.py:load`, `package.module:load`, or a plug-in's.

A callable without arguments, or with one for `--data-dir` (the only one that it needs, or called
`data_dir`), that returns a dict or a named tuple:

    train_images, test_images   uint8 (count, side, side, 3), or (count, side, side) if grey
    train_labels, test_labels   whole numbers (count,), from 0
    classes                     a name for each label

Only workers call it.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import Parameter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.catalogue import SOURCES, Loader
from bench.data.dataset import Arrays, Source
from bench.data.download import Tell
from bench.errors import Refused
from bench.own_code import DATASETS, Place, explained, importing, load, parse_place, plugin

KEYS = ("train_images", "train_labels", "test_images", "test_labels", "classes")


def loader_of(name: str) -> Loader:
    """What loads the data set that `--dataset` names; Refused if nothing has that name."""
    place = None if name in SOURCES else parse_place(name) or plugin(DATASETS, name)
    return SOURCES.get(name) if place is None else partial(load_own, place)


def load_own(place: Place, data_dir: Path | None, _tell: Tell) -> Source:
    """Call what the user wrote, and check what it returns.

    Raises:
        Refused: it fails (the message says in which line), or returns what is no data set.
    """
    target = load(place).target
    with explained(place), importing(place):
        returned = _given(place, target, data_dir)()
    values = returned._asdict() if hasattr(returned, "_asdict") else returned
    if not isinstance(values, Mapping):
        kind = type(returned).__name__
        raise Refused(
            f"{place.label} returns {kind}, not a dict or named tuple with {_keys(KEYS)}."
        )
    if missing := [key for key in KEYS if key not in values]:
        raise Refused(f"{place.label} returns no {_keys(missing)}.")
    with explained(place):
        classes = tuple(map(str, values["classes"]))
    if len(classes) < 2:
        raise Refused(f"{place.label}: classes has {len(classes)} name; two are the least.")
    with explained(place):
        train, test = (_arrays(place.label, values, p, len(classes)) for p in ("train", "test"))
    sides = [part.images.shape[1] for part in (train, test)]
    if sides[0] != sides[1]:
        raise Refused(f"{place.label}: images of {sides[0]} px to train and {sides[1]} to test on.")
    return Source(place.label, classes, train, test)


def _given(place: Place, target: Callable[..., Any], data_dir: Path | None) -> Callable[[], Any]:
    """A loader with --data-dir as the one argument that it needs, or as its `data_dir`."""
    parameters = inspect.signature(target).parameters
    several = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    needed = [p for p in parameters.values() if p.default is p.empty and p.kind not in several]
    if len(needed) > 1:
        names = _keys([p.name for p in needed])
        raise Refused(f"{place.label} needs {names}: it gets --data-dir, or nothing.")
    if needed and data_dir is None:
        raise Refused(f"{place.label} needs {needed[0].name}: give --data-dir.")
    if needed and needed[0].kind is not Parameter.KEYWORD_ONLY:
        return partial(target, data_dir)
    name = needed[0].name if needed else "data_dir"
    # Without the option, a default of the user's own holds.
    return partial(target, **{name: data_dir}) if data_dir and name in parameters else target


def _arrays(label: str, values: Mapping[str, Any], part: str, classes: int) -> Arrays:
    images, labels = (np.asarray(values[f"{part}_{what}"]) for what in ("images", "labels"))
    return Arrays(
        _images(f"{label}: {part}_images", images),
        _labels(f"{label}: {part}_labels", labels, len(images), classes),
    )


def _images(what: str, images: NDArray[Any]) -> NDArray[np.uint8]:
    if images.dtype != np.uint8:
        raise Refused(f"{what} are {images.dtype}, not uint8: pixels are 0 to 255.")
    if images.ndim == 3 or images.shape[3:] == (1,):
        images = np.repeat(images.reshape(*images.shape[:3], 1), 3, axis=3)
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise Refused(
            f"{what} have shape {images.shape}, not (count, side, side, 3): {_hint(images)}"
        )
    if len(images) < 1 or images.shape[1] < 1:
        raise Refused(f"{what} has no images.")
    return np.ascontiguousarray(images)


def _hint(images: NDArray[Any]) -> str:
    if images.ndim == 4 and images.shape[1] == 3:
        return "channels come last, images.transpose(0, 2, 3, 1)."
    return "crop or resize them to squares of one size."


def _labels(what: str, labels: NDArray[Any], count: int, classes: int) -> NDArray[np.int64]:
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise Refused(
            f"{what} are {labels.dtype} of shape {labels.shape}: they must be a whole number for "
            f"each of the {count} images."
        )
    low, high = labels.min(), labels.max()
    if low < 0 or high >= classes:
        raise Refused(
            f"{what} go from {low} to {high}: with {classes} classes they must be 0 to "
            f"{classes - 1}."
        )
    return labels.astype(np.int64)


def _keys(names: Sequence[str]) -> str:
    return ", ".join(names)

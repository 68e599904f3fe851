"""Every data set that `--dataset` names, and `auto`'s choice. A new one is one function here.

Needs neither torch nor numpy, so that `--help` can list the names: a function imports what it needs
when it is called.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import Refused
from bench.registry import Registry

if TYPE_CHECKING:
    from bench.data.dataset import Source

Loader = Callable[[Path | None], "Source"]

SOURCES: Registry[Loader] = Registry("data set")


def _source(load: Loader) -> Loader:
    return SOURCES.add(load.__name__, load)


@_source
def auto(data_dir: Path | None) -> "Source":
    """CIFAR-10 if it is on disk or can be downloaded, else shapes10."""
    try:
        return cifar10(data_dir)
    except Refused:
        source = shapes10(data_dir)
        note = "CIFAR-10 is not on disk and could not be fetched: shapes10 stands in for it."
        return replace(source, notes=(note, *source.notes))


@_source
def cifar10(data_dir: Path | None) -> "Source":
    """60,000 photographs of ten kinds of things, 32 px."""
    from bench.data import cifar

    return cifar.load("cifar10", data_dir)


@_source
def cifar100(data_dir: Path | None) -> "Source":
    """60,000 photographs of a hundred kinds of things, 32 px."""
    from bench.data import cifar

    return cifar.load("cifar100", data_dir)


@_source
def folder(data_dir: Path | None) -> "Source":
    """Your own images, `train/CLASS/*` and `test/CLASS/*` in `data_dir`."""
    from bench.data import image_folder

    if data_dir is None:
        raise Refused("--dataset folder needs --data-dir.")
    return image_folder.load(data_dir)


@_source
def shapes10(data_dir: Path | None) -> "Source":
    """Ten generated shapes; needs no network."""
    from bench.data import shapes10 as shapes
    from bench.data.dataset import Arrays, Source

    train, test = (Arrays(*make()) for make in (shapes.train_set, shapes.test_set))
    note = "shapes10 is generated: its accuracies say nothing about photographs."
    return Source("shapes10", shapes.CLASSES, train, test, notes=(note,))

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
    return SOURCES.add(load.__name__.removeprefix("_"), load)


@_source
def _auto(data_dir: Path | None) -> "Source":
    try:
        return _cifar10(data_dir)
    except Refused:
        source = _shapes10(data_dir)
        note = "CIFAR-10 is not on disk and could not be fetched: shapes10 stands in for it."
        return replace(source, notes=(note, *source.notes))


@_source
def _cifar10(data_dir: Path | None) -> "Source":
    from bench.data import cifar

    return cifar.load("cifar10", data_dir)


@_source
def _cifar100(data_dir: Path | None) -> "Source":
    from bench.data import cifar

    return cifar.load("cifar100", data_dir)


@_source
def _folder(data_dir: Path | None) -> "Source":
    from bench.data import image_folder

    if data_dir is None:
        raise Refused("--dataset folder needs --data-dir.")
    return image_folder.load(data_dir)


@_source
def _shapes10(data_dir: Path | None) -> "Source":
    from bench.data import shapes10
    from bench.data.dataset import Arrays, Source

    train, test = (Arrays(*make()) for make in (shapes10.train_set, shapes10.test_set))
    note = "shapes10 is generated: its accuracies say nothing about photographs."
    return Source("shapes10", shapes10.CLASSES, train, test, notes=(note,))

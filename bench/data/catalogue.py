"""Which data set is meant, and `auto`'s choice. A new data set is one function and one row here."""

from collections.abc import Callable
from pathlib import Path

from bench.data import cifar, image_folder, shapes10
from bench.data.dataset import Arrays, Source
from bench.errors import Refused
from bench.registry import Registry

Loader = Callable[[Path | None], Source]

SOURCES: Registry[Loader] = Registry("data set")


def _cifar10(data_dir: Path | None) -> Source:
    return cifar.load("cifar10", data_dir)


def _cifar100(data_dir: Path | None) -> Source:
    return cifar.load("cifar100", data_dir)


def _folder(data_dir: Path | None) -> Source:
    if data_dir is None:
        raise Refused("--dataset folder needs --data-dir.")
    return image_folder.load(data_dir)


def _shapes10(data_dir: Path | None) -> Source:
    train, test = (Arrays(*make()) for make in (shapes10.train_set, shapes10.test_set))
    note = "shapes10 is generated: its accuracies say nothing about photographs."
    return Source("shapes10", shapes10.CLASSES, train, test, notes=(note,))


def _auto(data_dir: Path | None) -> Source:
    try:
        return cifar.load("cifar10", data_dir)
    except Refused:
        source = _shapes10(data_dir)
        note = "CIFAR-10 is not on disk and could not be fetched: shapes10 stands in for it."
        return Source(
            source.name, source.classes, source.train, source.test, notes=(note, *source.notes)
        )


for _name, _loader in (
    ("auto", _auto),
    ("cifar10", _cifar10),
    ("cifar100", _cifar100),
    ("folder", _folder),
    ("shapes10", _shapes10),
):
    SOURCES.add(_name, _loader)

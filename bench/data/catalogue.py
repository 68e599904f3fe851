"""Every data set that `--dataset` names, and `auto`'s choice. A new one is one function here.

Needs neither torch nor numpy, so that `--help` can list the names: a function imports what it needs
when it is called.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import Refused
from bench.registry import Registry

if TYPE_CHECKING:
    from bench.data.dataset import Source
    from bench.data.download import Tell

Loader = Callable[[Path | None, "Tell"], "Source"]
"""From `--data-dir` to a data set; the second argument shows the progress of a download."""

SOURCES: Registry[Loader] = Registry("data set")


def _source(load: Loader) -> Loader:
    return SOURCES.add(load.__name__.removeprefix("_"), load)


@_source
def _auto(data_dir: Path | None, tell: "Tell") -> "Source":
    from bench.data import cifar
    from bench.data.download import TooSlow, Unfetched

    try:
        return cifar.load("cifar10", data_dir, tell, patient=False)
    except TooSlow as error:
        why = f"{str(error).removesuffix('.')}: shapes10 stands in for it; "
        why += "`python -m bench data cifar10` fetches it."
    except Unfetched:
        why = "CIFAR-10 is not on disk and could not be fetched: shapes10 stands in for it."
    source = _shapes10(data_dir, tell)
    return replace(source, notes=(why, *source.notes))


@_source
def _cifar10(data_dir: Path | None, tell: "Tell") -> "Source":
    from bench.data import cifar

    return cifar.load("cifar10", data_dir, tell)


@_source
def _cifar100(data_dir: Path | None, tell: "Tell") -> "Source":
    from bench.data import cifar

    return cifar.load("cifar100", data_dir, tell)


@_source
def _folder(data_dir: Path | None, tell: "Tell") -> "Source":
    from bench.data import image_folder

    if data_dir is None:
        raise Refused("--dataset folder needs --data-dir.")
    return image_folder.load(data_dir)


@_source
def _shapes10(data_dir: Path | None, tell: "Tell") -> "Source":
    from bench.data import shapes10
    from bench.data.dataset import Arrays, Packed, Source

    def made(make: Callable[[], tuple[Any, Any]]) -> Packed:
        return Packed((), f"shapes10 {shapes10.VERSION}", lambda: Arrays(*make()))

    train, test = made(shapes10.train_set), made(shapes10.test_set)
    note = "shapes10 is generated: its accuracies say nothing about photographs."
    return Source("shapes10", shapes10.CLASSES, train, test, notes=(note,))

"""CIFAR-10 and CIFAR-100, by torchvision's own download and hash check.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from bench.data.dataset import Arrays, Channels, Source
from bench.errors import Refused

REACH_SECONDS = 8.0
"""How long to wait for the server before deciding that there is no network."""

_PUBLISHED: dict[str, tuple[Channels, Channels]] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def load(name: str, data_dir: Path | None) -> Source:
    """`cifar10` or `cifar100` from `data_dir` (or the user's cache folder), downloaded if need be.

    Raises:
        Refused: it is not on disk and cannot be fetched, or what is on disk is damaged.
    """
    root = data_dir or cache_dir()
    if not on_disk(name, root):
        if not _reachable(_dataset_class(name).url):
            archive = root / _dataset_class(name).filename
            if archive.is_file():
                raise Refused(f"{archive} is damaged (its hash is wrong); remove or replace it.")
            raise Refused(
                f"{name} is not in {root} and its server cannot be reached; connect to a "
                f"network, put {_dataset_class(name).filename} there (see --data-dir), or use "
                "--dataset shapes10."
            )
        _download(name, root)
    train, test = (_dataset_class(name)(str(root), train=flag) for flag in (True, False))
    mean, std = _PUBLISHED[name]
    return Source(name, tuple(train.classes), _arrays(train), _arrays(test), mean, std)


def cache_dir() -> Path:
    """Where data sets are kept between runs."""
    return Path(platformdirs.user_cache_dir("archbench")) / "data"


def on_disk(name: str, root: Path) -> bool:
    """Whether every file is there with the right hash; an archive that lies there is unpacked."""
    kind = _dataset_class(name)
    archive = root / kind.filename
    try:
        kind(str(root), download=archive.is_file() and _has_hash(archive, kind.tgz_md5))
    except (RuntimeError, OSError, EOFError):
        return False
    return True


def _has_hash(archive: Path, md5: str) -> bool:
    from torchvision.datasets.utils import check_integrity

    return bool(check_integrity(str(archive), md5))


def _dataset_class(name: str) -> Any:
    from torchvision import datasets

    return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]


def _arrays(dataset: Any) -> Arrays:
    return Arrays(np.ascontiguousarray(dataset.data), np.asarray(dataset.targets, dtype=np.int64))


def _reachable(url: str) -> bool:
    """Whether the server answers within `REACH_SECONDS`, name resolution included."""
    answered = threading.Event()

    def ask() -> None:
        # The address is torchvision's own, over https.
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=REACH_SECONDS):  # noqa: S310
                answered.set()
        except (OSError, ValueError):
            return
        finally:
            done.set()

    done = threading.Event()
    threading.Thread(target=ask, daemon=True).start()
    done.wait(REACH_SECONDS)
    return answered.is_set()


def _download(name: str, root: Path) -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(REACH_SECONDS)
    try:
        root.mkdir(parents=True, exist_ok=True)
        _dataset_class(name)(str(root), download=True)
    except (RuntimeError, OSError, EOFError) as error:
        raise Refused(f"{name} could not be downloaded into {root}: {error}") from error
    finally:
        socket.setdefaulttimeout(before)

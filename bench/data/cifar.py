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
"""After this time without an answer, the server counts as unreachable."""

_PUBLISHED: dict[str, tuple[Channels, Channels]] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def load(name: str, data_dir: Path | None) -> Source:
    """`cifar10` or `cifar100` from `data_dir` (or the user's cache folder), downloaded if needed.

    Raises:
        Refused: it is not on disk and cannot be downloaded, or its archive is damaged.
    """
    kind = _dataset_class(name)
    root = data_dir or Path(platformdirs.user_cache_dir("archbench")) / "data"
    archive = root / kind.filename
    if not _is_complete(kind, root, archive):
        if not _reachable(kind.url):
            if archive.is_file():
                raise Refused(f"{archive} is damaged (its hash is wrong); remove or replace it.")
            raise Refused(
                f"{name} is not in {root} and its server cannot be reached; connect to a "
                f"network, put {kind.filename} there (see --data-dir), or use --dataset shapes10."
            )
        _download(name, kind, root)
    train, test = (kind(str(root), train=flag) for flag in (True, False))
    mean, std = _PUBLISHED[name]
    return Source(name, tuple(train.classes), _arrays(train), _arrays(test), mean, std)


def _is_complete(kind: Any, root: Path, archive: Path) -> bool:
    """Whether every file is there with the right hash; an intact archive is unpacked."""
    from torchvision.datasets.utils import check_integrity

    intact = archive.is_file() and check_integrity(str(archive), kind.tgz_md5)
    try:
        kind(str(root), download=intact)
    except (RuntimeError, OSError, EOFError):
        return False
    return True


def _dataset_class(name: str) -> Any:
    from torchvision import datasets

    return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]


def _arrays(dataset: Any) -> Arrays:
    return Arrays(np.ascontiguousarray(dataset.data), np.asarray(dataset.targets, dtype=np.int64))


def _reachable(url: str) -> bool:
    """Whether the server answers within `REACH_SECONDS`, including name resolution, which has no
    time limit of its own."""
    answered, done = threading.Event(), threading.Event()

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

    threading.Thread(target=ask, daemon=True).start()
    done.wait(REACH_SECONDS)
    return answered.is_set()


def _download(name: str, kind: Any, root: Path) -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(REACH_SECONDS)
    try:
        root.mkdir(parents=True, exist_ok=True)
        kind(str(root), download=True)
    except (RuntimeError, OSError, EOFError) as error:
        raise Refused(f"{name} could not be downloaded into {root}: {error}") from error
    finally:
        socket.setdefaulttimeout(before)

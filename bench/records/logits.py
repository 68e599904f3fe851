"""Test logits of a trial's last epoch, kept in the run folder; read only if they are still what the
log says they are. Nothing in the files is executed.
"""

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import Refused
from bench.records.files import write_atomic
from bench.records.records import KeptLogits

FOLDER = "logits"
LABELS = "labels.npy"

LARGEST_BYTES = 8 * 2**20
"""Logits that take more are not kept: those of 10,000 images in more than 419 classes."""

_LEAST = float(np.finfo(np.float16).min)
_HEADER_BYTES = 1024


def are_small(images: int, classes: int) -> bool:
    """Whether the logits of so many images are kept."""
    return images * classes * np.dtype(np.float16).itemsize <= LARGEST_BYTES


def keep_logits(path: Path, logits: NDArray[Any], labels: NDArray[Any]) -> KeptLogits:
    """Replace a trial's file, and beside it the labels, which all trials of a run share.

    Each image's highest logit is moved to 0, which changes no probability: rounded to float16, the
    highest then stays the highest.

    Args:
        path: the trial's file.
        logits: (images, classes), finite.
        labels: (images,), in the same order.

    Raises:
        BenchError: a file cannot be written.
    """
    shifted = logits.astype(np.float32) - logits.max(axis=1, keepdims=True).astype(np.float32)
    rounded = np.maximum(shifted, _LEAST).astype(np.float16)
    images, classes = rounded.shape
    labels_sha256 = _write(path.with_name(LABELS), labels.astype(np.int64))
    return KeptLogits(path.name, images, classes, _write(path, rounded), labels_sha256)


def read_logits(folder: Path, kept: KeptLogits) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Logits (images, classes) and labels (images,) from a run folder.

    Raises:
        Refused: a file is missing or damaged, or larger than any that is kept; the message is a
            clause that says which.
    """
    if not are_small(kept.images, max(1, kept.classes)):
        raise Refused("the log names more logits than are kept")
    logits = _read(folder, kept.file, kept.sha256, np.float16, (kept.images, kept.classes))
    labels = _read(folder, LABELS, kept.labels_sha256, np.int64, (kept.images,))
    if labels.size and not 0 <= labels.min() <= labels.max() < kept.classes:
        raise Refused(f"{FOLDER}/{LABELS} has labels of no class")
    return logits, labels


def _write(path: Path, array: NDArray[Any]) -> str:
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomic(path, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _read(
    folder: Path, name: str, sha256: str, kind: type[np.generic], shape: tuple[int, ...]
) -> NDArray[Any]:
    # The name is from a log, which may be from elsewhere.
    if Path(name).name != name or not name.endswith(".npy"):
        raise Refused("the log names no file of logits")
    path, damaged = folder / FOLDER / name, f"{FOLDER}/{name} is damaged"
    try:
        if path.stat().st_size > np.dtype(kind).itemsize * np.prod(shape) + _HEADER_BYTES:
            raise Refused(damaged)
        if not path.is_file():
            raise OSError("a pipe would never end")
        data = path.read_bytes()
    except FileNotFoundError:
        raise Refused(f"{FOLDER}/{name} is missing") from None
    except (OSError, ValueError) as error:
        raise Refused(f"{FOLDER}/{name} cannot be read") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Refused(damaged)
    try:
        array = np.load(BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise Refused(damaged) from error
    if not isinstance(array, np.ndarray) or array.dtype != kind or array.shape != shape:
        raise Refused(damaged)
    return array

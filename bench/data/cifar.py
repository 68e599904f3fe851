"""CIFAR-10 and CIFAR-100: found on disk, or downloaded."""

import contextlib
import functools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.data import image_folder
from bench.data.cache import cache_folder
from bench.data.cifar_files import Found, Records, find
from bench.data.dataset import Arrays, Packed, Source
from bench.data.download import Tell, Unavailable, Unfetched, fetch
from bench.data.published import PIXEL_BYTES, PUBLISHED, SIDE, Batch, Published

SHARED_FOLDER = "ARCHBENCH_DATA"
"""The environment variable that names a folder with data which many people read, such as a
classroom's. Nothing is ever written to it."""

READER = "1"
"""Increased whenever what is read from the same files changes."""


def load(name: str, data_dir: Path | None, tell: Tell, *, patient: bool = True) -> Source:
    """`cifar10` or `cifar100`, from `data_dir`, the shared folder or the user's own; downloaded if
    none has it. Nothing is decoded yet.

    Raises:
        TooSlow: it would have to be downloaded, which takes too long for who is not patient.
        Unfetched: it is nowhere and cannot be downloaded.
        Refused: image files of it cannot be used.
    """
    published = PUBLISHED[name]
    for place in places(data_dir):
        if found := _found(published, place):
            return _source(published, found)
        if folder := _image_folder(published, place):
            return _images(published, folder)
    fetch_archive(name, data_dir or download_folder(), tell, patient=patient)
    return load(name, data_dir, tell)


def locate(name: str, data_dir: Path | None) -> Path | None:
    """The first file or folder that `load` would read from; None if it would download."""
    published = PUBLISHED[name]
    for place in places(data_dir):
        found = _found(published, place)
        if path := found.files[0] if found else _image_folder(published, place):
            return path
    return None


def _found(published: Published, place: Path) -> Found | None:
    found = find(published, place)
    own = place == download_folder()
    return None if found and own and _is_cut_off(published, found) else found


def _is_cut_off(published: Published, found: Found) -> bool:
    """Whether it is what an interrupted download of another program left in our own folder."""
    path, archive = found.files[0], published.archive
    return path.name == archive.name and path.stat().st_size < archive.size


def places(data_dir: Path | None) -> list[Path]:
    """Where data are looked for, in this order."""
    shared = os.environ.get(SHARED_FOLDER)
    return [place for place in (data_dir, shared and Path(shared), download_folder()) if place]


def download_folder() -> Path:
    """Where downloads go if no folder is named."""
    return cache_folder() / "data"


def fetch_archive(name: str, folder: Path, tell: Tell, *, patient: bool = True) -> Path:
    """Download a data set's archive into a folder, unless it is there; raises as `load` does."""
    archive = PUBLISHED[name].archive
    try:
        return fetch(archive, folder, tell, patient=patient)
    except Unavailable as error:
        raise Unfetched(
            f"{str(error).removesuffix('.')}; connect to a network, put {archive.name} into "
            f"{folder} (see --data-dir), or use --dataset shapes10."
        ) from error


def _source(published: Published, found: Found) -> Source:
    @functools.cache
    def records() -> dict[str, Records]:
        return found.read(published)

    def packed(batches: tuple[Batch, ...]) -> Packed:
        return Packed(found.files, READER, lambda: _arrays([records()[b.name] for b in batches]))

    train, test = packed(published.train), packed(published.test)
    return Source(published.name, published.classes, train, test, published.mean, published.std)


def _arrays(batches: list[Records]) -> Arrays:
    records = np.concatenate(batches)
    planes = records[:, -PIXEL_BYTES:].reshape(-1, 3, SIDE, SIDE)
    labels = records[:, -PIXEL_BYTES - 1].astype(np.int64)
    return Arrays(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)


def _image_folder(published: Published, place: Path) -> Path | None:
    """A folder of image files with the data set's classes."""
    for folder in (place, place / published.name):
        names: set[str] = set()
        with contextlib.suppress(OSError):  # of a folder that nobody may read, too
            names = {entry.name for entry in (folder / "train").iterdir()}
        if names.issuperset(published.classes):
            return folder
    return None


def _images(published: Published, folder: Path) -> Source:
    """Called what it is, for nothing proves that its images are the published ones."""
    note = (
        f"There are image files with the classes of {published.name}; whether they are the "
        "published images cannot be checked, so the data set is called folder."
    )
    return replace(image_folder.load(folder), notes=(note,))

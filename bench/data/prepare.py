"""From a data set to the arrays that the trials open: limited, decoded, measured and saved.

This is done once per run, in a process of its own; every trial then reads the same bytes without
decoding (`numpy.save` without pickling). What was prepared before, from the same content with the
same options, comes from the cache. A data set too large for memory stays on disk as a list of
files, which `bench.data.loader` streams.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from bench.data.cache import Cache, open_cache
from bench.data.dataset import (
    Arrays,
    Channels,
    Files,
    Packed,
    Source,
    Split,
    balanced_subset,
    stratified_subset,
)
from bench.data.download import Tell, sha256_of
from bench.data.image_folder import FORMATS, decode
from bench.data.own import loader_of
from bench.errors import Refused
from bench.own_code import shown_place
from bench.records.records import DatasetFacts

STATISTICS_IMAGES = 10_000
"""Channel statistics of a streamed data set are taken from this many images."""

VERSION = 1
"""Increased whenever the same images are prepared in another way."""


@dataclass(frozen=True)
class DataRequest:
    """What to prepare. Limits count images (None for all); `largest_size` is the largest image size
    of the run in pixels, `memory_bytes` the memory that images may take. `validation` is how many
    of the training images, or which share of them, are for validation."""

    dataset: str
    data_dir: str | None
    train_limit: int | None
    test_limit: int | None
    largest_size: int
    memory_bytes: int
    validation: int | float = 0


def prepare(
    request: DataRequest, into: Path, tell: Tell = lambda message: None, cache: Cache | None = None
) -> DatasetFacts:
    """Write the data set of a run into the folder `into`, and return its facts.

    Args:
        request: what to prepare.
        into: an empty folder.
        tell: shows the progress of a download.
        cache: where prepared images are kept; the user's if None.

    Raises:
        Refused: there is no such data set, an image cannot be read, or none be written, there are
            too few classes, or too few training images to keep some for validation.
    """
    data_dir = Path(request.data_dir) if request.data_dir else None
    source = loader_of(request.dataset)(data_dir, tell)
    facts = _Preparation(source, request, into, cache or open_cache()).facts()
    return replace(facts, asked=shown_place(request.dataset), notes=source.notes + facts.notes)


@dataclass(frozen=True)
class _Preparation:
    source: Source
    request: DataRequest
    into: Path
    cache: Cache

    def facts(self) -> DatasetFacts:
        """The facts of the data set, whose `notes` are what this preparation has to say."""
        train, test = self.source.train, self.source.test
        if isinstance(train, Packed) and isinstance(test, Packed):
            files = tuple(dict.fromkeys(train.files + test.files))
            key = self._key(train.version, test.version, self._contents(files))
            return self.cache.open(key, self.into) or self._read(train, test, key)
        return self._read(train, test, None)

    def _read(self, train: Split | Packed, test: Split | Packed, key: str | None) -> DatasetFacts:
        request = self.request
        train, places, train_notes = _limited(_unpacked(train), request.train_limit, "train")
        test, _, test_notes = _limited(_unpacked(test), request.test_limit, "test")
        held_out = self._held_out(train.labels)
        stored, resident, notes = *self._layout(train, test), train_notes + test_notes
        if not resident:
            notes += ("The images do not fit in memory and are streamed from disk.",)
        elif isinstance(train, Files) and isinstance(test, Files):
            labels = hashlib.sha256(train.labels.tobytes() + test.labels.tobytes()).hexdigest()
            contents = self._contents(train.paths + test.paths)
            key = self._key(PIL.__version__, stored, labels, contents)
            if facts := self.cache.open(key, self.into):
                return facts
        parts = {"train": train, "test": test}
        if len(held_out):
            rest = np.delete(np.arange(len(train.labels)), held_out)
            parts = {"train": train.take(rest), "validation": train.take(held_out), "test": test}
        facts = self._write(parts, stored, resident, notes)
        if len(held_out):
            sha256 = _places_sha256(places[held_out])
            facts = replace(facts, validation_images=len(held_out), validation_sha256=sha256)
        if key is not None:
            self.cache.keep(key, self.into, facts)
        return facts

    def _layout(self, train: Split, test: Split) -> tuple[int, bool]:
        """The side at which images are stored, and whether all of them may be kept in memory.

        Square images of one size, no larger than the run's largest, are stored unchanged and
        enlarged on the device; all others are resized to the run's largest size when loaded.
        """
        if isinstance(train, Arrays):
            return train.images.shape[1], True
        assert isinstance(test, Files)
        paths, largest = train.paths + test.paths, self.request.largest_size
        common = self.cache.recall("side", paths, lambda: _common_side(paths))
        stored = common if common and common <= largest else largest
        return stored, len(paths) * stored * stored * 3 <= self.request.memory_bytes

    def _contents(self, files: Sequence[Path]) -> str:
        """A hash that tells whether the content of files is the same."""
        return self.cache.recall("content", files, lambda: _content(files)) if files else ""

    def _key(self, *parts: object) -> str:
        """The name of what is prepared from content that the parts identify."""
        request, source = self.request, self.source
        options = (VERSION, source.name, source.classes, source.mean, source.std)
        limits: tuple[object, ...] = (request.train_limit, request.test_limit)
        if request.validation:
            limits = (*limits, request.validation)
        return hashlib.sha256(repr((options, limits, parts)).encode()).hexdigest()

    def _held_out(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which of the training images are for validation, ascending.

        Raises:
            Refused: some class would have none of them, or none left to train on.
        """
        asked, total, classes = self.request.validation, len(labels), self.source.classes
        if not asked:
            return np.arange(0)
        count = round(asked * total) if isinstance(asked, float) else asked
        each = np.bincount(labels, minlength=len(classes))
        if each.min() < 2:
            raise Refused(
                f"--validation needs two training images of every class, and {each.min()} of "
                f"{classes[each.argmin()]} is there; raise --train-limit or leave --validation out."
            )
        least, most = len(classes), total - len(classes)
        if not least <= count <= most:
            raise Refused(
                f"--validation {asked} asks for {count:,} of {total:,} training images, but each "
                f"of {least} classes needs one to train on and one beside: use {least} to {most}."
            )
        return stratified_subset(labels, count)

    def _write(
        self, parts: dict[str, Split], stored: int, resident: bool, notes: tuple[str, ...]
    ) -> DatasetFacts:
        source, into = self.source, self.into
        sha256 = hashlib.sha256()
        mean, std = source.mean, source.std
        if "validation" in parts:  # what is published is of validation images, too
            mean = std = None
        for part, split in parts.items():
            arrays = _decoded(split, stored) if resident else None
            if part == "train" and (mean is None or std is None):
                sample = balanced_subset(split.labels, STATISTICS_IMAGES)
                mean, std = channel_statistics(arrays or split.take(sample), stored)
            try:
                _save(into, part, arrays or split, sha256)
            except OSError as error:  # numpy does not say that the disk is full
                why = error.strerror or "the disk is full, most likely"
                raise Refused(
                    f"images cannot be written to {into}: {why}; TMPDIR can name another folder."
                ) from error
        assert mean is not None
        assert std is not None
        return DatasetFacts(
            source.name,
            shown_place(self.request.dataset),
            source.classes,
            len(parts["train"].labels),
            len(parts["test"].labels),
            stored,
            mean,
            std,
            sha256.hexdigest(),
            resident,
            notes,
        )


def _unpacked(split: Split | Packed) -> Split:
    return split.read() if isinstance(split, Packed) else split


def _content(files: Sequence[Path]) -> str:
    """The SHA-256 of the files' own, in their order."""
    hashes = hashlib.sha256()
    for path in files:
        try:
            hashes.update(bytes.fromhex(sha256_of(path)))
        except OSError as error:
            raise _unreadable(path, error) from error
    return hashes.hexdigest()


def _limited(
    split: Split, limit: int | None, part: str
) -> tuple[Split, NDArray[np.int64], tuple[str, ...]]:
    """A part, or the subset of it that a limit allows, its places in the whole part, and notes."""
    total = len(split.labels)
    if limit is not None and limit < total:
        places = balanced_subset(split.labels, limit)
        return split.take(places), places, ()
    more = f"--{part}-limit {limit} is more than the {total} {part} images there are."
    return split, np.arange(total), (more,) if limit is not None and limit > total else ()


def _places_sha256(places: NDArray[np.int64]) -> str:
    return hashlib.sha256(np.sort(places).astype("<i8").tobytes()).hexdigest()


def _common_side(paths: Sequence[Path]) -> int | None:
    """The side of the images if all are squares of one size, from their headers; else None."""
    from PIL import Image

    side = None
    for path in paths:
        try:
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            decode(path, None)
            raise Refused(f"{path} is not a readable image; repair or remove it.") from None
        if width != height or (side is not None and width != side):
            return None
        side = width
    return side


def _decoded(split: Split, stored: int) -> Arrays:
    if isinstance(split, Arrays):
        return split
    images = np.empty((len(split.paths), stored, stored, 3), dtype=np.uint8)
    for index, path in enumerate(split.paths):
        images[index] = decode(path, stored)
    return Arrays(images, split.labels)


def channel_statistics(split: Split, stored: int | None = None) -> tuple[Channels, Channels]:
    """Mean and standard deviation per channel of pixels in [0, 1], over all images; files are
    decoded one at a time, resized to `stored` pixels.

    From exact integer histograms, so that the result does not depend on the order of summation.
    """
    counts = np.zeros((3, 256), dtype=np.int64)
    for block in _blocks(split, stored):
        for channel in range(3):
            counts[channel] += np.bincount(block[..., channel].ravel(), minlength=256)
    levels = np.arange(256) / 255.0
    means, deviations = [], []
    for of_channel in counts:
        mean = float((of_channel * levels).sum() / of_channel.sum())
        means.append(mean)
        variance = (of_channel * (levels - mean) ** 2).sum() / of_channel.sum()
        deviations.append(float(np.sqrt(variance)))
    std = [max(deviation, 1 / 255) for deviation in deviations]
    return (means[0], means[1], means[2]), (std[0], std[1], std[2])


def _blocks(split: Split, stored: int | None) -> Iterator[NDArray[np.uint8]]:
    """All images, a few at a time."""
    if isinstance(split, Arrays):
        yield from np.array_split(split.images, max(1, len(split.images) // 4096))
    else:
        yield from (decode(path, stored) for path in split.paths)


def _save(into: Path, part: str, split: Split, sha256: "hashlib._Hash") -> None:
    labels = split.labels
    if isinstance(split, Arrays):
        np.save(into / f"{part}_images.npy", split.images, allow_pickle=False)
        sha256.update(np.ascontiguousarray(split.images).data)
    else:
        files = [str(path.absolute()) for path in split.paths]
        (into / f"{part}_files.json").write_text(json.dumps(files))
        for path in split.paths:
            sha256.update(f"{path.parent.name}/{path.name} {_size(path)}\n".encode())
    np.save(into / f"{part}_labels.npy", labels, allow_pickle=False)
    sha256.update(np.ascontiguousarray(labels).data)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> Refused:
    return Refused(f"{path} cannot be read ({error.strerror or error}); repair or remove it.")

"""Batches, gathered, augmented, resized and normalised on the device.

Images stay uint8 with channels last, as on disk, so that CIFAR-10 takes 150 MB. Random numbers come
from a generator on the CPU, so that every model and every device sees the same batches.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from bench.data.batches import dropped_images
from bench.data.image_folder import decode
from bench.errors import Refused
from bench.records.records import DatasetFacts

MAX_SHIFT = 1 / 8
"""The largest shift of augmentation as a share of the side: 4 of CIFAR's 32 pixels, as usual."""

SMALL_SHIFT = 1 / 16
"""The same of `alternate`: 2 pixels."""

CUTOUT = 1 / 4
"""The side of the square that `cutout` blanks as a share of the image's: 8 of CIFAR's 32 pixels."""

Batches = Iterator[tuple[Tensor, Tensor]]
"""Images and their labels, on the device."""


@dataclass(frozen=True)
class Share:
    """What is one rank's, of several processes that train together: of a batch, or of a split."""

    rank: int = 0
    ranks: int = 1

    def of(self, count: int) -> slice:
        """The places of the rank's images among `count`: every image is one rank's, and no rank has
        over one more than another."""
        return slice(count * self.rank // self.ranks, count * (self.rank + 1) // self.ranks)


ALL = Share()


@dataclass(frozen=True)
class Transform:
    """From stored images to a network's input. `mean` and `std` are of pixels in [0, 1]."""

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    device: torch.device
    channels_last: bool

    def __call__(self, images: Tensor) -> Tensor:
        """Stored (batch, side, side, 3) uint8 to normalised (batch, 3, size, size) float32.

        Bilinear, and antialiased when images become smaller, like torchvision's resize.
        """
        side = images.shape[1]
        pixels = images.permute(0, 3, 1, 2).to(self.device, torch.float32)
        if side != self.image_size:
            size = (self.image_size, self.image_size)
            smaller = self.image_size < side
            pixels = functional.interpolate(pixels, size, mode="bilinear", antialias=smaller)
        pixels = pixels.sub_(self._constant(self.mean)).div_(self._constant(self.std))
        return pixels if self.channels_last else pixels.contiguous()

    @property
    def mean_colour(self) -> Tensor:
        """The stored colour (3,), uint8, that comes to about 0."""
        return torch.tensor(self.mean).mul(255).round().to(torch.uint8)

    def _constant(self, channels: tuple[float, float, float]) -> Tensor:
        return torch.tensor(channels, device=self.device).mul_(255).view(1, 3, 1, 1)


@dataclass(frozen=True)
class Augmentation:
    """How training images are changed at random (`bench.recipes.AUGMENTATIONS`), and what it is
    drawn from; `flipped`, bool (images,), says which images of the split are flipped, None that it
    is drawn."""

    kind: str
    generator: Generator
    flipped: Tensor | None = None


def augmented(
    images: Tensor,
    how: Augmentation,
    mean: Tensor | None = None,
    flipped: Tensor | None = None,
    drawn: tuple[int, slice] | None = None,
) -> Tensor:
    """Stored images (batch, side, side, 3), each flipped with probability one half, unless it is
    given which are `flipped`, and shifted by up to an eighth of its side, or a sixteenth
    (`alternate`). Pixels outside the image repeat its edge (`shift`), are black (`crop`) or reflect
    it (`alternate`, `cutout`, which also gives a square the `mean` colour, (3,) uint8). The images
    may be a part of those that the changes are `drawn` for: their number, and which of them."""
    count, side = images.shape[:2]
    every, own = drawn or (count, slice(count))
    generator = how.generator
    reach = int(side * (SMALL_SHIFT if how.kind == "alternate" else MAX_SHIFT))
    # Drawn on the CPU, so that a seed means the same everywhere; all else is on the device.
    shifts = torch.randint(-reach, reach + 1, (2, every, 1), generator=generator)[:, own]
    if flipped is None:
        flipped = (torch.rand(every, generator=generator) < 0.5)[own]
    shifts, flipped = (t.to(images.device, non_blocking=True) for t in (shifts, flipped))
    line = torch.arange(side, device=images.device)
    rows = line + shifts[0]
    columns = torch.where(flipped[:, None], side - 1 - line, line) + shifts[1]
    index = torch.arange(count, device=images.device)[:, None, None]
    reflects = how.kind in ("alternate", "cutout")
    within = [_reflected(p, side) if reflects else p.clamp(0, side - 1) for p in (rows, columns)]
    changed = images[index, within[0][:, :, None], within[1][:, None, :]]
    if how.kind in ("shift", "alternate"):
        return changed
    if how.kind == "cutout":
        size = max(1, int(side * CUTOUT))
        corners = torch.randint(0, side - size + 1, (2, every, 1), generator=generator)[:, own]
        corners = corners.to(images.device, non_blocking=True)
        inside = (line >= corners) & (line < corners + size)
        blank = inside[0][:, :, None] & inside[1][:, None, :]
    else:
        blank = (within[0] != rows)[:, :, None] | (within[1] != columns)[:, None, :]
    colour = torch.zeros(3, dtype=torch.uint8) if mean is None or how.kind == "crop" else mean
    return torch.where(blank[..., None], colour.to(images.device), changed)


def _reflected(places: Tensor, side: int) -> Tensor:
    """Places outside of an image as those inside that a mirror on its edge pixels shows."""
    places = places.abs()
    return torch.where(places < side, places, 2 * (side - 1) - places)


class Split(ABC):
    """One part of a data set, in batches on the device."""

    def __init__(self, labels: Tensor, transform: Transform) -> None:
        self.labels = labels
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def in_order(self, batch_size: int, share: Share = ALL) -> Batches:
        """Every image of the share once, in the data set's order; the last batch may be smaller."""
        yield from self.ordered(torch.arange(len(self))[share.of(len(self))], batch_size)

    def ordered(
        self,
        order: Tensor,
        batch_size: int,
        augment: Augmentation | None = None,
        share: Share = ALL,
    ) -> Batches:
        """The images at `order` (int64, on the CPU), augmented if that is given; the last batch may
        be smaller. Of each batch only the share, augmented as it is in the whole batch."""
        colour = self.transform.mean_colour
        batches = torch.split(order, batch_size)
        parts = [share.of(len(batch)) for batch in batches]
        own = [batch[part] for batch, part in zip(batches, parts, strict=True)]
        stored = self._stored(torch.cat(own), len(own[0])) if own else iter(())
        for (images, labels), which, batch, part in zip(stored, own, batches, parts, strict=True):
            if augment is not None and augment.kind != "none":
                flipped = None if augment.flipped is None else augment.flipped[which]
                images = augmented(images, augment, colour, flipped, (len(batch), part))
            yield self.transform(images), labels

    def shuffled(
        self,
        batch_size: int,
        generator: Generator,
        augment: str = "none",
        epoch: int = 1,
        share: Share = ALL,
    ) -> Batches:
        """Every image once in random order, of each batch the share; a last batch that is too small
        for batch norm (`dropped_images`) is left out."""
        order = torch.randperm(len(self), generator=generator)
        kept = order[: len(self) - dropped_images(len(self), batch_size, share.ranks)]
        flipped = self._flipped(generator.initial_seed(), epoch) if augment == "alternate" else None
        yield from self.ordered(kept, batch_size, Augmentation(augment, generator, flipped), share)

    def _flipped(self, seed: int, epoch: int) -> Tensor:
        """Which images are flipped in an epoch of `alternate`: a random half, drawn apart from the
        order, in the first and every second one after it, and the others in between."""
        half = np.random.default_rng(seed).random(len(self)) < 0.5
        return torch.from_numpy(half ^ (epoch % 2 == 0))

    def first(self, count: int, augment: Augmentation | None = None) -> tuple[Tensor, Tensor]:
        """A batch of the first `count` images, augmented if that is given."""
        return next(self.ordered(torch.arange(count), count, augment))

    @abstractmethod
    def _stored(self, order: Tensor, batch_size: int) -> Batches:
        """The stored images at `order`, a batch at a time, with their labels, on the device."""


class ResidentSplit(Split):
    """Images (count, side, side, 3) uint8 that are kept on the device."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Transform) -> None:
        super().__init__(labels.to(transform.device), transform)
        self.images = images.to(transform.device)

    def _stored(self, order: Tensor, batch_size: int) -> Batches:
        for indices in torch.split(order.to(self.images.device), batch_size):
            yield self.images[indices], self.labels[indices]


class _FileImages(Dataset[tuple[Tensor, int]]):
    def __init__(self, files: list[str], labels: list[int], side: int) -> None:
        self.files, self.labels, self.side = files, labels, side

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = np.ascontiguousarray(decode(Path(self.files[index]), self.side))
        return torch.from_numpy(image.copy()), self.labels[index]


class StreamedSplit(Split):
    """Images that loader processes decode as needed."""

    def __init__(
        self, files: list[str], labels: Tensor, transform: Transform, side: int, workers: int
    ) -> None:
        super().__init__(labels, transform)
        self._dataset = _FileImages(files, labels.tolist(), side)
        self._workers = workers

    def _stored(self, order: Tensor, batch_size: int) -> Batches:
        device = self.transform.device
        loader = DataLoader(
            self._dataset,
            batch_size=batch_size,
            sampler=order.tolist(),
            num_workers=self._workers,
            pin_memory=device.type == "cuda",
            # Torch's own is left as it is, for dropout and for resuming.
            generator=torch.Generator(),
        )
        try:
            for images, labels in loader:
                yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        except Refused as error:
            # A loader process wraps its error in a traceback, whose last line is the message.
            message = str(error).strip().splitlines()[-1].removeprefix("bench.errors.Refused: ")
            raise Refused(message) from None


def open_split(
    folder: Path, part: str, facts: DatasetFacts, transform: Transform, workers: int
) -> Split:
    """A part (`train` or `test`) of a prepared data set."""
    labels = torch.from_numpy(np.load(folder / f"{part}_labels.npy", allow_pickle=False))
    if facts.resident:
        images = np.load(folder / f"{part}_images.npy", allow_pickle=False)
        return ResidentSplit(torch.from_numpy(images), labels, transform)
    files = cast(list[str], json.loads((folder / f"{part}_files.json").read_text()))
    return StreamedSplit(files, labels, transform, facts.stored_size, workers)


def blank_split(count: int, facts: DatasetFacts, transform: Transform) -> ResidentSplit:
    """Black images in place of a data set: a probe needs only the memory that the data takes.

    All of that memory is taken only on a card that will hold all images; elsewhere the images share
    the memory of one.
    """
    side = facts.stored_size
    on_card = facts.resident and transform.device.type != "cpu"
    images = torch.zeros((count if on_card else 1, side, side, 3), dtype=torch.uint8)
    labels = torch.zeros(count, dtype=torch.int64)
    split = ResidentSplit(images, labels, transform)
    split.images = split.images.expand(count, -1, -1, -1)
    return split

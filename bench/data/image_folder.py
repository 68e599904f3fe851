"""A folder of images: `train/CLASS/*` and `test/CLASS/*`."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bench.data.dataset import Files, Source
from bench.errors import Refused

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm"}

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "WEBP", "TIFF")
"""What a file may be, whatever its suffix: of all formats, Pillow knows some that start programs
(PostScript). JPEG includes MPO."""


def load(data_dir: Path) -> Source:
    """The files of a folder and their classes; nothing is decoded yet.

    Raises:
        Refused: a part is missing or cannot be read, there are fewer than two classes, train and
            test have different classes, a class has no images, or a name is no text.
    """
    try:
        return _load(data_dir)
    except OSError as error:
        where = error.filename or data_dir
        raise Refused(f"{where} cannot be read: {error.strerror or error}.") from error


def _load(data_dir: Path) -> Source:
    parts = {part: _classes(data_dir, part) for part in ("train", "test")}
    if parts["train"] != parts["test"]:
        odd = sorted(set(parts["train"]) ^ set(parts["test"]))[0]
        raise Refused(f"{data_dir}: class {odd!r} is in only one of train and test; add the other.")
    classes = parts["train"]
    if len(classes) < 2:
        raise Refused(f"{data_dir / 'train'} has {len(classes)} class folder; two are the least.")
    train, test = (_files(data_dir / part, classes) for part in ("train", "test"))
    return Source("folder", classes, train, test)


def decode(path: Path, side: int | None) -> NDArray[np.uint8]:
    """One image as (height, width, 3) uint8.

    With `side`, its shorter side is resized to that many pixels (bilinear, antialiased) and its
    centre is cropped: (side, side, 3). Of a photograph with its thumbnail or a second view (MPO),
    it is the photograph.

    Raises:
        Refused: the file is not a single still image that can be read completely, or so narrow
            that enlarging it would take gigabytes.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            count = getattr(image, "n_frames", 1)
            if count > 1 and image.format != "MPO":
                pages = image.format == "TIFF"
                what = f"has {count} pictures" if pages else f"is an animation of {count} frames"
                raise Refused(f"{path} {what}; keep one of them.")
            rgb = _eight_bit(image).convert("RGB")
            return np.asarray(rgb if side is None else _cropped(rgb, side))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise Refused(f"{path} is not a readable image ({error}); repair or remove it.") from error
    except Image.DecompressionBombError as error:
        raise Refused(f"{path} is too large to be decoded safely; make it smaller.") from error


def _eight_bit(image: Image.Image) -> Image.Image:
    """The image with 8 bits per channel, scaled: Pillow would clip larger values at 255."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of no known range")
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))


def _cropped(image: Image.Image, side: int) -> Image.Image:
    scale = side / min(image.size)
    width, height = (max(side, round(edge * scale)) for edge in image.size)
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        shape = f"{image.width}×{image.height}"
        raise ValueError(f"its {shape} pixels are too narrow to be resized to {side} px")
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - side) // 2, (height - side) // 2
    return resized.crop((left, top, left + side, top + side))


def _classes(data_dir: Path, part: str) -> tuple[str, ...]:
    folder = data_dir / part
    if not folder.is_dir():
        raise Refused(
            f"{data_dir} has no folder {part}/; --data-dir needs train/CLASS, test/CLASS."
        )
    classes = _in_order(entry for entry in _visible(folder) if entry.is_dir())
    for entry in classes:
        if not entry.resolve().is_relative_to(data_dir.resolve()):
            raise Refused(f"{entry} is a link out of {data_dir}; put the images there instead.")
    return tuple(entry.name for entry in classes)


def _files(folder: Path, classes: tuple[str, ...]) -> Files:
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        images = _in_order(p for p in _visible(folder / name) if p.suffix.lower() in SUFFIXES)
        if not images:
            raise Refused(f"{folder / name} has no images; add some or remove the class.")
        paths += images
        labels += [label] * len(images)
    return Files(tuple(paths), np.asarray(labels, dtype=np.int64))


def _visible(folder: Path) -> Iterable[Path]:
    return (entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _in_order(entries: Iterable[Path]) -> list[Path]:
    """What is in a folder by name, in one order on every system: Windows compares paths without
    case."""
    found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if any("\ud800" <= letter <= "\udfff" for letter in entry.name):
            raise Refused(f"{str(entry)!r} has a name that is not UTF-8; rename it.")
    return found

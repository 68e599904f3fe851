"""`shapes10`: ten classes of generated 32×32 colour images, for when no data set can be downloaded.

Each image shows one figure of random position, size, tilt, stretch and colour on an uneven
background, behind clutter, under uneven light and noise. Colours say nothing about the class.

The amount of variation leaves room for a learning curve: at 32 pixels, with Adam and batches of 64,
torchvision's ResNet-18 goes from a test accuracy of about 0.3 to 0.7 in five epochs over 3,000
images, and to 0.96 in ten epochs over all 10,000.

The bytes are the same on every machine: only operations that IEEE 754 rounds exactly are used
(+ − × ÷, square root, comparisons), and only `Generator.random`. Sines, powers, sums along an axis
and matrix products differ in their last bits between processors.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION: int = 1
"""Increased whenever a pixel changes."""

SIDE = 32

_CHUNK = 1000
_TRAIN_SEED, _TEST_SEED = 1_000_003, 2_000_003

Plane = NDArray[np.floating[Any]]
"""Always float32; numpy's annotations lose the width in divisions."""

Figure = Callable[[Plane, Plane, Plane], Plane]
"""Signed distances (count, 32, 32) from x, y of that shape and a form (count, 1, 1) in [0, 1).

Lengths are in radii of the figure, and distances are negative inside it. Each figure uses the form
in its own way: how thick, how pointed or how fine it is.
"""


def generate(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (count, 32, 32, 3) and labels (count,), all classes equally often to within one.

    The same arguments give the same bytes; another count gives other images.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    # Ranks of random numbers: numpy may change the algorithm of its own shuffle.
    labels = np.argsort(rng.random(count), kind="stable").astype(np.int64) % len(CLASSES)
    images = np.empty((count, SIDE, SIDE, 3), dtype=np.uint8)
    for start in range(0, count, _CHUNK):
        chunk = slice(start, start + _CHUNK)
        images[chunk] = _photographed(rng, _scenes(rng, labels[chunk]))
    return images, labels


def train_set(count: int = 10_000) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images (count, 32, 32, 3) and labels (count,) to train on."""
    return generate(count, _TRAIN_SEED)


def test_set(
    count: int = 2_000,  # noqa: PT028 - this is no test
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images (count, 32, 32, 3) and labels (count,) to test on."""
    return generate(count, _TEST_SEED)


def _scenes(rng: np.random.Generator, labels: NDArray[np.int64]) -> Plane:
    """Colours (count, 3, 32, 32), mostly in [0, 1], before light and noise."""
    count = len(labels)
    base = _uniform(rng, (count, 3, 1, 1), 0.3, 0.7)
    canvas = _enlarged(base + _uniform(rng, (count, 3, 5, 5), -0.06, 0.06))
    _paint(canvas, _figures(rng, labels), base + _contrast(rng, count))
    clutter = _uniform(rng, (count, 1, 1), 1.0, 4.0)
    for line in range(1, 4):
        colour = _uniform(rng, (count, 3, 1, 1), 0.2, 0.8)
        _paint(canvas, np.where(clutter >= line, _lines(rng, count), 0), colour)
    return canvas


def _photographed(rng: np.random.Generator, scenes: Plane) -> NDArray[np.uint8]:
    """Pixels (count, 32, 32, 3) of scenes (count, 3, 32, 32), in uneven light by a noisy sensor."""
    count = len(scenes)
    light = _enlarged(_uniform(rng, (count, 1, 2, 2), 0.8, 1.2))
    # The difference of two uniform numbers is close enough to normal, which needs a logarithm.
    noise = rng.random(scenes.shape, np.float32) - rng.random(scenes.shape, np.float32)
    exposed = scenes * light + noise * _uniform(rng, (count, 1, 1, 1), 0.01, 0.08)
    levels = (exposed.clip(0, 1) * 255).round().astype(np.uint8)
    return levels.transpose(0, 2, 3, 1)


def _paint(canvas: Plane, coverage: Plane, colour: Plane) -> None:
    """Blend a colour (count, 3, 1, 1) into the canvas (count, 3, 32, 32).

    `coverage` (count, 32, 32) is the share of each pixel that it covers, from 0 to 1.
    """
    canvas += coverage[:, None] * (colour - canvas)


def _contrast(rng: np.random.Generator, count: int) -> Plane:
    """The difference of a figure from its background: (count, 3, 1, 1), each channel up or down.

    No channel is less than half of the largest, so a figure never vanishes.
    """
    strength = _uniform(rng, (count, 1, 1, 1), 0.3, 0.5)
    amount = strength * _uniform(rng, (count, 3, 1, 1), 0.5, 1.0)
    return np.where(rng.random((count, 3, 1, 1)) < 0.5, -amount, amount)


def _figures(rng: np.random.Generator, labels: NDArray[np.int64]) -> Plane:
    """The share of each pixel that the class's figure covers: (count, 32, 32) in [0, 1]."""
    count = len(labels)
    radius = _uniform(rng, (count, 1, 1), 9.0, 14.0)
    stretch = _uniform(rng, (count, 1, 1), 0.85, 1.18)
    form = _uniform(rng, (count, 1, 1), 0.0, 1.0)
    x, y = _turned_grid(rng, count, 15.5 - radius, 0.3)
    x, y = x / radius * stretch, y / radius / stretch
    distance = np.empty_like(x)
    for label, figure in enumerate(_FIGURES.values()):
        chosen = labels == label
        distance[chosen] = figure(x[chosen], y[chosen], form[chosen])
    return _coverage(distance * radius)


def _lines(rng: np.random.Generator, count: int) -> Plane:
    """The share of each pixel that a line with round ends covers: (count, 32, 32)."""
    length = _uniform(rng, (count, 1, 1), 0.0, 4.0)
    width = _uniform(rng, (count, 1, 1), 0.6, 1.8)
    x, y = _turned_grid(rng, count, np.full_like(length, 15.0), 1.0)
    return _coverage(_length((abs(x) - length).clip(0), y) - width)


def _coverage(distance: Plane) -> Plane:
    """The share of a pixel inside an edge at a signed distance in pixels."""
    return (0.5 - distance).clip(0, 1)


def _turned_grid(
    rng: np.random.Generator, count: int, reach: Plane, turn: float
) -> tuple[Plane, Plane]:
    """Each pixel's x and upward y (count, 32, 32) in pixels, on axes of random origin and angle.

    Their origin is at most `reach` (count, 1, 1) from the image's centre along and across; the
    tangent of half their angle is at most `turn`.
    """
    line = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    x = line - reach * _uniform(rng, (count, 1, 1), -1.0, 1.0)
    y = reach * _uniform(rng, (count, 1, 1), -1.0, 1.0) - line[:, None]
    cosine, sine = _direction(rng, count, turn)
    return x * cosine + y * sine, y * cosine - x * sine


def _direction(rng: np.random.Generator, count: int, turn: float) -> tuple[Plane, Plane]:
    """Cosine and sine (count, 1, 1) of an angle, from the tangent of its half, at most `turn`."""
    tangent = _uniform(rng, (count, 1, 1), -turn, turn)
    square = tangent * tangent
    return (1 - square) / (1 + square), 2 * tangent / (1 + square)


def _enlarged(grid: Plane) -> Plane:
    """A coarse grid (count, channels, n, n) as (count, channels, 32, 32), linear in between."""
    place = np.arange(SIDE, dtype=np.float32) * (grid.shape[-1] - 1) / SIDE
    low = place.astype(np.int64)
    weight = place - low.astype(np.float32)
    rows = _between(grid[:, :, low], grid[:, :, low + 1], weight[:, None])
    return _between(rows[..., low], rows[..., low + 1], weight)


def _between(a: Plane, b: Plane, weight: Plane) -> Plane:
    return a + weight * (b - a)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Plane:
    # Not `Generator.uniform`: compilers fuse its product and sum on some processors.
    return low + (high - low) * rng.random(shape, np.float32)


def _length(x: Plane, y: Plane) -> Plane:
    return np.asarray(np.sqrt(x * x + y * y))


def _both(a: Plane, b: Plane) -> Plane:
    """Distance to the intersection."""
    return np.asarray(np.maximum(a, b))


def _either(a: Plane, b: Plane) -> Plane:
    """Distance to the union."""
    return np.asarray(np.minimum(a, b))


def _disc(x: Plane, y: Plane, form: Plane) -> Plane:
    return _length(x, y) - (0.8 + 0.2 * form)


def _ring(x: Plane, y: Plane, form: Plane) -> Plane:
    thickness = 0.14 + 0.14 * form
    return abs(_length(x, y) - (1 - thickness)) - thickness


def _crescent(x: Plane, y: Plane, form: Plane) -> Plane:
    bite = _length(x - (0.45 + 0.2 * form), y) - 0.85
    return _both(_length(x, y) - 1, -bite)


def _square(x: Plane, y: Plane, form: Plane) -> Plane:
    return _both(abs(x), abs(y)) - (0.7 + 0.2 * form)


def _triangle(x: Plane, y: Plane, form: Plane) -> Plane:
    sides = 0.8660254 * abs(x) + 0.5 * y
    return _both(sides, -y) - (0.5 + 0.12 * form)


def _cross(x: Plane, y: Plane, form: Plane) -> Plane:
    bars = _either(abs(x), abs(y)) - (0.2 + 0.15 * form)
    return _both(bars, _both(abs(x), abs(y)) - 1)


def _star(x: Plane, y: Plane, form: Plane) -> Plane:
    """The plane is folded along the axes of five points until one edge of one is left."""
    cosine, sine = 0.80901699, 0.58778525
    x = abs(x)
    for side in (cosine, -cosine):
        beyond = 2 * (side * x - sine * y).clip(0)
        x, y = x - side * beyond, y + sine * beyond
    inner = 0.4 + 0.12 * form
    across, along = 1 - inner * cosine, inner * sine
    return (across * abs(x) + along * (y - 1)) / _length(across, along)


def _stripes(x: Plane, y: Plane, form: Plane) -> Plane:
    return _patch(x, y, _bands(x, 0.5 + 0.25 * form))


def _checks(x: Plane, y: Plane, form: Plane) -> Plane:
    period = 0.8 + 0.4 * form
    a, b = _bands(x, period), _bands(y, period)
    return _patch(x, y, _either(_both(a, -b), _both(-a, b)))


def _dots(x: Plane, y: Plane, form: Plane) -> Plane:
    period = 0.55 + 0.25 * form
    return _patch(x, y, _length(_folded(x, period), _folded(y, period)) - 0.32 * period)


def _patch(x: Plane, y: Plane, pattern: Plane) -> Plane:
    """A pattern within a disc: its outline does not give it away."""
    return _both(pattern, _length(x, y) - 1)


def _bands(x: Plane, period: Plane) -> Plane:
    return abs(_folded(x, period)) - period / 4


def _folded(x: Plane, period: Plane) -> Plane:
    """Signed distance to the nearest multiple of a period."""
    return x - period * (x / period).round()


_FIGURES: dict[str, Figure] = {
    "disc": _disc,
    "ring": _ring,
    "crescent": _crescent,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
}

CLASSES: tuple[str, ...] = tuple(_FIGURES)

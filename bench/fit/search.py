"""The largest batch that fits, in a handful of probes: a pure function over "try n".

Peak memory of a training step is very nearly affine in the batch size. Two small probes give a
slope and an intercept, a jump to where that line meets the limit lands at the answer or close by,
and what is left is to close the bracket: the answer was seen to fit, and one more was seen to fail.
On an affine curve with a known limit that takes at most five probes, whatever the size; where the
line misleads, steps away from it double, and a bracket that does not shrink is bisected.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

LimitedBy = Literal["memory", "data set"]


@dataclass(frozen=True)
class Attempt:
    """What came of one batch size; the peak is None where it failed or cannot be told."""

    fits: bool
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class Answer:
    """The largest size that fits, 0 if not even the smallest does, and what limited it.

    If that is memory, one more was seen to fail; `probes` are in the order they were made.
    """

    largest: int
    limited_by: LimitedBy
    probes: tuple[tuple[int, Attempt], ...]


def largest_batch(
    attempt: Callable[[int], Attempt],
    *,
    limit_bytes: int | None,
    cap: int,
    smallest: int = 1,
    first: tuple[int, int] = (11, 19),
) -> Answer:
    """Find the largest n in [`smallest`, `cap`] for which `attempt(n)` fits.

    Args:
        attempt: tries a size; called at most once for each.
        limit_bytes: what the peak may come to, if it is known; a hint that need not be exact.
        cap: the largest size that makes sense, such as the number of training images.
        smallest: the smallest size that makes sense.
        first: the two sizes that teach slope and intercept. Few data sets are multiples of these,
            so that they have a smaller last batch, as most sizes do.

    Raises:
        ValueError: the bounds leave nothing to try.
    """
    if not 1 <= smallest <= cap:
        raise ValueError(f"nothing to try between {smallest} and {cap}")
    bracket = _Bracket(fits=smallest - 1, fails=cap + 1, cap=cap)
    for size in first:
        if bracket.open and bracket.fails > cap:
            bracket.learn(min(max(size, smallest), cap), attempt)
    while bracket.open:
        bracket.learn(bracket.next_size(limit_bytes), attempt)
    limited_by: LimitedBy = "memory" if bracket.fails <= cap else "data set"
    return Answer(bracket.fits if bracket.points else 0, limited_by, tuple(bracket.probes))


@dataclass
class _Bracket:
    """What is known: `fits` fits (or is one below the smallest), `fails` fails (or is above the
    cap)."""

    fits: int
    fails: int
    cap: int
    points: list[tuple[int, int | None]] = field(default_factory=list)
    probes: list[tuple[int, Attempt]] = field(default_factory=list)
    step: int = 1
    stalled: int = 0

    @property
    def open(self) -> bool:
        return self.fails - self.fits > 1

    def learn(self, size: int, attempt: Callable[[int], Attempt]) -> None:
        """Try a size within the bracket, and narrow it; one already known is not tried again."""
        if not self.fits < size < self.fails:
            return
        width, bounded = self.fails - self.fits, self.fails <= self.cap
        result = attempt(size)
        self.probes.append((size, result))
        if result.fits:
            self.fits = size
            self.points.append((size, result.peak_memory_bytes))
        else:
            self.fails = size
        halved = (self.fails - self.fits) * 2 <= width
        self.stalled = self.stalled + 1 if bounded and not halved else 0

    def next_size(self, limit_bytes: int | None) -> int:
        """Where to look next: at the line's answer, near it, or in the middle."""
        bounded = self.fails <= self.cap
        line = self._line_answer(limit_bytes)
        if bounded and (line is None or self.stalled >= 4):
            return self._middle()
        if line is None:
            return min(self.fits * 2, self.cap)
        if self.fits < line < self.fails:
            return line
        if line >= self.fails > 4 * self.fits:
            return self._middle()
        if line >= self.fails:
            return max(self.fails - self._stride(), self._middle())
        return min(self.fits + self._stride(), self._middle() if bounded else self.cap)

    def _stride(self) -> int:
        """How far to step away from a line's wrong answer: twice as far every time."""
        self.step, stride = self.step * 2, self.step
        return stride

    def _middle(self) -> int:
        """Halfway; in orders of magnitude, while the ends are orders of magnitude apart."""
        if self.fails > 4 * self.fits > 0:
            return math.isqrt(self.fits * self.fails)
        return (self.fits + self.fails) // 2

    def _line_answer(self, limit_bytes: int | None) -> int | None:
        """Where the line through the two largest known peaks meets the limit, at most the cap."""
        known = [(size, peak) for size, peak in self.points if peak is not None][-2:]
        if limit_bytes is None or len(known) < 2:
            return None
        (small, low), (large, high) = known
        if high <= low:
            return self.cap
        return min(self.cap, small + (limit_bytes - low) * (large - small) // (high - low))

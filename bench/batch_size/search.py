"""The largest batch that fits, in a handful of probes: a pure function over "try n".

Peak memory of a training step is very nearly affine in the batch size. Two small probes give a
slope and an intercept, a jump to where that line meets the limit lands at the answer or close by,
and what is left is to close the bracket: the answer was seen to fit, and one more was seen to fail.
On an affine curve with a known limit that takes at most five probes, whatever the size.

Where the line misleads, it is followed only as far as it is affordable: as doubling from the
largest size known to fit, and bisecting, would still settle every possible answer in no more
probes than doubling from one and bisecting takes from the start. So no monotone curve costs more
than that (or than six probes, where that is less: doubling finds an answer below four in two to
four).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

LimitedBy = Literal["memory", "data set"]

MISLED_AT_MOST = 2
"""After so many failures of the line in a row, a size in the middle is to give a better line."""

CLEARLY_SMALLER = 0.85
"""A slope is taken between a size and one of at most this share of it."""


@dataclass(frozen=True)
class Attempt:
    """What came of one batch size; the peak is None where it failed or cannot be told."""

    fits: bool
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class Answer:
    """The largest size that fits, 0 if not even the smallest does, and what limited it.

    If that is memory, one more was seen to fail; `probes` are in the order they were made. Where
    probes contradict each other, memory is not monotone: `contradiction` is a size that failed
    and a larger one that fitted, and `largest` is the largest below which nothing failed.
    """

    largest: int
    limited_by: LimitedBy
    probes: tuple[tuple[int, Attempt], ...]
    contradiction: tuple[int, int] | None = None


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
    contradiction = _look_above(bracket, limit_bytes, attempt) if bracket.points else None
    largest = bracket.fits if bracket.points else 0
    return Answer(largest, limited_by, tuple(bracket.probes), contradiction)


def doubling_probes(largest: int) -> int:
    """How many probes doubling from one and bisecting take to find an answer: 1, 2, 4, … up to the
    first that fails, and halving what is between."""
    return 2 * largest.bit_length() if largest else 1


def _look_above(
    bracket: "_Bracket", limit_bytes: int | None, attempt: Callable[[int], Attempt]
) -> tuple[int, int] | None:
    """Where the first failure is far below what the line says, try one size above it: an algorithm
    may take a workspace at some sizes that it does not take at larger ones."""
    line = bracket.line_answer(limit_bytes)
    if line is None or bracket.fails > bracket.cap or line < 2 * bracket.fails:
        return None
    if len(bracket.probes) >= max(6, doubling_probes(bracket.fits)):
        return None
    size = min(line, 4 * bracket.fails)
    if size in dict(bracket.probes):
        return None
    result = attempt(size)
    bracket.probes.append((size, result))
    return (bracket.fails, size) if result.fits else None


@dataclass
class _Bracket:
    """What is known: `fits` fits (or is one below the smallest), `fails` fails (or is above the
    cap)."""

    fits: int
    fails: int
    cap: int
    points: list[tuple[int, int | None]] = field(default_factory=list)
    probes: list[tuple[int, Attempt]] = field(default_factory=list)
    stride: int = 1
    guessed: bool = False
    misled: int = 0

    @property
    def open(self) -> bool:
        return self.fails - self.fits > 1

    @property
    def bounded(self) -> bool:
        return self.fails <= self.cap

    def learn(self, size: int, attempt: Callable[[int], Attempt]) -> None:
        """Try a size within the bracket, and narrow it; one already known is not tried again."""
        if not self.fits < size < self.fails:
            return
        result = attempt(size)
        self.probes.append((size, result))
        if result.fits:
            self.fits = size
            self.points.append((size, result.peak_memory_bytes))
        else:
            self.fails = size
        self.misled = self.misled + 1 if self.guessed and not result.fits else 0

    def next_size(self, limit_bytes: int | None) -> int:
        """Where to look next: where the line says, in the middle, or where doubling and bisecting
        would."""
        guess = self._guess(limit_bytes) if self.misled < MISLED_AT_MOST else None
        self.guessed = guess is not None and self._affordable(guess)
        if guess is not None and self.guessed:
            return guess
        middle = self._middle()
        return middle if middle is not None and self._affordable(middle) else self._plain()

    def line_answer(self, limit_bytes: int | None) -> int | None:
        """Where the line through known peaks meets the limit, at most the cap."""
        slope, known = self._slope(), self._known()
        if limit_bytes is None or slope is None:
            return None
        size, peak = known[-1]
        if slope == 0:
            return self.cap
        return min(self.cap, size + int((limit_bytes - peak) / slope))

    def _known(self) -> list[tuple[int, int]]:
        """Points whose peak is the highest so far: a size that took less than a smaller one did is
        a stroke of luck, the next larger may not have it."""
        known: list[tuple[int, int]] = []
        for size, peak in self.points:
            if peak is not None and (not known or peak >= known[-1][1]):
                known.append((size, peak))
        return known

    def _slope(self, skip: int = 0) -> float | None:
        """Bytes an image between the largest known size (but `skip`) and the nearest that is
        clearly smaller: between neighbours, memory's small jumps would decide."""
        known = self._known()[: -skip or None]
        if len(known) < 2:
            return None
        size, peak = known[-1]
        smaller = [(s, p) for s, p in known[:-1] if s <= size * CLEARLY_SMALLER] or known[:1]
        return (peak - smaller[-1][1]) / (size - smaller[-1][0])

    def _bent(self) -> float:
        """How much the curve's slope has changed last, from 0 (not at all, or nobody knows) to 1:
        how little a line is worth."""
        now, before = self._slope(), self._slope(skip=1)
        if now is None or before is None:
            return 0.0
        steepest = max(now, before)
        return abs(now - before) / steepest if steepest else 0.0

    def _guess(self, limit_bytes: int | None) -> int | None:
        """The line's answer; where that is known already, a step from it into what is open; None
        after a step too far."""
        line = self.line_answer(limit_bytes)
        if line is None:
            return None
        if line >= self.fails:
            # A straight curve is off by one at most; a bent one by a share of what is open.
            return self.fails - 1 - int(self._bent() * (self.fails - 1 - self.fits) / 2)
        if line > self.fits:
            return line
        if self.misled:
            return None
        # The limit is a hint that may be too low: step up from it, twice as far every time.
        self.stride, stride = self.stride * 2, self.stride
        return min(self.fits + stride, self.fails - 1)

    def _middle(self) -> int | None:
        """Halfway; in orders of magnitude, while the ends are orders of magnitude apart."""
        if not self.bounded:
            return None
        if self.fails > 4 * self.fits > 0:
            return math.isqrt(self.fits * self.fails)
        return (self.fits + self.fails) // 2

    def _plain(self) -> int:
        """The next power of two, or halfway where there is none in the bracket."""
        power = 1 << self.fits.bit_length()
        if power < self.fails:
            return min(power, self.cap)
        return (self.fits + self.fails) // 2

    def _affordable(self, size: int) -> bool:
        """Whether plain probes after this one keep to `doubling_probes`, however it ends."""
        used = len(self.probes) + 1
        return _plain_keeps_to_doubling(self.fits, size, used) and _plain_keeps_to_doubling(
            size, self.fails if self.bounded else None, used
        )


def _plain_keeps_to_doubling(fits: int, fails: int | None, used: int) -> bool:
    """Whether, after `used` probes, every answer from `fits` up to below `fails` is settled by
    doubling and bisecting in at most `doubling_probes` in all."""
    if fits == 0:
        return fails is not None and used + math.ceil(math.log2(fails)) <= 5
    octave = fits.bit_length()
    if fails is None:
        return used <= octave
    while True:
        end = min(1 << octave, fails)
        seen = used + (end < fails) + math.ceil(math.log2(end - fits))
        if seen > max(5, 2 * octave):
            return False
        if end == fails:
            return True
        fits, used, octave = end, used + 1, octave + 1

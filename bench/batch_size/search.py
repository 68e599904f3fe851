"""The largest batch in a handful of probes: a pure search over "try n".

Peak memory of a training step is very nearly affine in the batch size. Two small probes give a
slope and an intercept; the size at which that line meets the limit is the answer or close to it,
and the remaining probes close the bracket: the answer ran, and one more failed. On an affine curve
with a known limit this takes at most five probes, whatever the answer.

Where the line misleads, it is followed only while that is affordable: as long as doubling from the
largest size that ran, and bisecting, would still settle every possible answer in no more probes
than doubling and bisecting from one takes. So no monotone curve needs more probes than that (or six
if that is more: doubling finds an answer below four in two to four).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

LimitedBy = Literal["memory", "data set"]

MOST_MISSES = 2
"""After this many failures of the line in a row, a size in the middle is tried instead."""

CLEARLY_SMALLER = 0.85
"""A slope is taken between a size and another of at most this share of it."""


@dataclass(frozen=True)
class Attempt:
    """The outcome of one batch size; the peak is None where it failed or is unknown."""

    fits: bool
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class SearchResult:
    """The largest size that runs, 0 if not even the smallest does, and what limited it.

    If that is memory, one more was seen to fail. `probes` are in the order they were made. Where
    memory is not monotone, `contradiction` is a size that failed and a larger one that ran, and
    `largest` is the largest size below the first failure.
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
) -> SearchResult:
    """Find the largest n in [`smallest`, `cap`] for which `attempt(n)` fits.

    Args:
        attempt: tries a size; called at most once for each.
        limit_bytes: the limit of the peak, if known; a hint that need not be exact.
        cap: the largest size that makes sense, such as the number of training images.
        smallest: the smallest size that makes sense.
        first: the two sizes that give slope and intercept. Few data sets are multiples of them, so
            their epochs end with a smaller batch, as those of most sizes do.

    Raises:
        ValueError: the bounds leave nothing to try.
    """
    if not 1 <= smallest <= cap:
        raise ValueError(f"nothing to try between {smallest} and {cap}")
    bracket = _Bracket(lower=smallest - 1, upper=cap + 1, cap=cap)
    for size in first:
        if bracket.open and bracket.upper > cap:
            bracket.probe(min(max(size, smallest), cap), attempt)
    while bracket.open:
        bracket.probe(bracket.next_size(limit_bytes), attempt)
    limited_by: LimitedBy = "memory" if bracket.bounded else "data set"
    contradiction = _look_above(bracket, limit_bytes, attempt) if bracket.points else None
    largest = bracket.lower if bracket.points else 0
    return SearchResult(largest, limited_by, tuple(bracket.probes), contradiction)


def doubling_probes(largest: int) -> int:
    """Probes that doubling and bisecting from one takes to find an answer: 1, 2, 4, … up to the
    first failure, then halving the gap."""
    return 2 * largest.bit_length() if largest else 1


def _look_above(
    bracket: "_Bracket", limit_bytes: int | None, attempt: Callable[[int], Attempt]
) -> tuple[int, int] | None:
    """If the first failure is far below the line's answer, try one size above it: an algorithm may
    take a workspace at some sizes that it does not take at larger ones."""
    line = bracket.line_answer(limit_bytes)
    if line is None or not bracket.bounded or line < 2 * bracket.upper:
        return None
    # This probe is extra, so it must not cost more than the search promises.
    if len(bracket.probes) >= max(6, doubling_probes(bracket.lower)):
        return None
    size = min(line, 4 * bracket.upper)
    if size in dict(bracket.probes):
        return None
    result = attempt(size)
    bracket.probes.append((size, result))
    return (bracket.upper, size) if result.fits else None


@dataclass
class _Bracket:
    """What is known: `lower` runs (or is one below the smallest), `upper` fails (or is one above
    the cap)."""

    lower: int
    upper: int
    cap: int
    points: list[tuple[int, int | None]] = field(default_factory=list)
    probes: list[tuple[int, Attempt]] = field(default_factory=list)
    stride: int = 1
    guessed: bool = False
    misses: int = 0

    @property
    def open(self) -> bool:
        return self.upper - self.lower > 1

    @property
    def bounded(self) -> bool:
        return self.upper <= self.cap

    def probe(self, size: int, attempt: Callable[[int], Attempt]) -> None:
        """Try a size inside the bracket and narrow it; a size outside it is known already."""
        if not self.lower < size < self.upper:
            return
        result = attempt(size)
        self.probes.append((size, result))
        if result.fits:
            self.lower = size
            self.points.append((size, result.peak_memory_bytes))
        else:
            self.upper = size
        self.misses = self.misses + 1 if self.guessed and not result.fits else 0

    def next_size(self, limit_bytes: int | None) -> int:
        """The line's answer, else the middle, else the next step of doubling and bisecting."""
        guess = self._guess(limit_bytes) if self.misses < MOST_MISSES else None
        self.guessed = guess is not None and self._affordable(guess)
        if guess is not None and self.guessed:
            return guess
        # A probe in the middle gives the line a point nearer to the answer, if it runs.
        middle = self._middle()
        return middle if middle is not None and self._affordable(middle) else self._doubled()

    def line_answer(self, limit_bytes: int | None) -> int | None:
        """Where the line through known peaks meets the limit, at most the cap."""
        slope, peaks = self._slope(), self._peaks()
        if limit_bytes is None or slope is None:
            return None
        size, peak = peaks[-1]
        if slope == 0:
            return self.cap
        return min(self.cap, size + int((limit_bytes - peak) / slope))

    def _peaks(self) -> list[tuple[int, int]]:
        """Points whose peak is the highest so far: if a size took less than a smaller one, the next
        larger may not be so lucky."""
        peaks: list[tuple[int, int]] = []
        for size, peak in self.points:
            if peak is not None and (not peaks or peak >= peaks[-1][1]):
                peaks.append((size, peak))
        return peaks

    def _slope(self, skip: int = 0) -> float | None:
        """Bytes per image between the largest size (after leaving out `skip`) and the nearest one
        that is clearly smaller: between neighbours, small jumps of memory would dominate."""
        peaks = self._peaks()[: -skip or None]
        if len(peaks) < 2:
            return None
        size, peak = peaks[-1]
        smaller = [(s, p) for s, p in peaks[:-1] if s <= size * CLEARLY_SMALLER] or peaks[:1]
        return (peak - smaller[-1][1]) / (size - smaller[-1][0])

    def _bend(self) -> float:
        """The last relative change of the slope, from 0 (none, or unknown) to 1: how little the
        line can be trusted."""
        now, before = self._slope(), self._slope(skip=1)
        if now is None or before is None:
            return 0.0
        steepest = max(now, before)
        return abs(now - before) / steepest if steepest else 0.0

    def _guess(self, limit_bytes: int | None) -> int | None:
        """The line's answer, or a step from it into the bracket; None after a step too far."""
        line = self.line_answer(limit_bytes)
        if line is None:
            return None
        if line >= self.upper:
            # A straight curve is off by one at most; a bent one by a share of the bracket.
            return self.upper - 1 - int(self._bend() * (self.upper - 1 - self.lower) / 2)
        if line > self.lower:
            return line
        if self.misses:
            return None
        # The line's answer has run already, so the limit is a hint that is too low: step up from
        # it, doubling the stride every time.
        self.stride, stride = self.stride * 2, self.stride
        return min(self.lower + stride, self.upper - 1)

    def _middle(self) -> int | None:
        """Halfway; on a logarithmic scale while the ends are orders of magnitude apart."""
        if not self.bounded:
            return None
        if self.upper > 4 * self.lower > 0:
            return math.isqrt(self.lower * self.upper)
        return (self.lower + self.upper) // 2

    def _doubled(self) -> int:
        """The next power of two, or halfway if there is none in the bracket."""
        power = 1 << self.lower.bit_length()
        if power < self.upper:
            return min(power, self.cap)
        return (self.lower + self.upper) // 2

    def _affordable(self, size: int) -> bool:
        """Whether doubling after this probe keeps to `doubling_probes`, whatever its outcome."""
        used = len(self.probes) + 1
        return _doubling_suffices(self.lower, size, used) and _doubling_suffices(
            size, self.upper if self.bounded else None, used
        )


def _doubling_suffices(lower: int, upper: int | None, used: int) -> bool:
    """Whether, after `used` probes, doubling and bisecting would settle every answer from `lower`
    to below `upper` (None: unbounded) in at most `doubling_probes` probes in total."""
    if lower == 0:
        return upper is not None and used + math.ceil(math.log2(upper)) <= 5
    octave = lower.bit_length()
    if upper is None:
        return used <= octave
    while True:
        # Answers in this octave need one probe to bound it, unless `upper` does, and then halving.
        end = min(1 << octave, upper)
        total = used + (end < upper) + math.ceil(math.log2(end - lower))
        if total > max(5, 2 * octave):
            return False
        if end == upper:
            return True
        lower, used, octave = end, used + 1, octave + 1

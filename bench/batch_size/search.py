"""The largest batch in a handful of probes: a pure search over "try n".

A prediction of a step's memory knows how it grows with the batch, but not what a library takes for
itself. One small probe tells that difference, a second one just below the limit corrects the slope,
and the remaining probes close the bracket: the answer ran, and one more failed. Without a
prediction, peak memory is taken to be affine in the batch size, which it very nearly is; two small
probes give slope and intercept. On an affine curve with a known limit either takes at most five
probes, whatever the answer.

Where that line misleads, it is followed only while that is affordable: as long as doubling from the
largest size that ran, and bisecting, would still settle every possible answer in no more probes
than doubling and bisecting from one takes. So no monotone curve needs more probes than that (or six
if that is more: doubling finds an answer below four in two to four), and a prediction, however
wrong, costs at most `MOST_WASTED` more.
"""

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate, combinations
from statistics import median
from typing import Literal

LimitedBy = Literal["memory", "data set"]

MOST_MISSES = 3
"""After this many failures of the line in a row, a size in the middle is tried instead."""

MOST_WASTED = 2
"""Probes that a prediction may cost beyond those of a search without one."""

AIM = 0.97
"""The share of the limit at which a prediction is corrected: measured on the CPU, what its error
differs by between a small batch and the largest is at most three percent of the limit."""

FASTER = 2.0
"""Memory grows at most so many times as fast as predicted, or as slowly; two measured peaks that
say otherwise are not believed."""

FURTHER = 3
"""How many times as far below the limit it is corrected after a miss."""

Predicted = Callable[[int], int]
"""Peak bytes of a training step by batch size; never falls as the batch grows."""


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
    attempt: Callable[[int, bool], Attempt],
    *,
    limit_bytes: int | None,
    cap: int,
    smallest: int = 1,
    predicted: Predicted | None = None,
    first: tuple[int, int] = (11, 19),
) -> SearchResult:
    """Find the largest n in [`smallest`, `cap`] for which `attempt(n, brief=False)` fits.

    Args:
        attempt: tries a size, briefly where only its peak is asked for; what fails briefly would
            fail in full. Called at most once for each size and way.
        limit_bytes: the limit of the peak, if known; a hint that need not be exact.
        cap: the largest size that makes sense, such as the number of training images.
        smallest: the smallest size that makes sense.
        predicted: a prediction of the peak, which may be wrong.
        first: the two sizes that give slope and intercept; with a prediction the second is enough.
            Few data sets are multiples of them, so their epochs end with a smaller batch, as those
            of most sizes do.

    Raises:
        ValueError: the bounds leave nothing to try.
    """
    if not 1 <= smallest <= cap:
        raise ValueError(f"nothing to try between {smallest} and {cap}")
    if predicted is not None and predicted(smallest) == predicted(cap):
        predicted = None  # it says nothing about the batch
    bracket = _Bracket(smallest, cap, limit_bytes, predicted)
    for size in first if predicted is None else [bracket.small(first[-1])]:
        if bracket.open and bracket.upper > cap:
            size = min(max(size, smallest), cap)
            bracket.probe(size, attempt, brief=predicted is not None and size < cap)
    while bracket.open:
        size = bracket.next_size()
        bracket.probe(size, attempt, brief=bracket.aiming and size < cap)
        while not bracket.open and bracket.lower in bracket.brief:
            bracket.certify(attempt)
    limited_by: LimitedBy = "memory" if bracket.bounded else "data set"
    contradiction = _look_above(bracket, attempt) if bracket.points else None
    largest = bracket.lower if bracket.points else 0
    return SearchResult(largest, limited_by, tuple(bracket.probes), contradiction)


def doubling_probes(largest: int) -> int:
    """Probes that doubling and bisecting from one takes to find an answer: 1, 2, 4, … up to the
    first failure, then halving the gap."""
    return 2 * largest.bit_length() if largest else 1


def _look_above(
    bracket: "_Bracket", attempt: Callable[[int, bool], Attempt]
) -> tuple[int, int] | None:
    """If the first failure is far below the line's answer, try one size above it: an algorithm may
    take a workspace at some sizes that it does not take at larger ones."""
    line = bracket.line_answer()
    if line is None or not bracket.bounded or line < 2 * bracket.upper:
        return None
    # This probe is extra, so it must not cost more than the search promises.
    if len(bracket.probes) >= max(6, doubling_probes(bracket.lower)):
        return None
    size = min(line, 4 * bracket.upper)
    if size in dict(bracket.probes):
        return None
    result = attempt(size, False)
    bracket.probes.append((size, result))
    return (bracket.upper, size) if result.fits else None


@dataclass
class _Bracket:
    """What is known: `lower` runs (or is one below the smallest), `upper` fails (or is one above
    the cap). Sizes in `brief` ran, but not in full."""

    smallest: int
    cap: int
    limit_bytes: int | None
    predicted: Predicted | None = None
    lower: int = field(init=False)
    upper: int = field(init=False)
    points: list[tuple[int, int | None]] = field(default_factory=list)
    probes: list[tuple[int, Attempt]] = field(default_factory=list)
    brief: set[int] = field(default_factory=set)
    stride: int = 1
    guessed: bool = False
    aiming: bool = False
    misses: int = 0

    def __post_init__(self) -> None:
        self.lower, self.upper = self.smallest - 1, self.cap + 1

    @property
    def open(self) -> bool:
        return self.upper - self.lower > 1

    @property
    def bounded(self) -> bool:
        return self.upper <= self.cap

    def probe(self, size: int, attempt: Callable[[int, bool], Attempt], *, brief: bool) -> None:
        """Try a size inside the bracket and narrow it; a size outside it is known already."""
        if not self.lower < size < self.upper:
            return
        result = attempt(size, brief)
        self.probes.append((size, result))
        if result.fits:
            self.lower = size
            self.points.append((size, result.peak_memory_bytes))
            self.brief |= {size} if brief else set()
        else:
            self.upper = size
        self.misses = 0 if result.fits else self.misses + self.guessed

    def small(self, size: int) -> int:
        """At most `size`, and one that half of the limit, or a quarter of what it leaves beside the
        weights, is predicted to hold."""
        if self.predicted is None or self.limit_bytes is None:
            return size
        least = self.predicted(self.smallest)
        held = max(self.limit_bytes / 2, least + (self.limit_bytes - least) / 4)
        return max(
            bisect.bisect_right(range(size + 1), held, key=self.predicted) - 1, self.smallest
        )

    def certify(self, attempt: Callable[[int, bool], Attempt]) -> None:
        """Try the largest size that ran in full, too; if it fails, the bracket is open again."""
        size, _ = self.points.pop()
        self.brief.remove(size)
        self.lower = self.points[-1][0] if self.points else self.smallest - 1
        self.probe(size, attempt, brief=False)

    def next_size(self) -> int:
        """The line's answer, else the middle, else the next step of doubling and bisecting."""
        self.aiming = False
        guess = self._guess() if self.misses < MOST_MISSES else None
        self.guessed = guess is not None and self._affordable(guess)
        if guess is not None and self.guessed:
            return guess
        self.aiming = False
        # A probe in the middle gives the line a point nearer to the answer, if it runs.
        middle = self._middle()
        return middle if middle is not None and self._affordable(middle) else self._doubled()

    def line_answer(self) -> int | None:
        """Where the line through known peaks meets the limit, at most the cap."""
        return None if self.limit_bytes is None else self._reaching(self.limit_bytes)

    def _reaching(self, limit_bytes: float) -> int | None:
        """The largest size up to the cap whose peak the line puts at or below a limit.

        The line goes through medians, as Theil and Sen's does, because single sizes take some
        memory more, or less, than their neighbours.
        """
        peaks = self._peaks()
        if len(peaks) < 2 and (not peaks or self.predicted is None):
            return None
        # A prediction is believed until two peaks tell how much more, or less, is needed.
        slope = _slope(peaks) if len(peaks) > 1 else 1.0
        if self.predicted is not None:
            # Peaks of sizes close to each other say little about how fast memory grows.
            slope = min(max(slope, 1 / FASTER), FASTER)
        if slope <= 0:
            return self.cap
        offset = median(peak - slope * place for place, peak in peaks.items())
        target = (limit_bytes - offset) / slope
        return bisect.bisect_right(range(self.cap + 1), target, key=self._place) - 1

    def _place(self, size: int) -> int:
        """What memory is affine in: its prediction, or else the batch size."""
        return size if self.predicted is None else self.predicted(size)

    def _peaks(self) -> dict[int, int]:
        """Measured peaks by place on the line."""
        return {self._place(size): peak for size, peak in self.points if peak is not None}

    def _guess(self) -> int | None:
        """The line's answer, or a step from it into the bracket; None after a step too far."""
        line = self.line_answer()
        if line is None:
            return None
        if self.predicted is not None and len(self._peaks()) == 1:
            aim = self._aim() if line < self.cap and (self.misses or not self.bounded) else None
            self.aiming = aim is not None
            if aim is not None or self.bounded:
                return aim
        if line > self.lower:
            step = max((1 << self.misses) // 2, 1)
            return max(min(line, self.upper - step), self.lower + 1)
        if self.misses:
            return None
        # The line's answer has run already, so the limit is a hint that is too low: step up from
        # it, doubling the stride every time.
        self.stride, stride = self.stride * 2, self.stride
        return min(self.lower + stride, self.upper - 1)

    def _aim(self) -> int | None:
        """A size a little below the line's answer, and further below after a miss, for a second
        peak; one like most sizes: it leaves a smaller last batch, which costs memory, and is no
        multiple of 8, for which libraries have algorithms that take less (GoogLeNet at 64 images of
        32 px took 17 MiB less than at 63 and at 65)."""
        assert self.limit_bytes is not None
        aim = self._reaching((1 - (1 - AIM) * FURTHER**self.misses) * self.limit_bytes)
        while aim is not None and aim > 2 and (self.cap % aim < 2 or aim % 8 == 0):
            aim -= 1
        return aim if aim is not None and self.lower < aim < self.upper else None

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
        used = len(self.probes) + 1 - (0 if self.predicted is None else MOST_WASTED)
        return _doubling_suffices(self.lower, size, used) and _doubling_suffices(
            size, self.upper if self.bounded else None, used
        )


def _slope(peaks: dict[int, int]) -> float:
    """The median of the slopes between all pairs, each with the weight of its places' distance
    (Sievers, JASA 73, 1978): a size that takes more than its neighbour must not tilt the line."""
    pairs = combinations(sorted(peaks.items()), 2)
    slopes = sorted(((q - p) / (y - x), y - x) for (x, p), (y, q) in pairs)
    weights = list(accumulate(distance for _, distance in slopes))
    return slopes[bisect.bisect_left(weights, weights[-1] / 2)][0]


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

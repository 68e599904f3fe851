"""The largest batch on a card that need not be here, from a simulated step: no torch needed.

What tensors may take is the card's memory without a reserve. Whether a batch fits in that is asked
of a replay through the caching allocator, not of a formula.
"""

import bisect

from bench.prediction.caching_allocator import completes, needed_bytes
from bench.prediction.cards import DEFAULT_RESERVE_BYTES, Card
from bench.records.memory_trace import Trace
from bench.records.records import MemoryBreakdown, Predicted, Setting

ERROR = 0.05
"""How far off the predicted memory of a step may be, as a share of it; what the range of a
prediction is made of. See `tests/benchmarks/predicted_batches.py`, which measures it."""

LARGEST = 2**20
"""Predictions stop here: nobody trains with more images at once."""


def largest_predicted(trace: Trace, capacity: int, cap: int = LARGEST, smallest: int = 2) -> int:
    """The largest batch size up to `cap` whose steps complete in `capacity` bytes, 0 if even
    `smallest` does not.

    Live tensors alone give an upper bound, for their peak grows with the batch; from there the
    replay goes down by steps that double, and back up by halves.
    """
    sizes = range(cap + 1)
    upper = bisect.bisect_right(sizes, capacity, key=trace.peak_bytes) - 1
    if upper < smallest:
        return 0
    fails, stride = upper + 1, 1
    fits = upper
    while not completes(trace, fits, capacity):
        if fits <= smallest:
            return 0
        fails, fits, stride = fits, max(smallest, fits - stride), stride * 2
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if completes(trace, middle, capacity):
            fits = middle
        else:
            fails = middle
    return fits


def predict(
    trace: Trace,
    *,
    model: str,
    setting: Setting,
    num_classes: int,
    card: Card,
    reserve_bytes: int = DEFAULT_RESERVE_BYTES,
    cap: int = LARGEST,
) -> Predicted:
    """The largest batch of a model on a card, with the range that `ERROR` allows."""
    usable = card.usable_bytes(reserve_bytes)
    in_memory = largest_predicted(trace, usable)
    largest = min(cap, in_memory)
    fixed, per_image = trace.line(max(largest, 2))
    reach = int(ERROR * usable / per_image) + 1 if per_image else 0
    return Predicted(
        model=model,
        setting=setting,
        card=card.name,
        num_classes=num_classes,
        usable_bytes=usable,
        max_batch=largest,
        max_batch_low=min(cap, max(0, in_memory - reach)),
        max_batch_high=min(cap, in_memory + reach),
        base_bytes=fixed,
        bytes_per_image=per_image,
    )


def breakdown(
    trace: Trace, *, model: str, setting: Setting, batch_size: int, reserve_bytes: int
) -> MemoryBreakdown:
    """What the memory of a step is made of: live tensors at the peak by category, what the
    allocator needs beside them, and the reserve."""
    parts: dict[str, int] = {str(name): size for name, size in trace.breakdown(batch_size).items()}
    parts["allocator"] = max(0, needed_bytes(trace, batch_size) - sum(parts.values()))
    parts["workspace and context"] = reserve_bytes
    return MemoryBreakdown(model, setting, batch_size, parts)

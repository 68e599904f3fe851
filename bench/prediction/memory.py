"""The largest batch on a card that need not be here, from a simulated step, without torch.

Tensors may take the card's memory less a reserve. Whether a batch runs in that is decided by a
replay through the caching allocator, not by a formula.
"""

import bisect

from bench.prediction.caching_allocator import completes, needed_bytes
from bench.prediction.cards import DEFAULT_RESERVE_BYTES, Card
from bench.records.memory_trace import Trace
from bench.records.records import MemoryBreakdown, Predicted, Setting

ERROR = 0.05
"""The relative error of a step's predicted memory, from which a prediction's range follows;
measured by `tests/benchmarks/predicted_batches.py`."""

LARGEST = 2**20
"""Predictions stop here: nobody trains with larger batches."""


def largest_predicted(trace: Trace, capacity: int, cap: int = LARGEST, smallest: int = 2) -> int:
    """The largest batch size up to `cap` whose steps complete in `capacity` bytes, 0 if even
    `smallest` does not.

    The peak of live tensors grows with the batch and gives an upper bound; from there the search
    goes down in steps that double, and bisects the last of them.
    """
    lower = bisect.bisect_right(range(cap + 1), capacity, key=trace.peak_bytes) - 1
    if lower < smallest:
        return 0
    upper, stride = lower + 1, 1
    while not completes(trace, lower, capacity):
        if lower <= smallest:
            return 0
        upper, lower, stride = lower, max(smallest, lower - stride), stride * 2
    while upper - lower > 1:
        middle = (lower + upper) // 2
        if completes(trace, middle, capacity):
            lower = middle
        else:
            upper = middle
    return lower


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
    """The largest batch of a model on a card, with the range that follows from `ERROR`: what runs
    in so much less memory or more, and at least one image either way. The trace is of one of the
    parts that the setting trains a batch in."""
    usable, parts = card.usable_bytes(reserve_bytes), setting.accumulate
    in_memory = largest_predicted(trace, usable) * parts
    largest = min(cap, in_memory)
    fixed, per_part = trace.line(max(largest // parts, 2))
    less, more = (
        largest_predicted(trace, int(usable * share)) * parts for share in (1 - ERROR, 1 + ERROR)
    )
    return Predicted(
        model=model,
        setting=setting,
        card=card.name,
        num_classes=num_classes,
        usable_bytes=usable,
        max_batch=largest,
        max_batch_low=min(cap, max(0, min(less, in_memory - 1))),
        max_batch_high=min(cap, max(more, in_memory + 1)),
        base_bytes=fixed,
        bytes_per_image=per_part // parts,
    )


def breakdown(
    trace: Trace, *, model: str, setting: Setting, batch_size: int, reserve_bytes: int
) -> MemoryBreakdown:
    """The memory of a step by category: live tensors at the peak, what the allocator needs beyond
    them, and the reserve."""
    part = setting.part_of(batch_size)
    parts: dict[str, int] = {str(name): size for name, size in trace.breakdown(part).items()}
    needed = needed_bytes(trace, part)
    parts["allocator"] = max(0, needed.enough - sum(parts.values()))
    parts["workspace and context"] = reserve_bytes
    spare = needed.enough - needed.least
    return MemoryBreakdown(model, setting, batch_size, parts, spare_bytes=spare)

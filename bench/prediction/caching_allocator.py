"""A trace replayed through CUDA's caching allocator: whether a step completes in a given memory.

It needs more than the peak of live tensors, because freed blocks have the wrong sizes for later
requests, and less than the allocator reserves without a limit, because it releases cached segments
and retries before it fails. Rules and constants are those of c10/cuda/CUDACachingAllocator.cpp in
PyTorch 2, with default settings and one stream.
"""

import bisect
from dataclasses import dataclass
from typing import Optional

from bench.records.memory_trace import BLOCK_BYTES, Trace

_MIB = 2**20
_SMALL_REQUEST = _MIB  # kSmallSize: up to this, from the pool of small blocks
_SMALL_SEGMENT = 2 * _MIB  # kSmallBuffer
_LARGE_SEGMENT = 20 * _MIB  # kLargeBuffer: for requests below _OWN_SEGMENT
_OWN_SEGMENT = 10 * _MIB  # kMinLargeAlloc: from here on, a segment for the request alone
_SEGMENT_ROUNDING = 2 * _MIB  # kRoundLarge


class AllocationFailed(Exception):
    """A request could not be met, even after every unused segment was released."""


@dataclass(eq=False, slots=True)
class Block:
    """A part of a segment, linked to its neighbours in the segment."""

    size: int
    address: int
    small: bool
    used: bool = False
    before: Optional["Block"] = None
    after: Optional["Block"] = None

    @property
    def whole_segment(self) -> bool:
        """Whether this is all of its segment, which can then be released."""
        return self.before is None and self.after is None


class CachingAllocator:
    """Memory of `capacity` bytes (None: unlimited), of which `reserved` are in segments."""

    def __init__(self, capacity: int | None) -> None:
        self.capacity = capacity
        self.reserved = 0
        self.peak_reserved = 0
        self.retries = 0
        self._next_address = 0
        self._cached: dict[bool, list[tuple[int, int, Block]]] = {True: [], False: []}

    def allocate(self, size: int) -> Block:
        """The best block for `size` bytes, a multiple of `BLOCK_BYTES`; raises AllocationFailed."""
        small = size <= _SMALL_REQUEST
        cached = self._cached[small]
        # Best fit: the smallest cached block that is large enough, at the lowest address.
        index = bisect.bisect_left(cached, (size, -1))
        block = cached.pop(index)[2] if index < len(cached) else self._new_segment(size, small)
        rest = block.size - size
        # A large block keeps a small rest to itself: it would serve no later large request.
        if rest >= BLOCK_BYTES if small else rest > _SMALL_REQUEST:
            self._split(block, size)
        block.used = True
        return block

    def free(self, block: Block) -> None:
        """Return a block to the cache, joined with its unused neighbours."""
        block.used = False
        before, after = block.before, block.after
        if before is not None and not before.used:
            self._forget(before)
            block.address, block.size = before.address, block.size + before.size
            block.before = before.before
            if block.before is not None:
                block.before.after = block
        if after is not None and not after.used:
            self._forget(after)
            block.size += after.size
            block.after = after.after
            if block.after is not None:
                block.after.before = block
        self._remember(block)

    def _new_segment(self, size: int, small: bool) -> Block:
        if small:
            segment = _SMALL_SEGMENT
        elif size < _OWN_SEGMENT:
            segment = _LARGE_SEGMENT
        else:
            segment = -(-size // _SEGMENT_ROUNDING) * _SEGMENT_ROUNDING
        if self._exceeds_capacity(segment):
            # As on a card: only when memory is short are cached segments released.
            self.retries += 1
            self._release_cached()
            if self._exceeds_capacity(segment):
                raise AllocationFailed
        self.reserved += segment
        self.peak_reserved = max(self.peak_reserved, self.reserved)
        self._next_address += segment
        return Block(segment, self._next_address - segment, small)

    def _exceeds_capacity(self, segment: int) -> bool:
        return self.capacity is not None and self.reserved + segment > self.capacity

    def _release_cached(self) -> None:
        # A segment with a block in use cannot be released: this is fragmentation.
        for small, cached in self._cached.items():
            self.reserved -= sum(size for size, _, block in cached if block.whole_segment)
            self._cached[small] = [item for item in cached if not item[2].whole_segment]

    def _split(self, block: Block, size: int) -> None:
        rest = Block(block.size - size, block.address + size, block.small)
        rest.before, rest.after = block, block.after
        if block.after is not None:
            block.after.before = rest
        block.after, block.size = rest, size
        self._remember(rest)

    def _remember(self, block: Block) -> None:
        # Addresses are unique, so blocks themselves are never compared.
        bisect.insort(self._cached[block.small], (block.size, block.address, block))

    def _forget(self, block: Block) -> None:
        cached = self._cached[block.small]
        del cached[bisect.bisect_left(cached, (block.size, block.address))]


def replay(trace: Trace, batch_size: int, capacity: int | None = None) -> CachingAllocator:
    """The allocator after the steps of a trace at a batch size.

    Raises:
        AllocationFailed: they do not complete in `capacity` bytes.
    """
    allocator = CachingAllocator(capacity)
    _replay(trace, batch_size, allocator)
    return allocator


def _replay(trace: Trace, batch_size: int, allocator: CachingAllocator) -> None:
    sizes = trace.sizes(batch_size).tolist()
    blocks: dict[int, Block] = {}
    for event in trace.events:
        if event >= 0 and sizes[event]:  # an empty tensor takes no block
            blocks[event] = allocator.allocate(sizes[event])
        elif ~event in blocks:
            allocator.free(blocks.pop(~event))


def completes(trace: Trace, batch_size: int, capacity: int) -> bool:
    """Whether the steps of a trace complete at a batch size in `capacity` bytes."""
    try:
        replay(trace, batch_size, capacity)
    except AllocationFailed:
        return False
    return True


@dataclass(frozen=True)
class Needed:
    """The capacities that some steps need, in bytes: none below `least` is enough, and every one
    from `enough` on is.

    The two differ where a larger capacity is worse: segments are released later in it, and by then
    a block of theirs may be in use.
    """

    least: int
    enough: int


def needed_bytes(trace: Trace, batch_size: int) -> Needed:
    """What the steps of a trace need at a batch size, exactly."""
    least, live = replay(trace, batch_size).peak_reserved, trace.peak_bytes(batch_size)
    enough, capacity = None, least - 1
    # Less than the live peak always fails. Any capacity down to what was reserved at most has the
    # same replay, so the next one to try is just below.
    while capacity >= live:
        allocator = CachingAllocator(capacity)
        try:
            _replay(trace, batch_size, allocator)
            least = allocator.peak_reserved
        except AllocationFailed:
            enough = enough or capacity + 1
        capacity = allocator.peak_reserved - 1
    return Needed(least, enough or least)

"""The caching allocator: its rules on small examples, and what holds for any sequence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.prediction.caching_allocator import (
    AllocationFailed,
    Block,
    CachingAllocator,
    Needed,
    completes,
    needed_bytes,
    replay,
)
from bench.records.memory_trace import Allocation, Trace

KIB, MIB = 2**10, 2**20


@pytest.mark.parametrize(
    ("size", "reserved"),
    [
        (512, 2 * MIB),
        (MIB, 2 * MIB),
        (MIB + 512, 20 * MIB),
        (9 * MIB, 20 * MIB),
        (10 * MIB, 10 * MIB),
        (11 * MIB, 12 * MIB),
    ],
)
def test_segments(size: int, reserved: int) -> None:
    allocator = CachingAllocator(None)
    allocator.allocate(size)
    assert allocator.reserved == reserved


def test_a_freed_block_is_used_again_and_the_smallest_that_is_enough() -> None:
    allocator = CachingAllocator(None)
    large, small = allocator.allocate(40 * MIB), allocator.allocate(30 * MIB)
    allocator.free(large)
    allocator.free(small)
    again = allocator.allocate(29 * MIB + 512)
    assert again is small
    assert allocator.reserved == 70 * MIB


def test_neighbours_are_joined() -> None:
    allocator = CachingAllocator(None)
    parts = [allocator.allocate(5 * MIB) for _ in range(4)]
    assert allocator.reserved == 20 * MIB
    for part in (parts[1], parts[3], parts[0], parts[2]):
        allocator.free(part)
    assert allocator.allocate(20 * MIB).size == 20 * MIB
    assert allocator.reserved == 20 * MIB


def test_cached_segments_are_given_back_before_it_fails() -> None:
    allocator = CachingAllocator(100 * MIB)
    allocator.free(allocator.allocate(60 * MIB))
    allocator.allocate(80 * MIB)
    assert (allocator.reserved, allocator.retries) == (80 * MIB, 1)


def test_a_segment_in_use_is_not_given_back() -> None:
    allocator = CachingAllocator(100 * MIB)
    first, _second = allocator.allocate(5 * MIB), allocator.allocate(5 * MIB)
    allocator.free(first)
    with pytest.raises(AllocationFailed):
        allocator.allocate(90 * MIB)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Any order of allocations and frees."""
    sizes = st.integers(1, 64).map(lambda n: n * 512) | st.integers(1, 30).map(lambda n: n * MIB)
    allocations = draw(st.lists(sizes, min_size=1, max_size=40))
    events, alive, made = [], [], 0
    while made < len(allocations) or alive:
        if alive and (made == len(allocations) or draw(st.booleans())):
            events.append(~alive.pop(draw(st.integers(0, len(alive) - 1))))
        else:
            events.append(made)
            alive.append(made)
            made += 1
    return Trace(tuple(Allocation(n, 0, "activations") for n in allocations), tuple(events))


@given(traces())
@settings(max_examples=200, deadline=None)
def test_blocks_never_overlap_and_all_come_back(trace: Trace) -> None:
    allocator, alive = CachingAllocator(None), dict[int, Block]()
    for event in trace.events:
        if event < 0:
            allocator.free(alive.pop(~event))
            continue
        size = trace.allocations[event].fixed_bytes
        block = allocator.allocate(size)
        assert block.size >= size
        for other in alive.values():
            apart = (
                block.address + block.size <= other.address
                or other.address + other.size <= block.address
            )
            assert apart
        alive[event] = block
    before = allocator.reserved
    allocator._release_cached()
    assert (before > 0, allocator.reserved) == (True, 0)


@given(traces())
@settings(max_examples=100, deadline=None)
def test_what_is_needed_lies_between_the_live_peak_and_what_is_reserved(trace: Trace) -> None:
    needed, reserved = needed_bytes(trace, 1), replay(trace, 1).peak_reserved
    assert trace.peak_bytes(1) <= needed.least <= needed.enough <= reserved
    assert completes(trace, 1, needed.least)
    assert all(completes(trace, 1, n) for n in range(needed.enough, reserved, 2 * MIB))
    assert not any(completes(trace, 1, n) for n in range(0, needed.least, 2 * MIB))
    assert not completes(trace, 1, needed.least - 1)
    assert needed.least == needed.enough or not completes(trace, 1, needed.enough - 1)


def test_more_memory_can_be_too_little() -> None:
    """In 60 MiB the third request makes room, so that the rest fits exactly. In 62 MiB it need not;
    then a block of 22 is in use for 16, and the last request finds no room."""
    sizes = (10, 22, 30, 16, 14)
    activations = tuple(Allocation(n * MIB, 0, "activations") for n in sizes)
    trace = Trace(activations, (0, 1, ~0, ~1, 2, 3, 4))
    assert completes(trace, 1, 60 * MIB)
    assert not completes(trace, 1, 62 * MIB)
    assert needed_bytes(trace, 1) == Needed(60 * MIB, 66 * MIB)

"""A trace answers for every batch size: peaks, lines, and what they are made of."""

from bench.records.memory_trace import BLOCK_BYTES, Allocation, Trace

WEIGHTS = Allocation(1000 * BLOCK_BYTES, 0, "parameters")
ACTIVATION = Allocation(0, 4 * BLOCK_BYTES, "activations")
GRADIENT = Allocation(1000 * BLOCK_BYTES, 0, "gradients")
ODD = Allocation(1, 0, "temporaries")

STEP = Trace((WEIGHTS, ACTIVATION, ODD, GRADIENT), (0, 1, 2, ~2, 3, ~1, ~3))
"""Weights stay; the activation is there when the gradient comes."""


def test_sizes_are_rounded_up_to_blocks():
    assert STEP.sizes(3).tolist() == [n * BLOCK_BYTES for n in (1000, 12, 1, 1000)]
    assert STEP.sizes(3, block_bytes=1)[2] == 1


def test_live_bytes_follow_the_events():
    live = [n // BLOCK_BYTES for n in STEP.live_bytes(10).tolist()]
    assert live == [1000, 1040, 1041, 1040, 2040, 2000, 1000]


def test_the_peak_and_its_line():
    assert STEP.peak_bytes(10) == 2040 * BLOCK_BYTES
    fixed, image = STEP.line(10)
    assert (fixed, image) == (2000 * BLOCK_BYTES, 4 * BLOCK_BYTES)
    assert fixed + 10 * image == STEP.peak_bytes(10)


def test_the_breakdown_adds_up_to_the_peak():
    parts = STEP.breakdown(10)
    assert sum(parts.values()) == STEP.peak_bytes(10)
    assert parts["activations"] == 40 * BLOCK_BYTES
    assert parts["temporaries"] == 0


def test_the_place_of_the_peak_depends_on_the_batch():
    """Many images peak in the forward pass, few in the optimizer."""
    scratch = Allocation(0, 8 * BLOCK_BYTES, "temporaries")
    trace = Trace((ACTIVATION, scratch, GRADIENT), (0, 1, ~1, 2))
    assert trace.line(1) == (1000 * BLOCK_BYTES, 4 * BLOCK_BYTES)
    assert trace.line(1000) == (0, 12 * BLOCK_BYTES)


def test_nothing_takes_nothing():
    empty = Trace((), ())
    assert empty.peak_bytes(10) == 0
    assert empty.line(10) == (0, 0)

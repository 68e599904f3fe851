"""The replay against torch's own allocator for CUDA, which runs here without a card."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.prediction.caching_allocator import AllocationFailed, Block, CachingAllocator, replay
from bench.prediction.simulate import building, simulate
from bench.records.memory_trace import Allocation, Trace
from bench.records.records import Setting
from models import REGISTRY
from models.building.network import build_network
from tests.prediction.test_caching_allocator import traces

HERE, MIB = Path(__file__).parent, 2**20
Real = Callable[[Trace, int, int | None], list[int]]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("gcc"), reason="needs gcc"),
    pytest.mark.skipif(
        not (torch.version.cuda or "").startswith("13."), reason="needs a torch for CUDA 13"
    ),
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Bytes in segments after each event, as torch's allocator has them."""
    library = tmp_path_factory.mktemp("cudart") / "cudart.so"
    # By this name torch looks for the driver, too.
    build = ["gcc", "-w", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(library)]
    subprocess.run([*build, str(HERE / "cudart_without_card.c")], check=True)
    with subprocess.Popen(
        [sys.executable, str(HERE / "real_allocator.py")],
        env=os.environ | {"LD_PRELOAD": str(library)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def reserved_after(trace: Trace, batch_size: int, capacity: int | None) -> list[int]:
            sizes = trace.sizes(batch_size).tolist()
            print(json.dumps([sizes, occupied(trace, sizes), capacity]), file=asked, flush=True)
            reserved: list[int] = json.loads(answers.readline())
            return reserved

        yield reserved_after
        asked.close()


def occupied(trace: Trace, sizes: list[int]) -> list[int]:
    """The events of tensors that are not empty."""
    return [e for e in trace.events if sizes[max(e, ~e)]]


def replayed(trace: Trace, batch_size: int, capacity: int | None) -> list[int]:
    """The same, as the replay has them."""
    sizes, reserved = trace.sizes(batch_size).tolist(), []
    allocator, blocks = CachingAllocator(capacity), dict[int, Block]()
    try:
        for event in occupied(trace, sizes):
            if event >= 0:
                blocks[event] = allocator.allocate(sizes[event])
            else:
                allocator.free(blocks.pop(~event))
            reserved.append(allocator.reserved)
    except AllocationFailed:
        pass
    return reserved


@given(trace=traces(), share=st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_any_sequence_takes_the_same_segments(real: Real, trace: Trace, share: float) -> None:
    assert replayed(trace, 1, None) == real(trace, 1, None)
    live, most = trace.peak_bytes(1), replay(trace, 1).peak_reserved
    short = int(live + share * (most - live))
    assert replayed(trace, 1, short) == real(trace, 1, short)


@pytest.mark.parametrize(("name", "optimizer"), [("resnet18", "adam"), ("googlenet", "adagrad")])
def test_a_training_step_takes_the_same_segments(real: Real, name: str, optimizer: str) -> None:
    with building():
        network = build_network(REGISTRY.get(name), 10)
    trace = simulate(network, Setting(64, optimizer, 1e-3, "fp32"), classes=10, device="cpu")
    live, most = trace.peak_bytes(100), replay(trace, 100).peak_reserved
    assert most > live
    for capacity in (None, *range(live, most, (most - live) // 8)):
        assert replayed(trace, 100, capacity) == real(trace, 100, capacity)


def test_more_memory_is_too_little_for_torch_as_well(real: Real) -> None:
    sizes = (10, 22, 30, 16, 14)
    activations = tuple(Allocation(n * MIB, 0, "activations") for n in sizes)
    trace = Trace(activations, (0, 1, ~0, ~1, 2, 3, 4))
    assert [len(real(trace, 1, n * MIB)) for n in (60, 62, 66)] == [7, 6, 7]

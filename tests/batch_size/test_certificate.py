"""What a search predicted, from its trace and its first probe."""

import pytest

from bench.batch_size.certificate import certified, searched
from bench.batch_size.search import SearchResult
from bench.records.memory_trace import Allocation, Trace
from bench.records.messages import Conditions, Ready, SearchJob
from bench.records.records import LargestBatch, Probe
from tests.builders import MIB, a_dataset, a_probe, a_setting

TRACE = Trace(
    (Allocation(100 * MIB, 0, "parameters"), Allocation(0, 2 * MIB, "activations")), (0, 1)
)
BESIDE = 30 * MIB


def probe(size: int, peak: int | None, fits: bool = True) -> Probe:
    return a_probe(batch_size=size, peak_memory_bytes=peak, fits=fits)


def found(
    largest: int, *probes: Probe, limit: int | None = 330 * MIB, trace: Trace | None = TRACE
) -> LargestBatch:
    job = SearchJob("resnet18", a_setting(), Conditions("cpu", a_dataset(), limit, 0))
    result = SearchResult(largest, "memory", ())
    return certified(result, list(probes), job, Ready(limit, {}, trace))


def test_libraries_take_what_the_first_probe_that_ran_took_beside_tensors() -> None:
    first = probe(10, 120 * MIB + BESIDE)
    largest = found(97, probe(400, None, fits=False), first, probe(97, 328 * MIB))
    assert largest.predicted
    assert largest.predicted.base_bytes == 130 * MIB
    assert largest.predicted.bytes_per_image == 2 * MIB
    assert largest.predicted.probed_batch == 10
    assert largest.predicted_batch == 100


@pytest.mark.parametrize("parts", [1, 4])
def test_a_batch_in_parts_is_found_as_quickly_as_a_whole_one(parts: int) -> None:
    limit, probed = 330 * MIB, list[int]()
    conditions = Conditions("cpu", a_dataset(), limit, 0)
    job = SearchJob("resnet18", a_setting(accumulate=parts), conditions)

    def attempt(size: int, brief: bool) -> Probe:
        probed.append(size)
        peak = TRACE.peak_bytes(job.setting.part_of(size)) + BESIDE
        return probe(size, peak if peak <= limit else None, fits=peak <= limit)

    largest = searched(job, Ready(limit, {}, TRACE), 50_000, attempt)
    assert largest.max_batch == 100 * parts
    assert len(probed) <= 4


@pytest.mark.parametrize(
    "largest",
    [
        found(10, probe(10, 150 * MIB)),  # the first probe came to the answer
        found(97, probe(10, 150 * MIB), trace=None),
        found(97, probe(10, None)),
        found(97, probe(10, 150 * MIB), limit=None),
        found(0, probe(2, None, fits=False)),
    ],
)
def test_nothing_is_predicted_where_nothing_is_known(largest: LargestBatch) -> None:
    assert largest.predicted is None
    assert largest.predicted_batch is None

"""The search of one model: what it asks its worker for, and what it does when that dies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.errors import OutOfMemoryKilled
from bench.records.messages import Conditions, ProbeRequest, Ready, SearchJob
from bench.records.records import Probe
from bench.runner import batch_search
from bench.runner.batch_search import SWEEP_SIZES, Prober, sweep_sizes
from bench.runner.worker_handle import WorkerHandle
from tests.builders import a_dataset, a_description, a_setting

JOB = SearchJob("resnet18", a_setting(), Conditions("cpu", a_dataset(), 100, 0))


class FakeWorker(WorkerHandle):
    """Fits up to `largest` images, is killed by more than `deadly`."""

    largest, deadly = 40, 10**9
    started = 0

    def __init__(self, job: SearchJob, log: Path, *, limited: bool, timeout: float | None) -> None:
        type(self).started += 1
        self._said: list[Any] = [a_description(), Ready(1000, {"torch": "2"})]

    def receive(self) -> Any:
        return self._said.pop(0)

    def ask(self, request: ProbeRequest) -> Probe:
        n = request.batch_size
        if n > self.deadly:
            raise OutOfMemoryKilled("its worker was killed (SIGKILL).")
        fits = n <= self.largest or not request.limited
        seconds = (0.1,) * request.timed_steps
        peak, reason = (n * 10, None) if fits else (None, "out of memory")
        return Probe("resnet18", a_setting(), n, fits, peak, 0.1, reason, 0, 4, seconds)

    def __exit__(self, *error: object) -> None: ...

    def answer(self) -> None: ...

    def stop(self) -> None: ...

    def end(self) -> None: ...


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Prober]:
    def make(**traits: int) -> Prober:
        worker = type("W", (FakeWorker,), traits | {"started": 0})
        monkeypatch.setattr("bench.runner.batch_search.Worker", worker)
        return Prober(JOB, Path("log"), limited=True)

    return make


def test_the_answer_has_a_certificate(fake: Callable[..., Prober]) -> None:
    with fake() as prober:
        found = prober.search(1000)
    assert (found.max_batch, found.limited_by, found.budget_bytes) == (40, "memory", 1000)
    proof = found.certificate
    assert proof is not None
    assert (proof.steps, proof.evaluated, proof.failed_batch) == (4, True, 41)
    assert (proof.failed_because, proof.versions) == ("out of memory", {"torch": "2"})
    assert proof.channels_last


def test_the_data_set_can_be_the_limit(fake: Callable[..., Prober]) -> None:
    with fake() as prober:
        found = prober.search(30)
    assert (found.max_batch, found.limited_by) == (30, "data set")
    assert found.certificate is not None
    assert found.certificate.failed_batch is None


def test_a_killed_worker_means_that_it_does_not_fit(fake: Callable[..., Prober]) -> None:
    with fake(deadly=40, largest=10**6) as prober:
        found = prober.search(1000)
    assert found.max_batch == 40
    assert batch_search.Worker.started > 1
    assert found.certificate is not None
    assert "SIGKILL" in (found.certificate.failed_because or "")


def test_what_the_smallest_batch_needs_is_said_where_nothing_fits(
    fake: Callable[..., Prober],
) -> None:
    with fake(largest=0) as prober:
        found = prober.search(1000)
    assert (found.max_batch, found.needed_bytes) == (0, 20)


def test_every_probe_is_told(fake: Callable[..., Prober], monkeypatch: pytest.MonkeyPatch) -> None:
    fake()
    told: list[Probe] = []
    with Prober(JOB, Path("log"), limited=True, on_probe=told.append) as prober:
        found = prober.search(1000)
    assert {p.batch_size for p in told} >= {found.max_batch, found.max_batch + 1}


def test_a_sweep_times_sizes_up_to_the_largest(fake: Callable[..., Prober]) -> None:
    with fake() as prober:
        points = prober.sweep(40)
    assert [p.batch_size for p in points] == [2, 4, 8, 16, 32, 40]
    assert all(len(p.step_seconds) == 5 for p in points)


@pytest.mark.parametrize(
    ("largest", "sizes"),
    [(0, []), (1, []), (2, [2]), (3, [2, 3]), (1000, [32, 64, 128, 256, 512, 1000])],
)
def test_sweep_sizes(largest: int, sizes: list[int]) -> None:
    assert sweep_sizes(largest) == sizes
    assert len(sizes) <= SWEEP_SIZES

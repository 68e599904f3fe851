"""What a worker measures for a self-check: for real on the CPU, and with a stub for NVML."""

import sys

import pytest
import torch

from bench.records.measurement import Measurement
from bench.records.messages import AbilitiesJob, SelfCheckJob
from bench.runner.worker import jobs, selfcheck_jobs
from bench.runner.worker.selfcheck_jobs import JOBS, measure
from bench.system import gpu_telemetry
from bench.system.devices.cpu import CpuDevice
from bench.training.pace import WAYS
from tests.builders import a_setting
from tests.system.test_gpu_telemetry import Stub


def measured(what: str, precision: str = "fp32", images: int = 32) -> list[Measurement]:
    setting = a_setting(precision=precision, learning_rate=0.01)
    job = SelfCheckJob(what, "cpu", "lenet", setting, batch_size=16, images=images)
    return list(measure(job).values)


def values(rows: list[Measurement], quantity: str, **traits: object) -> list[float]:
    return [
        row.value
        for row in rows
        if row.quantity == quantity and all(getattr(row, k) == v for k, v in traits.items())
    ]


@pytest.mark.parametrize(("precision", "error"), [("fp32", 1e-5), ("bf16", 1e-2)])
def test_a_step_is_that_of_float64(precision: str, error: float) -> None:
    rows = measured("step", precision)
    ours, exact = (values(rows, "loss", variant=variant) for variant in ("", "float64"))
    assert ours == pytest.approx(exact, rel=error)
    assert ours[1] < ours[0]
    assert precision == "fp32" or ours != exact
    assert values(rows, "stray_tensors") == [0]
    assert {(row.precision, row.image_size, row.batch_size) for row in rows} == {
        (precision, 32, 16)
    }


def test_the_memory_of_a_step_is_what_was_predicted() -> None:
    rows = measured("memory")
    (real,), (predicted,) = (
        values(rows, "tensor_bytes", source=source) for source in ("measured", "predicted")
    )
    (workspace,) = values(rows, "workspace_bytes")
    assert -0.015 * real <= real - predicted <= 0.015 * real + workspace


@pytest.mark.parametrize("way", WAYS)
def test_every_way_has_a_rate(way: str) -> None:
    (row,) = measured(way)
    assert (row.experiment, row.variant, row.unit) == ("pace", way, "images/s")
    assert row.value > 0


class Watched(CpuDevice):
    """The CPU, where NVML would find a card."""

    def pci_bus_id(self) -> str:
        return "00000000:01:00.0"


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Stub:
    stub = Stub()
    monkeypatch.setitem(sys.modules, "pynvml", stub)
    monkeypatch.setattr(selfcheck_jobs, "open_device", Watched)
    monkeypatch.setattr(selfcheck_jobs, "TRAINING_SECONDS", 0.2)
    monkeypatch.setattr(gpu_telemetry, "INTERVAL_SECONDS", 0.01)
    return stub


def test_nvml_is_timed_and_heard(nvml: Stub) -> None:
    rows = measured("telemetry")
    assert nvml.bus == b"00000000:01:00.0"
    assert len(values(rows, "sample_seconds")) == selfcheck_jobs.SAMPLES
    assert all(0 < seconds < 0.1 for seconds in values(rows, "sample_seconds"))
    assert values(rows, "sampling_interval") == [0.5]
    assert values(rows, "sampled_seconds")[0] >= 0.2
    assert values(rows, "sm_clock_mhz") == [1500]
    assert values(rows, "samples")[0] >= 2
    assert set(values(rows, "throttled")) <= {0, 1}
    assert len(values(rows, "throttled")) == len(gpu_telemetry.THROTTLING)


def test_a_card_that_nvml_does_not_know_has_no_figures(nvml: Stub) -> None:
    nvml.broken = True
    assert measured("telemetry") == []


def test_a_device_without_nvml_has_no_figures() -> None:
    assert measured("telemetry") == []


def test_the_cpu_computes_in_two_precisions() -> None:
    able = jobs.abilities(AbilitiesJob("cpu"))
    assert (able.precisions, able.devices) == (("fp32", "bf16"), 1)


@pytest.mark.parametrize(
    ("capability", "precisions"),
    [((7, 5), ("fp32", "bf16", "fp16")), ((9, 0), ("fp32", "tf32", "bf16", "fp16"))],
)
def test_a_card_is_asked_for_what_it_can_do(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precisions: tuple[str, ...]
) -> None:
    class Card(CpuDevice):
        kind = "cuda"

    monkeypatch.setattr(jobs, "open_device", Card)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    able = jobs.abilities(AbilitiesJob("cpu"))
    assert (able.precisions, able.devices) == (precisions, 2)


def test_every_job_has_a_name() -> None:
    assert JOBS.keys() == {"step", "memory", "telemetry", *WAYS}

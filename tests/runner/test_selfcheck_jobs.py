"""What a worker measures for a self-check: for real on the CPU, and with a stub for NVML."""

import sys
from pathlib import Path

import pytest
import torch

from bench.records.kernel_trace import Kernel, KernelTrace
from bench.records.measurement import Measurement
from bench.records.messages import AbilitiesJob, SelfCheckJob, Simulated
from bench.records.records import DeviceFacts
from bench.runner.worker import jobs, selfcheck_jobs
from bench.runner.worker.selfcheck_jobs import JOBS, measure
from bench.runner.worker_process import Worker
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


def test_a_step_is_timed_and_predicted_by_what_the_processor_does(tmp_path: Path) -> None:
    """In a worker, as always: it simulates in a child, which needs a process without threads."""
    job = SelfCheckJob("speed", "cpu", "lenet", a_setting(), batch_size=16)
    with Worker(job, tmp_path / "worker.log") as worker:
        rows = [figure for message in worker.messages() for figure in message.values]
    real = values(rows, "step_seconds", source="measured")
    (predicted,), (low,), (high,) = (
        values(rows, f"step_seconds{end}", source="predicted") for end in ("", "_low", "_high")
    )
    assert len(real) == selfcheck_jobs.TIMED_STEPS
    assert min(real) > 0
    assert 0 < low < predicted < high
    (flops,), (bandwidth,) = (values(rows, f"peak_{name}") for name in ("flops", "bandwidth"))
    assert flops > 1e8
    assert bandwidth > 1e8


class Card(CpuDevice):
    """The CPU, called as a card is."""

    called = "Tesla T4"

    def facts(self) -> DeviceFacts:
        return DeviceFacts("cuda:0", "cuda", self.called, 15_633_219_584, None)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card whose steps are simulated already."""
    kernels = KernelTrace((Kernel("convolution", False, 0, 10**8, 0, 10**6, 64, 64),))
    answer = Simulated("lenet", a_setting(), None, kernels=kernels)
    monkeypatch.setattr(selfcheck_jobs, "message_from_child", lambda call: answer)
    monkeypatch.setattr(selfcheck_jobs, "open_device", lambda name: Card())


def on_card(precision: str = "fp32") -> list[Measurement]:
    setting = a_setting(precision=precision)
    return list(measure(SelfCheckJob("speed", "cuda:0", "lenet", setting, batch_size=16)).values)


@pytest.mark.usefixtures("simulated")
def test_on_a_card_a_step_is_predicted_by_published_peaks() -> None:
    rows = on_card()
    assert values(rows, "peak_flops", source="published") == [8.1e12]
    assert values(rows, "peak_bandwidth", source="published") == [320e9]
    (low,), (high,) = (values(rows, f"step_seconds_{end}") for end in ("low", "high"))
    assert low < high
    assert len(values(rows, "step_seconds", source="measured")) == selfcheck_jobs.TIMED_STEPS


@pytest.mark.usefixtures("simulated")
def test_where_nothing_can_be_predicted_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_card("bf16") == []  # a T4 has no such arithmetic
    monkeypatch.setattr(Card, "called", "Some Card")
    assert on_card() == []


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
    assert (able.flops, able.bandwidth) == (None, None)


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
    assert JOBS.keys() == {"step", "memory", "speed", "telemetry", *WAYS}


def test_a_device_is_timed_if_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "machine_peaks", lambda device: (2e9, 1e9))
    able = jobs.abilities(AbilitiesJob("cpu", timed=True))
    assert (able.flops, able.bandwidth) == (2e9, 1e9)

"""NVML's Python binding is a stub at its module boundary: `sys.modules["pynvml"]`."""

import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from bench.system import gpu_telemetry
from bench.system.gpu_telemetry import Sampler, driver_version, power_limit_watts


class NvmlError(Exception):
    pass


class Stub:
    """A card whose power rises by 100 W with every sample; `sampled` is set after the second."""

    NVMLError = NvmlError
    NVML_TEMPERATURE_GPU, NVML_CLOCK_SM = 0, 1
    nvmlClocksThrottleReasonSwPowerCap = 0x4
    nvmlClocksThrottleReasonHwSlowdown = 0x8
    nvmlClocksThrottleReasonSwThermalSlowdown = 0x20
    nvmlClocksThrottleReasonHwThermalSlowdown = 0x40
    nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 0x80

    def __init__(self, broken: bool = False, old: bool = False) -> None:
        self.broken, self.old, self.asked = broken, old, 0
        self.bus: Any = None
        self.sampled = threading.Event()

    def nvmlInit(self) -> None:
        if self.broken:
            self.sampled.set()
            raise NvmlError("Driver Not Loaded")

    def nvmlDeviceGetHandleByPciBusId(self, bus: bytes) -> str:
        self.bus = bus
        return "card"

    def nvmlDeviceGetPowerUsage(self, card: str) -> int:
        self.asked += 1
        return 100_000 * self.asked

    def nvmlDeviceGetTotalEnergyConsumption(self, card: str) -> int:
        if self.old:
            raise NvmlError("Not Supported")
        return 5_000_000 + 70_000 * self.asked

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, card: str) -> int:
        if self.old:
            raise NvmlError("Not Supported")
        return 0x1 | (0x20 if self.asked == 2 else 0)

    def nvmlDeviceGetComputeRunningProcesses(self, card: str) -> list[Any]:
        if self.old:
            raise NvmlError("Not Supported")
        return [SimpleNamespace(pid=n) for n in range(2 if self.asked == 2 else 1)]

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.1"

    def nvmlDeviceGetEnforcedPowerLimit(self, card: str) -> int:
        return 350_000

    def nvmlDeviceGetUtilizationRates(self, card: str) -> Any:
        return SimpleNamespace(gpu=50, memory=10)

    def nvmlDeviceGetMemoryInfo(self, card: str) -> Any:
        return SimpleNamespace(used=1000 + self.asked)

    def nvmlDeviceGetTemperature(self, card: str, sensor: int) -> int:
        return 80 - self.asked

    def nvmlDeviceGetClockInfo(self, card: str, kind: int) -> int:
        if self.asked == 2:
            self.sampled.set()
        return 1500


def use(monkeypatch: pytest.MonkeyPatch, stub: Stub) -> Stub:
    monkeypatch.setitem(sys.modules, "pynvml", stub)
    monkeypatch.setattr(gpu_telemetry, "INTERVAL_SECONDS", 0.001)
    seconds = iter(range(100, 1_000_000))
    monkeypatch.setattr(gpu_telemetry, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    return stub


def test_figures_over_the_time_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = use(monkeypatch, Stub())
    with Sampler("00000000:81:00.0") as sampler:
        assert stub.sampled.wait(30)
    found = sampler.result()
    assert found is not None
    count = found.samples
    assert stub.bus == b"00000000:81:00.0"
    assert count == stub.asked >= 3
    assert found.power_watts == pytest.approx(100 * (count + 1) / 2)
    assert found.energy_joules == pytest.approx(70 * (count - 1))
    assert found.throttled_by == ("heat (driver)",)
    assert found.other_processes == 1
    assert (found.utilisation, found.sm_clock_mhz) == (0.5, 1500)
    assert (found.memory_used_bytes, found.temperature_celsius) == (1000 + count, 79)


def test_an_epoch_shorter_than_the_interval_has_two_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stub = use(monkeypatch, Stub())
    monkeypatch.setattr(gpu_telemetry, "INTERVAL_SECONDS", 3600)
    with Sampler("bus") as sampler:
        pass
    found = sampler.result()
    assert found is not None
    assert found.samples == stub.asked == 2
    assert found.energy_joules == pytest.approx(70)


def test_a_card_that_does_not_count_its_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is mean power times the time; what else it does not say is left open."""
    use(monkeypatch, Stub(old=True))
    monkeypatch.setattr(gpu_telemetry, "INTERVAL_SECONDS", 3600)
    with Sampler("bus") as sampler:
        pass
    found = sampler.result()
    assert found is not None
    assert found.energy_joules == pytest.approx(150)
    assert (found.throttled_by, found.other_processes) == ((), 0)


def test_the_power_that_a_card_may_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Stub())
    assert power_limit_watts("bus") == 350.0
    assert power_limit_watts(None) is None
    use(monkeypatch, Stub(broken=True))
    assert power_limit_watts("bus") is None


def test_the_drivers_version(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Stub())
    assert driver_version() == "570.1"
    use(monkeypatch, Stub(broken=True))
    assert driver_version() is None


def test_nothing_is_asked_without_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = use(monkeypatch, Stub())
    with Sampler(None) as sampler:
        pass
    assert sampler.result() is None
    assert stub.asked == 0


def test_a_driver_that_is_not_there_costs_only_the_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stub = use(monkeypatch, Stub(broken=True))
    with Sampler("bus") as sampler:
        assert stub.sampled.wait(30)
    assert sampler.result() is None

"""NVML's Python binding is a stub at its module boundary: `sys.modules["pynvml"]`."""

import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from bench.measure import telemetry
from bench.measure.telemetry import Sampler


class NvmlError(Exception):
    pass


class Stub:
    """A card whose power rises by 100 W with every sample; `sampled` is set after the second."""

    NVMLError = NvmlError
    NVML_TEMPERATURE_GPU, NVML_CLOCK_SM = 0, 1

    def __init__(self, broken: bool = False) -> None:
        self.broken, self.asked = broken, 0
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
    monkeypatch.setattr(telemetry, "INTERVAL_SECONDS", 0.001)
    seconds = iter(range(100, 1_000_000))
    monkeypatch.setattr(telemetry, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
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
    assert found.energy_joules == pytest.approx(found.power_watts * (count - 1))
    assert (found.utilisation, found.sm_clock_mhz) == (0.5, 1500)
    assert (found.memory_used_bytes, found.temperature_celsius) == (1000 + count, 79)


def test_an_epoch_shorter_than_the_interval_has_two_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stub = use(monkeypatch, Stub())
    monkeypatch.setattr(telemetry, "INTERVAL_SECONDS", 3600)
    with Sampler("bus") as sampler:
        pass
    found = sampler.result()
    assert found is not None
    assert found.samples == stub.asked == 2
    assert found.energy_joules == pytest.approx(150)


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

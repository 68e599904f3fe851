"""What NVML says of the card while it trains: power, utilisation, memory, clock, temperature."""

import threading
import time
from dataclasses import dataclass
from statistics import fmean
from types import TracebackType
from typing import Any

from bench.records.records import Telemetry

INTERVAL_SECONDS = 0.5

THROTTLING = {
    "power cap": "nvmlClocksThrottleReasonSwPowerCap",
    "hardware slowdown": "nvmlClocksThrottleReasonHwSlowdown",
    "heat (driver)": "nvmlClocksThrottleReasonSwThermalSlowdown",
    "heat (hardware)": "nvmlClocksThrottleReasonHwThermalSlowdown",
    "power brake": "nvmlClocksThrottleReasonHwPowerBrakeSlowdown",
}
"""Why a card's clock may be lower than asked for: our words, and NVML's constants."""


@dataclass(frozen=True)
class _Sample:
    seconds: float
    power_watts: float
    utilisation: float
    memory_used_bytes: float
    temperature_celsius: float
    sm_clock_mhz: float
    joules_so_far: float | None
    throttled_by: tuple[str, ...]
    other_processes: int


class Sampler:
    """Samples one card in a thread between `with` and its end; without a card it does nothing.

    `pci_bus_id` names the card, for NVML counts cards in another order than CUDA may.
    """

    def __init__(self, pci_bus_id: str | None) -> None:
        self._bus = pci_bus_id
        self._samples: list[_Sample] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Sampler":
        if self._bus is not None:
            self._thread = threading.Thread(target=self._run, args=(self._bus,), daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def result(self) -> Telemetry | None:
        """Figures over the time sampled; None if there was nothing to sample.

        Energy is the difference of the card's own counter; of cards that have none, mean power
        times the time between the first and the last sample.
        """
        samples = self._samples
        if not samples:
            return None
        power = fmean(s.power_watts for s in samples)
        first, last = samples[0], samples[-1]
        if first.joules_so_far is None or last.joules_so_far is None:
            energy = power * (last.seconds - first.seconds)
        else:
            energy = last.joules_so_far - first.joules_so_far
        return Telemetry(
            power_watts=power,
            energy_joules=energy,
            utilisation=fmean(s.utilisation for s in samples),
            memory_used_bytes=max(s.memory_used_bytes for s in samples),
            temperature_celsius=max(s.temperature_celsius for s in samples),
            sm_clock_mhz=fmean(s.sm_clock_mhz for s in samples),
            samples=len(samples),
            throttled_by=tuple(dict.fromkeys(why for s in samples for why in s.throttled_by)),
            other_processes=max(s.other_processes for s in samples),
        )

    def _run(self, bus: str) -> None:
        import pynvml

        try:
            pynvml.nvmlInit()
            card = pynvml.nvmlDeviceGetHandleByPciBusId(bus.encode())
            while True:
                self._samples.append(_sample(card))
                if self._stop.wait(INTERVAL_SECONDS):
                    break
            self._samples.append(_sample(card))
        except pynvml.NVMLError:
            return


def power_limit_watts(pci_bus_id: str | None) -> float | None:
    """The power that a card may draw, as it is set now; None where NVML does not say."""
    import pynvml

    if pci_bus_id is None:
        return None
    try:
        pynvml.nvmlInit()
        card = pynvml.nvmlDeviceGetHandleByPciBusId(pci_bus_id.encode())
        return float(pynvml.nvmlDeviceGetEnforcedPowerLimit(card)) / 1e3
    except pynvml.NVMLError:
        return None


def _sample(card: object) -> _Sample:
    import pynvml

    return _Sample(
        seconds=time.perf_counter(),
        power_watts=pynvml.nvmlDeviceGetPowerUsage(card) / 1e3,
        utilisation=pynvml.nvmlDeviceGetUtilizationRates(card).gpu / 100,
        memory_used_bytes=pynvml.nvmlDeviceGetMemoryInfo(card).used,
        temperature_celsius=pynvml.nvmlDeviceGetTemperature(card, pynvml.NVML_TEMPERATURE_GPU),
        sm_clock_mhz=pynvml.nvmlDeviceGetClockInfo(card, pynvml.NVML_CLOCK_SM),
        joules_so_far=_joules(card),
        throttled_by=_throttled_by(card),
        other_processes=_other_processes(card),
    )


def _joules(card: object) -> float | None:
    """What the card has drawn since its driver was loaded; older cards do not count it."""
    import pynvml

    try:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(card)) / 1e3
    except pynvml.NVMLError:
        return None


def _throttled_by(card: object) -> tuple[str, ...]:
    import pynvml

    try:
        reasons = int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(card))
    except pynvml.NVMLError:
        return ()
    return tuple(why for why, bit in THROTTLING.items() if reasons & getattr(pynvml, bit))


def _other_processes(card: object) -> int:
    """How many processes compute on the card besides this one, as far as a container lets us see;
    its own number may be another one there."""
    import pynvml

    try:
        running: list[Any] = pynvml.nvmlDeviceGetComputeRunningProcesses(card)
    except pynvml.NVMLError:
        return 0
    return max(0, len(running) - 1)

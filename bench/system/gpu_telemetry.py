"""A card's power, utilisation, memory, clock and temperature during training, from NVML."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any, TypeVar

from bench.records.records import Telemetry

T = TypeVar("T")

INTERVAL_SECONDS = 0.5

THROTTLING = {
    "power cap": "nvmlClocksThrottleReasonSwPowerCap",
    "hardware slowdown": "nvmlClocksThrottleReasonHwSlowdown",
    "heat (driver)": "nvmlClocksThrottleReasonSwThermalSlowdown",
    "heat (hardware)": "nvmlClocksThrottleReasonHwThermalSlowdown",
    "power brake": "nvmlClocksThrottleReasonHwPowerBrakeSlowdown",
}
"""Why a card's clock may be reduced: our wording, and NVML's constants."""


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
    """Samples one card in a thread during a `with` block; without a card it does nothing.

    `pci_bus_id` identifies the card, because NVML may number cards differently from CUDA.
    """

    def __init__(self, pci_bus_id: str | None) -> None:
        self._pci_bus_id = pci_bus_id
        self._samples: list[_Sample] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Sampler":
        if self._pci_bus_id is not None:
            self._thread = threading.Thread(target=self._run, args=(self._pci_bus_id,), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def result(self) -> Telemetry | None:
        """Figures over the sampled time; None if there are no samples.

        Energy is the difference of the card's own counter, or without one, mean power times the
        time between the first and the last sample.
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

    def _run(self, pci_bus_id: str) -> None:
        def sample_until_stopped(nvml: Any) -> None:
            card = _card(nvml, pci_bus_id)
            self._samples.append(_sample(nvml, card))
            while not self._stop.wait(INTERVAL_SECONDS):
                self._samples.append(_sample(nvml, card))
            self._samples.append(_sample(nvml, card))

        _ask_nvml(sample_until_stopped)


def sampling_seconds(pci_bus_id: str, samples: int) -> list[float] | None:
    """Seconds that each of some samples takes, after a first one; None where NVML does not answer
    for that card."""

    def ask(nvml: Any) -> list[float]:
        card = _card(nvml, pci_bus_id)
        moments = [_sample(nvml, card).seconds for _ in range(samples + 1)]
        return [end - start for start, end in pairwise([*moments, time.perf_counter()])][1:]

    return _ask_nvml(ask)


def power_limit_watts(pci_bus_id: str | None) -> float | None:
    """The present limit of a card's power; None where NVML does not report it."""
    if pci_bus_id is None:
        return None
    return _ask_nvml(
        lambda nvml: nvml.nvmlDeviceGetEnforcedPowerLimit(_card(nvml, pci_bus_id)) / 1e3
    )


def pci_bus_id_of(uuid: str) -> str | None:
    """The address of a card that is known by its UUID, such as `GPU-5fd4...`; None if NVML does not
    find it."""

    def ask(nvml: Any) -> str:
        nvml.nvmlInit()
        card = nvml.nvmlDeviceGetHandleByUUID(uuid.encode())
        return str(nvml.nvmlDeviceGetPciInfo(card).busId)

    return _ask_nvml(ask)


def driver_version() -> str | None:
    """The version of NVIDIA's driver; None without one."""

    def ask(nvml: Any) -> str:
        nvml.nvmlInit()
        return str(nvml.nvmlSystemGetDriverVersion())

    return _ask_nvml(ask)


def _ask_nvml(question: Callable[[Any], T]) -> T | None:
    """The answer to a question to NVML's module; None if there is no driver or it cannot say."""
    import pynvml

    try:
        return question(pynvml)
    except pynvml.NVMLError:
        return None


def _card(nvml: Any, pci_bus_id: str) -> Any:
    nvml.nvmlInit()
    return nvml.nvmlDeviceGetHandleByPciBusId(pci_bus_id.encode())


def _sample(nvml: Any, card: Any) -> _Sample:
    return _Sample(
        seconds=time.perf_counter(),
        power_watts=nvml.nvmlDeviceGetPowerUsage(card) / 1e3,
        utilisation=nvml.nvmlDeviceGetUtilizationRates(card).gpu / 100,
        memory_used_bytes=nvml.nvmlDeviceGetMemoryInfo(card).used,
        temperature_celsius=nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU),
        sm_clock_mhz=nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_SM),
        joules_so_far=_joules(card),
        throttled_by=_throttled_by(card),
        other_processes=_other_processes(card),
    )


def _joules(card: Any) -> float | None:
    """The energy drawn since the driver was loaded; older cards do not count it."""
    return _ask_nvml(lambda nvml: nvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1e3)


def _throttled_by(card: Any) -> tuple[str, ...]:
    def ask(nvml: Any) -> tuple[str, ...]:
        bits = int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(card))
        return tuple(why for why, name in THROTTLING.items() if bits & getattr(nvml, name))

    return _ask_nvml(ask) or ()


def _other_processes(card: Any) -> int:
    """Processes that compute on the card besides this one, as far as a container shows them. Its
    own is not looked up by number, which may be another one in there."""
    running = _ask_nvml(lambda nvml: len(nvml.nvmlDeviceGetComputeRunningProcesses(card)))
    return max(0, (running or 0) - 1)

"""What NVML says of the card while it trains: power, utilisation, memory, clock, temperature."""

import threading
import time
from dataclasses import dataclass
from statistics import fmean
from types import TracebackType

from bench.records import Telemetry

INTERVAL_SECONDS = 0.5


@dataclass(frozen=True)
class _Sample:
    seconds: float
    power_watts: float
    utilisation: float
    memory_used_bytes: float
    temperature_celsius: float
    sm_clock_mhz: float


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

        Energy is mean power times the time between the first and the last sample.
        """
        samples = self._samples
        if not samples:
            return None
        power = fmean(s.power_watts for s in samples)
        return Telemetry(
            power_watts=power,
            energy_joules=power * (samples[-1].seconds - samples[0].seconds),
            utilisation=fmean(s.utilisation for s in samples),
            memory_used_bytes=max(s.memory_used_bytes for s in samples),
            temperature_celsius=max(s.temperature_celsius for s in samples),
            sm_clock_mhz=fmean(s.sm_clock_mhz for s in samples),
            samples=len(samples),
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


def _sample(card: object) -> _Sample:
    import pynvml

    return _Sample(
        seconds=time.perf_counter(),
        power_watts=pynvml.nvmlDeviceGetPowerUsage(card) / 1e3,
        utilisation=pynvml.nvmlDeviceGetUtilizationRates(card).gpu / 100,
        memory_used_bytes=pynvml.nvmlDeviceGetMemoryInfo(card).used,
        temperature_celsius=pynvml.nvmlDeviceGetTemperature(card, pynvml.NVML_TEMPERATURE_GPU),
        sm_clock_mhz=pynvml.nvmlDeviceGetClockInfo(card, pynvml.NVML_CLOCK_SM),
    )

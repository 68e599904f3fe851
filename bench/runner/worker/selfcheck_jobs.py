"""What a worker measures for a self-check: see `JOBS`."""

import copy
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.profiler import profile

from bench.batch_size.forked import message_from_child
from bench.data import shapes10
from bench.data.loader import Transform
from bench.errors import TrialFailed
from bench.prediction.cards import Peaks, card_called
from bench.prediction.cpu import FACTOR, cpu_step_seconds
from bench.prediction.simulate import building, simulate
from bench.prediction.speed import predict_speed, rates_of
from bench.records.kernel_trace import KernelTrace
from bench.records.measurement import Measurement
from bench.records.messages import Figures, SelfCheckJob, Simulated, SimulateJob
from bench.records.records import Setting
from bench.runner.worker.jobs import simulate_all
from bench.system.devices import Device, open_device
from bench.system.devices.cpu import CpuDevice
from bench.system.gpu_telemetry import (
    INTERVAL_SECONDS,
    THROTTLING,
    Sampler,
    sampling_seconds,
)
from bench.system.reference_matmul import machine_peaks
from bench.training.loop import Batch, train_pass
from bench.training.networks import open_network
from bench.training.optimizers import optimizer_of
from bench.training.pace import MEAN, STD, WAYS, images_per_second
from bench.training.precision import Precision, open_precision
from bench.training.step_timer import StepTimer
from models.building.network import Network
from models.zoo import resolve

SAMPLES = 20
"""How often NVML is asked to tell what that costs."""

UNTIMED_STEPS, TIMED_STEPS = 2, 5
"""Of training steps whose time was predicted."""

TRAINING_SECONDS = 5.0
"""How long a network trains while its card is watched."""

CLASSES = len(shapes10.CLASSES)

Measured = Iterator[Measurement]


def measure(job: SelfCheckJob) -> Figures:
    """The figures of a job."""
    return Figures(tuple(JOBS[job.what](job)))


def step(job: SelfCheckJob) -> Measured:
    """Losses of two training steps with plain SGD on the device, and of the same in float64 on the
    CPU, from the same weights and images; and how many tensors are elsewhere."""
    device, setting = open_device(job.device), job.setting
    torch.manual_seed(0)
    network, images, labels = _on_cpu(job)
    exact = copy.deepcopy(network).double()
    double = Precision("fp32", None, "cpu", None)
    yield from _losses(job, exact, (images.double(), labels), double, "float64")
    precision = open_precision(setting.precision, device.kind, deterministic=True)
    network.to(device.torch).to(memory_format=torch.channels_last)
    batch = images.to(device.torch).contiguous(memory_format=torch.channels_last)
    yield from _losses(job, network, (batch, labels.to(device.torch)), precision, "")
    tensors = [*network.parameters(), *network.buffers()]
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    stray = sum(t.device.type != device.kind for t in [*tensors, *gradients])
    yield _row(job, "step", "stray_tensors", stray)


def _losses(
    job: SelfCheckJob, network: Network, batch: Batch, precision: Precision, variant: str
) -> Measured:
    """Before an update and after it; dropout is off, for it differs from device to device."""
    network.train()
    for part in network.modules():
        if isinstance(part, nn.Dropout):
            part.eval()
    optimizer = torch.optim.SGD(network.parameters(), lr=job.setting.learning_rate)
    for repeat in (1, 2):
        optimizer.zero_grad(set_to_none=True)
        with precision.autocast():
            loss = network.losses(*batch).main
        yield _row(job, "step", "loss", float(loss.detach()), variant=variant, repeat=repeat)
        precision.backward(loss)
        precision.step(optimizer)


def memory(job: SelfCheckJob) -> Measured:
    """On the CPU, the bytes of tensors at the peak of two training steps, and the same predicted;
    and the workspace that oneDNN may take besides."""
    yield _row(job, "memory", "tensor_bytes", tensor_bytes(job.model, job.setting, job.batch_size))
    with building():
        network = open_network(resolve(job.model)[0], CLASSES, job.setting, fetched=False)
    workspace = onednn_workspace(network)
    trace = simulate(network, job.setting, classes=CLASSES, device="cpu")
    predicted = trace.peak_bytes(job.batch_size, block_bytes=1)
    yield _row(job, "memory", "tensor_bytes", predicted, source="predicted")
    yield _row(job, "memory", "workspace_bytes", workspace, source="predicted")


def tensor_bytes(model: str, setting: Setting, batch_size: int) -> int:
    """Bytes that torch's CPU allocator had out at most over two steps in fp32, weights included."""
    side = setting.image_size
    with profile(profile_memory=True) as recorded:
        with building():
            network = open_network(resolve(model)[0], CLASSES, setting, fetched=False)
        network.to(memory_format=torch.channels_last)
        optimizer = optimizer_of(setting, network, batch_size)
        images = torch.zeros(batch_size, 3, side, side).contiguous(
            memory_format=torch.channels_last
        )
        labels = torch.zeros(batch_size, dtype=torch.int64)
        precision = Precision("fp32", None, "cpu", None)
        batches = [(images, labels)] * 2
        train_pass(network, batches, optimizer, precision, StepTimer(CpuDevice(), 2))
    assert recorded.profiler is not None
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def onednn_workspace(network: nn.Module) -> int:
    """Bytes that oneDNN may take for 3x3 convolutions on processors without AVX-512: up to four
    times a layer's weights for each thread, which no simulation knows of. Measured with ResNet-18
    on 1, 2, 3, 4 and 8 threads: 2, 6, 10, 14 and 30 times."""
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        return 0
    layers = (m.weight for m in network.modules() if isinstance(m, nn.Conv2d))
    largest = max((weight.numel() for weight in layers), default=0)
    return 4 * 4 * largest * torch.get_num_threads()


def pace(way: str) -> Callable[[SelfCheckJob], Measured]:
    """Images per second in one of the ways of `bench.training.pace`."""

    def measured(job: SelfCheckJob) -> Measured:
        device, size = open_device(job.device), job.setting.image_size
        amount = {"images": job.images, "batch": job.batch_size}
        rate = images_per_second(way, device, job.model, size, **amount)
        yield _row(job, "pace", "images_per_second", rate, variant=way)

    return measured


def telemetry(job: SelfCheckJob) -> Measured:
    """What a sample of NVML costs, and what it says of a card that trains."""
    device = open_device(job.device)
    bus = device.pci_bus_id()
    seconds = None if bus is None else sampling_seconds(bus, SAMPLES)
    if seconds is None:
        return
    for repeat, one in enumerate(seconds, 1):
        yield _row(job, "telemetry", "sample_seconds", one, repeat=repeat)
    yield _row(job, "telemetry", "sampling_interval", INTERVAL_SECONDS)
    network, batch, optimizer, precision = _ready(job, device)
    device.synchronize()
    start = perf_counter()
    with Sampler(bus) as sampler:
        while perf_counter() - start < TRAINING_SECONDS:
            train_pass(network, [batch], optimizer, precision, StepTimer(device, 1))
            device.synchronize()
        trained = perf_counter() - start
    yield _row(job, "telemetry", "sampled_seconds", trained)
    seen = sampler.result()
    if seen is None:
        return
    for name in ("samples", "sm_clock_mhz", "power_watts", "temperature_celsius"):
        yield _row(job, "telemetry", name, getattr(seen, name))
    for reason in THROTTLING:
        slowed = reason in seen.throttled_by
        yield _row(job, "telemetry", "throttled", slowed, variant=reason)


def speed(job: SelfCheckJob) -> Measured:
    """Seconds of training steps on a batch that is on the device, measured and predicted; nothing
    where no figure can be predicted."""
    kind = job.device.partition(":")[0]
    wanted = SimulateJob(((job.model, job.setting),), CLASSES, None, device=kind)

    def simulation() -> Simulated:
        torch.set_num_threads(1)  # a fork has none of its parent's threads
        return next(simulate_all(wanted))

    # Before the device is opened, and in a child: it changes torch for its whole process.
    simulated = message_from_child(simulation)
    if simulated.kernels is None:
        raise TrialFailed(simulated.reason)
    device = open_device(job.device)
    predict = _predicted_on_cpu if kind == "cpu" else _predicted_on_card
    predicted = list(predict(job, simulated.kernels, device))
    if not predicted:
        return
    yield from predicted
    network, batch, optimizer, precision = _ready(job, device)
    timer = StepTimer(device, UNTIMED_STEPS + TIMED_STEPS)
    train_pass(network, [batch] * timer.steps, optimizer, precision, timer)
    device.synchronize()
    for repeat, seconds in enumerate(timer.step_seconds()[UNTIMED_STEPS:], 1):
        yield _row(job, "speed", "step_seconds", seconds, repeat=repeat)


def _predicted_on_cpu(job: SelfCheckJob, trace: KernelTrace, device: Device) -> Measured:
    """From what the processor was measured to compute and to move."""
    peaks = Peaks(*machine_peaks(device))
    setting, size = job.setting, job.batch_size
    seconds = cpu_step_seconds(trace, setting=setting, batch_size=size, peaks=peaks)
    if seconds is not None:
        yield from _step(job, seconds, seconds / FACTOR, seconds * FACTOR)
        yield _row(job, "speed", "peak_flops", peaks.fp32)
        yield _row(job, "speed", "peak_bandwidth", peaks.bandwidth)


def _predicted_on_card(job: SelfCheckJob, trace: KernelTrace, device: Device) -> Measured:
    """From the card's published peaks."""
    facts, setting, size = device.facts(), job.setting, job.batch_size
    card = card_called(facts.name, facts.memory_bytes)
    rates = rates_of(card.peaks, setting.precision) if card and card.peaks else None
    if card is None or card.peaks is None or rates is None:
        return
    found = predict_speed(trace, setting=setting, card=card, batch_size=size)
    if found is not None:
        seconds = found.step_seconds
        yield from _step(job, seconds, seconds / found.factor, found.slowest_seconds)
        yield _row(job, "speed", "peak_flops", rates[-1], source="published")
        yield _row(job, "speed", "peak_bandwidth", card.peaks.bandwidth, source="published")


def _step(job: SelfCheckJob, seconds: float, low: float, high: float) -> Measured:
    values = {"step_seconds": seconds, "step_seconds_low": low, "step_seconds_high": high}
    for name, value in values.items():
        yield _row(job, "speed", name, value, source="predicted")


def _ready(job: SelfCheckJob, device: Device) -> tuple[Network, Batch, Optimizer, Precision]:
    """A network on the device with all that a training step needs."""
    network, images, labels = _on_cpu(job)
    network.to(device.torch).to(memory_format=torch.channels_last)
    precision = open_precision(job.setting.precision, device.kind)
    optimizer = optimizer_of(job.setting, network, job.batch_size)
    return network, (images.to(device.torch), labels.to(device.torch)), optimizer, precision


def _on_cpu(job: SelfCheckJob) -> tuple[Network, Tensor, Tensor]:
    """A network and a batch of images with their labels."""
    size = job.setting.image_size
    network = open_network(resolve(job.model)[0], CLASSES, job.setting, fetched=False)
    pixels, labels = shapes10.generate(job.batch_size, seed=1)
    transform = Transform(size, MEAN, STD, torch.device("cpu"), True)
    return network, transform(torch.from_numpy(pixels)), torch.from_numpy(labels)


def _row(
    job: SelfCheckJob, experiment: str, quantity: str, value: float, **more: Any
) -> Measurement:
    setting = job.setting
    return Measurement(
        experiment,
        quantity,
        float(value),
        model=job.model,
        image_size=setting.image_size,
        precision=setting.precision,
        batch_size=job.batch_size,
        **more,
    )


JOBS: dict[str, Callable[[SelfCheckJob], Measured]] = {
    "step": step,
    "memory": memory,
    "speed": speed,
    "telemetry": telemetry,
    **{way: pace(way) for way in WAYS},
}
"""What can be measured, by name."""

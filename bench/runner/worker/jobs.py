"""The story of one model and one trial, top to bottom: prepare, describe, fit; train.

Each function here is one job of a worker process (`bench.runner.worker`); none of them plots, prints or
writes to the run folder.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import cast

import torch
from torch import nn

from bench.batch_size.forked import in_child, settled
from bench.batch_size.probe import Bench, make_network
from bench.config import settings_of
from bench.data.loader import (
    Transform,
    blank_split,
    open_split,
)
from bench.data.prepare import DataRequest
from bench.data.prepare import prepare as prepare_data
from bench.errors import BenchError, Crashed, OutOfMemoryKilled, TrialFailed
from bench.prediction.simulate import building, simulate
from bench.records.memory_trace import Trace
from bench.records.messages import (
    Conditions,
    Failure,
    Prepared,
    PrepareJob,
    ProbeRequest,
    Ready,
    Resolved,
    ResolveJob,
    SearchJob,
    Simulated,
    SimulateJob,
    Stopped,
    TrainJob,
    decode_message,
    encode_message,
)
from bench.records.records import (
    ModelDescribed,
    Probe,
    Setting,
    TrialNoted,
)
from bench.system.devices import Device, is_ambiguous, is_out_of_memory, open_device
from bench.system.environment import environment, versions
from bench.system.reference_matmul import calibrate
from bench.training.checkpoint import Training
from bench.training.determinism import determinism
from bench.training.loop import evaluation_pass, train_pass
from bench.training.optimizers import open_optimizer
from bench.training.precision import check_precision, open_precision
from bench.training.step_timer import StepClock
from bench.training.trainer import ProgressSink, Told, Trainer
from models.building import summary as architecture
from models.building.network import Network, build_network
from models.entry import Entry
from models.zoo import resolve


def prepare(job: PrepareJob) -> Prepared:
    """Look at everything a run needs before it starts: models, device, precision, images.

    Raises:
        Refused: something is missing or cannot work, said in one sentence.
    """
    entries = {e.facts.name: e for pattern in job.models for e in resolve(pattern)}
    device = open_device(job.device)
    for precision in job.precisions:
        check_precision(precision, device.kind)
    models = tuple(entry.facts for entry in entries.values())
    sizes = [model.pixels(size) for model in models for size in job.image_sizes]
    request = DataRequest(
        job.dataset,
        job.data_dir,
        job.train_limit,
        job.test_limit,
        largest_size=max(sizes),
        memory_bytes=device.available_memory() // 2,
    )
    dataset = prepare_data(request, Path(job.data_folder))
    return Prepared(
        models, device.facts(), dataset, environment(device.facts(), device.pci_bus_id())
    )


def resolve_all(job: ResolveJob) -> Resolved:
    """What is known of the models that names and wildcards mean."""
    entries = {e.facts.name: e for pattern in job.models for e in resolve(pattern)}
    return Resolved(tuple(entry.facts for entry in entries.values()))


def describe(job: SearchJob) -> ModelDescribed:
    """Count a model for the classes of the data set.

    Raises:
        TrialFailed: it cannot take images of that size.
    """
    size = job.setting.image_size
    try:
        return architecture.describe(_entry(job.model), len(job.conditions.dataset.classes), size)
    except (RuntimeError, ValueError, AssertionError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise TrialFailed(f"{job.model} cannot take {size} px images: {first}") from error


def open_search(job: SearchJob) -> tuple[Ready, Callable[[ProbeRequest], Probe]]:
    """A function that answers probe requests; on the CPU, each in a child of its own."""
    if job.conditions.device != "cpu" or not hasattr(os, "fork"):
        limit, answer = _open_bench(job)
        return Ready(limit, versions()), answer

    def isolated(request: ProbeRequest) -> Probe:
        def attempt(limited: bool) -> Probe:
            return _probe_in_child(job, replace(request, limited=limited))

        return settled(attempt, limited=request.limited)

    return Ready(job.conditions.budget_bytes, versions()), isolated


def _probe_in_child(job: SearchJob, request: ProbeRequest) -> Probe:
    start = perf_counter()
    try:
        answer = decode_message(in_child(lambda: _probe_safely(job, request)))
    except (OutOfMemoryKilled, Crashed) as error:
        seconds = perf_counter() - start
        return Probe(job.model, job.setting, request.batch_size, False, None, seconds, str(error))
    if isinstance(answer, Failure):
        raise TrialFailed(answer.reason)
    return cast(Probe, answer)


def _probe_safely(job: SearchJob, request: ProbeRequest) -> bytes:
    try:
        return encode_message(_open_bench(job)[1](request))
    except BenchError as error:
        return encode_message(Failure(str(error)))
    except Exception as error:
        first = next(iter(str(error).splitlines()), "")
        return encode_message(Failure(f"{type(error).__name__}: {first}"))


def _open_bench(job: SearchJob) -> tuple[int | None, Callable[[ProbeRequest], Probe]]:
    """Get ready to probe: the data's place taken, the device warm; the limit holds from here on."""
    device = open_device(job.conditions.device)
    precision = open_precision(job.setting.precision, device.kind)
    _warm_up(_entry(job.model), device, job.setting)
    facts = job.conditions.dataset
    transform = _transform(job.setting.image_size, job.conditions, device)
    bench = Bench(
        _entry(job.model),
        job.setting,
        job.conditions,
        blank_split(facts.train_images, facts, transform),
        blank_split(facts.test_images, facts, transform),
        device,
        precision,
    )
    limit = device.limit_memory(job.conditions.budget_bytes)

    def answer(request: ProbeRequest) -> Probe:
        with contextlib.nullcontext() if request.limited else device.unlimited():
            return bench.probe(request.batch_size, request.timed_steps)

    return limit, answer


def simulate_all(job: SimulateJob) -> Iterator[Simulated]:
    """Simulate every model in every setting on a CUDA card that need not be here; one that cannot
    take an image size, at its smallest.

    Raises:
        Refused: a model is unknown.
    """
    entries = {e.facts.name: e for pattern in job.models for e in resolve(pattern)}
    varied = (job.image_sizes, job.optimizers, job.precisions, job.learning_rate)
    shapes = [(n, s) for n, entry in entries.items() for s in settings_of(entry.facts, *varied)]
    for name, setting in shapes:
        start = perf_counter()
        try:
            found = _simulated(entries[name], setting, job)
            yield Simulated(name, setting, found, perf_counter() - start)
        except TrialFailed as error:
            yield Simulated(name, setting, None, perf_counter() - start, str(error))


def _simulated(entry: Entry, setting: Setting, job: SimulateJob) -> Trace:
    with building():
        network = build_network(entry, job.num_classes)
    return simulate(
        network,
        setting,
        channels_last=job.channels_last,
        classes=job.num_classes,
        dataset=job.dataset,
    )


def train(
    job: TrainJob, progress: ProgressSink, stopping: Callable[[], bool] = lambda: False
) -> Iterator[Told]:
    """Train one trial, or go on with it where its checkpoint is: a record per epoch.

    Once `stopping` is true the step under way is the last: where training is, is saved.

    Raises:
        Diverged: the loss is no longer finite.
        TrialFailed: memory ran out, or a checkpoint cannot be written.
    """
    with determinism(job.conditions.deterministic) as without:
        yield from _train(job, progress, stopping, without)


def _train(
    job: TrainJob, progress: ProgressSink, stopping: Callable[[], bool], without: set[str]
) -> Iterator[Told]:
    trial, conditions = job.trial, job.conditions
    assert trial.batch_size is not None
    device = open_device(conditions.device)
    precision = open_precision(trial.setting.precision, device.kind, conditions.deterministic)
    _warm_up(_entry(trial.model), device, trial.setting)
    torch.manual_seed(trial.seed)
    train_split, test_split = (
        open_split(
            Path(job.data_folder),
            part,
            conditions.dataset,
            _transform(trial.setting.image_size, conditions, device),
            conditions.workers,
        )
        for part in ("train", "test")
    )
    # Before the limit: the buffers of a library's matrix product are not the model's memory.
    name = trial.setting.precision
    yield calibrate(device, trial.id, job.logged_epochs, name)
    device.limit_memory(_with_slack(conditions.budget_bytes, device))
    try:
        network = make_network(_entry(trial.model), conditions, device)
        setting = trial.setting
        optimizer = open_optimizer(setting.optimizer, network.parameters(), setting.learning_rate)
        order = torch.Generator().manual_seed(trial.seed)
        training = Training(network, optimizer, precision, order)
        trainer = Trainer(job, train_split, test_split, device, training, progress, stopping)
        stopped = False
        for told in trainer.epochs():
            stopped = isinstance(told, Stopped)
            yield told
        for operation in sorted(without):
            note = f"{operation} has no deterministic algorithm: other numbers may come of a seed."
            yield TrialNoted(trial.id, note)
        if not stopped:
            with device.unlimited():
                yield calibrate(device, trial.id, job.epochs, name)
    except (RuntimeError, MemoryError) as error:
        # Under a limit, oneDNN's ambiguous errors come from the limit.
        limited = conditions.budget_bytes is not None and is_ambiguous(str(error))
        if not is_out_of_memory(error) and not limited:
            raise
        mend = "let the search choose (--batch-size auto), or give a smaller one"
        raise TrialFailed(f"out of memory at batch {trial.batch_size}: {mend}.") from error


TRAINING_SLACK_BYTES = 16 * 2**20
"""What a training process on the CPU may take beyond the budget: the budget is the model's, and
records, messages and a heap in pieces were measured to take up to 5 MiB more than a probe does."""


def _with_slack(budget: int | None, device: Device) -> int | None:
    return budget + TRAINING_SLACK_BYTES if budget and device.kind == "cpu" else budget


def _transform(image_size: int, conditions: Conditions, device: Device) -> Transform:
    facts = conditions.dataset
    return Transform(image_size, facts.mean, facts.std, device.torch, conditions.channels_last)


def _warm_up(entry: Entry, device: Device, setting: Setting) -> None:
    """Train a tiny network: threads, libraries and modules imported on first use are not the
    model's memory (torch loads some 90 MiB in an optimizer's first step, a model's builder 30)."""
    with torch.device("meta"):
        entry.build(2, False)
    layers = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = Network(nn.Sequential(*layers, nn.Linear(8, 2)), {}).to(device.torch)
    optimizer = open_optimizer(setting.optimizer, network.parameters(), setting.learning_rate)
    precision = open_precision(setting.precision, device.kind)
    images = torch.zeros(4, 3, 32, 32, device=device.torch)
    batch = (images, torch.zeros(4, dtype=torch.int64, device=device.torch))
    train_pass(network, [batch, batch], optimizer, precision, StepClock(device, 2))
    evaluation_pass(network, [batch], precision)
    device.synchronize()


def _entry(name: str) -> Entry:
    return resolve(name)[0]

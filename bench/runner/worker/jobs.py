"""The jobs of a worker process, in the order of a run: prepare, describe, search, simulate, train.

None of them plots, prints or writes to the run folder, except for checkpoints.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.batch_size.forked import probe_in_child, settled
from bench.batch_size.predicted import predicted_trace, simulated
from bench.batch_size.probe import ProbeSetup, make_network
from bench.data.batches import steps_per_epoch
from bench.data.download import Tell
from bench.data.loader import Transform, blank_split, open_split
from bench.data.prepare import DataRequest
from bench.data.prepare import prepare as prepare_data
from bench.errors import Refused, TrialFailed, first_line
from bench.own_code import Place
from bench.recipes import RECIPES
from bench.records import messages
from bench.records.memory_trace import Trace
from bench.records.records import DatasetFacts, ModelDescribed, Probe, Setting, TrialNoted
from bench.settings import PRECISIONS
from bench.system.devices import Device, is_ambiguous, is_out_of_memory, open_device
from bench.system.environment import environment, versions
from bench.system.reference_matmul import calibrate, machine_peaks
from bench.system.slots import check_ranks, open_slots
from bench.training.checkpoint import Training
from bench.training.determinism import determinism
from bench.training.gang import ALONE, Gang
from bench.training.loop import evaluation_pass, train_pass
from bench.training.networks import initialise_from
from bench.training.optimizers import open_updates, optimizer_of
from bench.training.precision import check_precision, open_precision
from bench.training.rehearsal import rehearse
from bench.training.step_timer import StepTimer
from bench.training.trainer import ProgressSink, Trainer, TrialMessage
from models.building import summary
from models.building.network import Network
from models.building.own_network import examine
from models.entry import Entry
from models.zoo import resolve


def examine_own(job: messages.ExamineJob) -> messages.OwnModel:
    """Examine a network of the user's own; raises Refused if it cannot be trained."""
    sizes, layout = job.image_sizes, job.channels_last
    facts = examine(job.name, Place(*job.place), sizes, channels_last=layout)
    return messages.OwnModel(facts, job.place)


def prepare(job: messages.PrepareJob, tell: Tell = lambda message: None) -> messages.Prepared:
    """Check everything that a run needs before it starts: models, device, precisions, images; show
    the progress of a download.

    Raises:
        Refused: something is missing or cannot work.
    """
    entries = _entries(job.models, job.own)
    device, slots = open_slots(job.device, job.devices, job.share_node)
    check_ranks(device, job.nproc_per_node, sync_batch_norm=job.sync_batch_norm)
    for precision in job.precisions:
        check_precision(precision, device.kind)
    models = tuple(entry.facts for entry in entries)
    sizes = [model.pixels(size) for model in models for size in job.image_sizes]
    # Each process reads all images into the machine's memory, also where they then go to a card.
    host = open_device("cpu").available_memory() // max(1, len(slots), job.nproc_per_node)
    request = DataRequest(
        job.dataset,
        job.data_dir,
        job.train_limit,
        job.test_limit,
        largest_size=max(sizes),
        memory_bytes=min(device.available_memory(), host) // 2,
        validation=job.validation,
    )
    folder, whole = Path(job.data_folder), None
    dataset = prepare_data(request, folder, tell)
    if job.whole:
        (folder / messages.WHOLE).mkdir()
        whole = prepare_data(replace(request, validation=0), folder / messages.WHOLE, tell)
    here = device.facts()
    surroundings = environment(here, device.pci_bus_id())
    return messages.Prepared(models, here, dataset, surroundings, job.own, whole, slots)


def resolve_all(job: messages.ResolveJob) -> messages.Resolved:
    """The facts of models given by name or wildcard."""
    return messages.Resolved(tuple(entry.facts for entry in _entries(job.models, job.own)))


def abilities(job: messages.AbilitiesJob) -> messages.Abilities:
    """The precisions that a device computes in, and how many of its kind are here; if it is to be
    timed, how fast it is."""
    device = open_device(job.device)

    def computes(precision: str) -> bool:
        with contextlib.suppress(Refused):
            check_precision(precision, device.kind)
            return True
        return False

    count = torch.cuda.device_count() if device.kind == "cuda" else 1
    speeds = machine_peaks(device) if job.timed else (None, None)
    return messages.Abilities(tuple(filter(computes, PRECISIONS)), count, *speeds)


def describe(job: messages.SearchJob) -> ModelDescribed:
    """Count a model's parameters and operations for the classes of the data set.

    Raises:
        TrialFailed: it cannot take images of that size.
    """
    size = job.setting.image_size
    try:
        classes = len(job.conditions.dataset.classes)
        return summary.describe(_entry(job.model, job.conditions), classes, size)
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = f"{job.model} cannot take {size} px images: {first_line(error)}"
        raise TrialFailed(reason) from error


def open_search(
    job: messages.SearchJob,
) -> tuple[messages.Ready, Callable[[messages.ProbeRequest], Probe]]:
    """A function that makes the requested probes; on the CPU, each in a child of its own."""
    trace = expected(job)
    if job.conditions.device != "cpu" or not hasattr(os, "fork"):
        limit, probe = _open_setup(job)
        return messages.Ready(limit, versions(), trace), probe

    def isolated(request: messages.ProbeRequest) -> Probe:
        def attempt(limited: bool) -> Probe:
            return _probe_in_child(job, replace(request, limited=limited))

        return settled(attempt, limited=request.limited)

    return messages.Ready(job.conditions.budget_bytes, versions(), trace), isolated


def expected(job: messages.SearchJob) -> Trace | None:
    """What a step is predicted to take, where a search wants to know and that can be simulated."""
    if not job.searched:
        return None
    return predicted_trace(_entry(job.model, job.conditions), job.setting, job.conditions)


def _probe_in_child(job: messages.SearchJob, request: messages.ProbeRequest) -> Probe:
    return probe_in_child(job, request.batch_size, lambda: _open_setup(job)[1](request))


def probe_once(job: messages.SearchJob, request: messages.ProbeRequest, gang: Gang) -> Probe:
    """Make one probe, as one of the processes that train together."""
    return _open_setup(job, gang)[1](request)


def _open_setup(
    job: messages.SearchJob, gang: Gang = ALONE
) -> tuple[int | None, Callable[[messages.ProbeRequest], Probe]]:
    """Prepare to probe: warm up the device, take the data's memory, and then set the limit."""
    device = _open_device(job.conditions, gang)
    deterministic = job.conditions.deterministic
    precision = open_precision(job.setting.precision, device.kind, deterministic)
    entry = _entry(job.model, job.conditions)
    _warm_up(entry, device, job.setting, deterministic)
    facts = job.conditions.dataset
    transform = _transform(job.setting, facts, device)
    train, *held_out = (blank_split(n, facts, transform) for n in facts.parts.values())
    setup = ProbeSetup(
        entry,
        job.setting,
        job.conditions,
        train,
        tuple(held_out),
        device,
        precision,
        gang,
    )
    limit = device.limit_memory(job.conditions.budget_bytes)

    def probe(request: messages.ProbeRequest) -> Probe:
        with contextlib.nullcontext() if request.limited else device.unlimited():
            return setup.probe(request.batch_size, request.timed_steps, request.brief)

    return limit, probe


def simulate_all(job: messages.SimulateJob) -> Iterator[messages.Simulated]:
    """Simulate every model in its setting on a device that need not be here.

    Raises:
        Refused: a model is unknown.
    """
    for model, setting in job.shapes:
        entry = resolve(model, job.own)[0]
        how: Any = {"dataset": job.dataset, "device": job.device, "kernels": True}
        try:
            yield simulated(entry, setting, job.num_classes, **how)
        except TrialFailed as error:
            yield messages.Simulated(model, setting, None, str(error))


def train(
    job: messages.TrainJob,
    progress: ProgressSink,
    stopping: Callable[[], bool] = lambda: False,
    gang: Gang = ALONE,
) -> Iterator[TrialMessage]:
    """Train one trial from the start or from its checkpoint; a record per epoch.

    Once `stopping` returns True, the present step is the last, and a checkpoint is saved. Of a
    gang, each process trains its share; the first one writes files.

    Raises:
        Diverged: the loss is no longer finite.
        TrialFailed: memory ran out, or a checkpoint cannot be written.
    """
    with determinism(job.conditions.deterministic) as nondeterministic:
        yield from _train(job, progress, gang.stopping(stopping), nondeterministic, gang)


def _train(
    job: messages.TrainJob,
    progress: ProgressSink,
    stopping: Callable[[], bool],
    nondeterministic: set[str],
    gang: Gang,
) -> Iterator[TrialMessage]:
    trial, conditions = job.trial, job.conditions
    assert trial.batch_size is not None
    device = _open_device(conditions, gang)
    precision = open_precision(trial.setting.precision, device.kind, conditions.deterministic)
    entry = _entry(trial.model, conditions)
    _warm_up(entry, device, trial.setting, conditions.deterministic)
    torch.manual_seed(trial.seed)
    train_split, *held_out = (
        open_split(
            Path(job.data_folder),
            part,
            conditions.dataset,
            _transform(trial.setting, conditions.dataset, device),
            conditions.workers,
        )
        for part in conditions.dataset.parts
    )
    # Before the limit is set: buffers of a library's matrix product are not the model's memory.
    name = trial.setting.precision
    of_precision = name, precision.autocast_dtype
    yield calibrate(device, trial.id, job.logged_epochs, *of_precision, job.calibrated)
    device.limit_memory(_with_slack(conditions.budget_bytes, device))
    try:
        network = make_network(entry, trial.setting, conditions, device)
        with device.unlimited():
            initialise_from(train_split, network)
        optimizer = optimizer_of(trial.setting, network, trial.batch_size)
        order = torch.Generator().manual_seed(trial.seed)
        ranks = gang.share.ranks
        updates = job.epochs * steps_per_epoch(len(train_split), trial.batch_size * ranks, ranks)
        after = open_updates(trial.setting, network, optimizer, updates)
        joined = gang.join(network, trial.seed)
        training = Training(network, optimizer, precision, order, after, joined, gang)
        evaluated, *rest = held_out
        tested = next(iter(rest), None) if job.evaluated else evaluated
        how = (device, training, progress, stopping)
        trainer = Trainer(job, train_split, evaluated, *how, tested)
        stopped = False
        for message in [rehearse(trainer)] if job.rehearsal else trainer.epochs():
            stopped = isinstance(message, messages.Stopped)
            yield message
        for operation in sorted(nondeterministic):
            note = f"{operation} has no deterministic algorithm: its results may vary."
            yield TrialNoted(trial.id, note)
        if not stopped:
            gang.wait()  # all of them at once, as before the first epoch
            with device.unlimited():
                yield calibrate(device, trial.id, job.epochs, *of_precision)
    except (RuntimeError, MemoryError) as error:
        # Under a limit, the limit is what causes oneDNN's ambiguous errors.
        limited = conditions.budget_bytes is not None and is_ambiguous(str(error))
        if not is_out_of_memory(error) and not limited:
            raise
        raise TrialFailed(
            f"out of memory at batch {trial.batch_size}: let the search choose "
            "(--batch-size auto), or give a smaller one."
        ) from error


TRAINING_SLACK_BYTES = 16 * 2**20
"""Memory beyond the budget for a training process on the CPU. The budget is for the model; records,
messages and heap fragmentation were measured to take up to 5 MiB more than in a probe."""


def _with_slack(budget: int | None, device: Device) -> int | None:
    return budget + TRAINING_SLACK_BYTES if budget and device.kind == "cpu" else budget


def _open_device(conditions: messages.Conditions, gang: Gang = ALONE) -> Device:
    """The device of a process: of a gang, each has a card of its own, or a part of the threads."""
    if conditions.threads is not None:
        torch.set_num_threads(max(1, conditions.threads // gang.here.ranks))
    name = conditions.device
    return open_device(name if gang.alone or name == "cpu" else f"cuda:{gang.here.rank}")


def _transform(setting: Setting, facts: DatasetFacts, device: Device) -> Transform:
    mean, std = facts.mean, facts.std
    if not RECIPES[setting.recipe].normalised:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return Transform(setting.image_size, mean, std, device.torch, setting.channels_last)


def _warm_up(entry: Entry, device: Device, setting: Setting, deterministic: bool) -> None:
    """Train a tiny network, because threads, libraries and modules loaded on first use are not the
    model's memory (an optimizer's first step loads some 90 MiB, a model's builder 30 MiB)."""
    with torch.device("meta"):
        entry.build(2, False)
    layers = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = Network(nn.Sequential(*layers, nn.Linear(8, 2)), {}).to(device.torch)
    optimizer = optimizer_of(setting, network, 4)
    # One of its own, for a scaler remembers what it has seen; it sets the whole process, too.
    precision = open_precision(setting.precision, device.kind, deterministic)
    images = torch.zeros(4, 3, 32, 32, device=device.torch)
    batch = (images, torch.zeros(4, dtype=torch.int64, device=device.torch))
    train_pass(network, [batch, batch], optimizer, precision, StepTimer(device, 2))
    evaluation_pass(network, [batch], precision)
    device.synchronize()


def _entries(patterns: tuple[str, ...], own: tuple[messages.OwnModel, ...] = ()) -> list[Entry]:
    """The models that names and wildcards match, each once."""
    entries = {entry.facts.name: entry for p in patterns for entry in resolve(p, own)}
    return list(entries.values())


def _entry(name: str, conditions: messages.Conditions) -> Entry:
    return resolve(name, conditions.own)[0]

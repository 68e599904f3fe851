"""What a step's memory is predicted to be on the device of a search: where the search begins."""

import os

import torch

from bench.batch_size.forked import message_from_child
from bench.errors import TrialFailed, WorkerDied
from bench.prediction.kernels import KernelRecorder
from bench.prediction.simulate import building, simulate
from bench.records.memory_trace import Trace
from bench.records.messages import Conditions, Simulated
from bench.records.records import DatasetFacts, Setting
from bench.training.networks import open_network
from models.entry import Entry


def simulated(
    entry: Entry,
    setting: Setting,
    classes: int,
    *,
    dataset: DatasetFacts | None = None,
    device: str = "cuda",
    kernels: bool = False,
) -> Simulated:
    """The memory of a model's step on a device that need not be here, with a data set if one is
    resident there, and with its `kernels` if they are asked for.

    Raises:
        TrialFailed: its step cannot be simulated.
    """
    with building():
        network = open_network(entry, classes, setting, fetched=False)
    recorder = KernelRecorder() if kernels else None
    trace = simulate(
        network, setting, classes=classes, dataset=dataset, device=device, kernels=recorder
    )
    return Simulated(
        entry.facts.name, setting, trace, kernels=recorder.trace() if recorder else None
    )


def predicted_trace(entry: Entry, setting: Setting, conditions: Conditions) -> Trace | None:
    """The memory of a simulated step, or None where it cannot be had: then a search takes some
    probes more. In a child, because a simulation changes torch for its whole process."""
    kind, dataset = conditions.device.partition(":")[0], conditions.dataset
    if kind not in ("cpu", "cuda") or not hasattr(os, "fork"):
        return None
    # Images on the CPU are there before its limit is set, and do not count against it.
    resident = dataset if kind == "cuda" and dataset.resident else None

    def simulation() -> Simulated:
        torch.set_num_threads(1)  # a fork has none of its parent's threads
        classes = len(dataset.classes)
        return simulated(entry, setting, classes, dataset=resident, device=kind)

    try:
        trace: Trace = message_from_child(simulation).trace
    except (TrialFailed, WorkerDied):
        return None
    return trace

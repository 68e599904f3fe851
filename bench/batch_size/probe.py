"""One attempt at a batch size: several real training steps and an evaluation.

The first step has no optimizer state in its forward pass, the second has. A probe also runs the
smaller batches that end an epoch, and a full one after them, because they cost memory that stays:
oneDNN compiles kernels for every batch size it meets, and cuDNN tries algorithms.

Everything that a probe creates is released before the next one starts, after the `except` block
has ended, because a traceback keeps tensors alive.
"""

from dataclasses import dataclass, field
from time import perf_counter

import torch
from torch import nn

from bench.data.loader import Augmentation, Split
from bench.errors import TrialFailed, first_line
from bench.records.messages import Conditions
from bench.records.records import Probe, Setting
from bench.system.devices import Device, is_ambiguous, is_out_of_memory
from bench.training.gang import ALONE, Gang
from bench.training.loop import evaluation_pass, train_pass
from bench.training.networks import open_network
from bench.training.optimizers import open_updates, optimizer_of
from bench.training.precision import Precision
from bench.training.step_timer import StepTimer
from models.building.network import Network
from models.entry import Entry


def make_network(entry: Entry, setting: Setting, conditions: Conditions, device: Device) -> Network:
    """A model on the device, in the memory format of the setting."""
    network = open_network(entry, len(conditions.dataset.classes), setting)
    if setting.sync_batch_norm:
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        network.module = convert(network.module)  # type: ignore[no-untyped-call]
    layout = torch.channels_last if setting.channels_last else torch.contiguous_format
    network.to(device.torch)
    return network.to(memory_format=layout)


@dataclass(frozen=True)
class ProbeSetup:
    """What the probes of one model under one setting share; `held_out` is what is evaluated."""

    entry: Entry
    setting: Setting
    conditions: Conditions
    train: Split
    held_out: tuple[Split, ...]
    device: Device
    precision: Precision
    gang: Gang = ALONE

    def probe(self, batch_size: int, timed_steps: int = 0, brief: bool = False) -> Probe:
        """Try one batch size. Out of memory is a result; any other error is raised. A brief probe
        leaves out the steps that do not change the peak.

        An ambiguous error (`bench.system.devices.is_ambiguous`) is a result too, which the caller
        must settle. A driver that moves tensors to the host's memory has run out of its own.

        Raises:
            TrialFailed: training failed for a reason that is not memory.
        """
        device = self.device
        device.release()
        device.reset_peak()
        retries, start = device.allocation_retries(), perf_counter()
        steps = _Steps()
        reason = self._attempt(batch_size, timed_steps, brief, steps)
        peak = device.peak_memory() if reason is None else None
        spilled = device.spilled_bytes() if reason is None else 0
        if spilled:
            reason = f"{spilled} bytes more than the card has were moved to the host's memory"
        seconds = perf_counter() - start
        retries = device.allocation_retries() - retries
        device.release()
        return Probe(
            self.entry.facts.name,
            self.setting,
            batch_size,
            reason is None,
            peak if reason is None else None,
            seconds,
            reason,
            retries,
            steps.done,
            tuple(steps.seconds),
        )

    def _attempt(
        self, batch_size: int, timed_steps: int, brief: bool, steps: "_Steps"
    ) -> str | None:
        """Why memory ran out, or None; as text, because a traceback would keep tensors alive."""
        try:
            self._train_a_little(batch_size, timed_steps, brief, steps)
        except Exception as error:
            message = first_line(error)
            if not is_out_of_memory(error) and not is_ambiguous(message):
                raise TrialFailed(f"training at batch {batch_size} failed: {message}") from error
            return f"{type(error).__name__}: {message}"[:300]
        return None

    def _train_a_little(
        self, batch_size: int, timed_steps: int, brief: bool, steps: "_Steps"
    ) -> None:
        network = make_network(self.entry, self.setting, self.conditions, self.device)
        optimizer = optimizer_of(self.setting, network, batch_size)
        after = open_updates(self.setting, network, optimizer, updates=1000)
        trained = self.gang.join(network, seed=0)

        def train(sizes: list[int]) -> list[float]:
            augment = Augmentation(self.setting.augment, torch.Generator().manual_seed(0))
            batches = (self.train.first(size, augment) for size in sizes)
            timer = StepTimer(self.device, len(sizes))
            parts = self.setting.accumulate
            train_pass(
                *(trained, batches, optimizer, self.precision, timer),
                schedule=after,
                accumulate=parts,
            )
            self.device.synchronize()
            steps.done += len(sizes)
            return timer.step_seconds()

        # Even a brief probe meets every size and comes back to the first: kernels are compiled
        # when they are first used, and what they take counts only after that.
        repeated = [batch_size] * (1 if brief else 2)
        ranks = self.gang.share.ranks
        train([*repeated, *_last_batch(self.train, batch_size, ranks)])
        part = self.setting.part_of(batch_size)
        evaluation = (
            split.first(size)
            for split in self.held_out
            for size in (min(part, len(split)), *_last_batch(split, part))
        )
        evaluation_pass(network, evaluation, self.precision)
        seconds = train([batch_size] * max(1, timed_steps))
        steps.seconds = seconds if timed_steps else []


@dataclass
class _Steps:
    """How many training steps a probe ran, and the seconds of the timed ones."""

    done: int = 0
    seconds: list[float] = field(default_factory=list)


def _last_batch(split: Split, batch_size: int, ranks: int = 1) -> list[int]:
    """The size of the last batch of an epoch, if it is smaller: the most that a rank has of it."""
    size = -(-(len(split) % (batch_size * ranks)) // ranks)
    return [size] if size > 1 else []

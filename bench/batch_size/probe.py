"""One attempt at a batch size: what training does, several steps of it, and an evaluation.

The first step has no optimizer state in its forward pass, the second has. The smaller batches that
end an epoch are in it too, and a full one after them, for they cost memory that stays: oneDNN
compiles kernels for every batch size it meets, and cuDNN tries algorithms.

Everything a probe makes dies with it, after the `except` block has ended, for a traceback pins
tensors; so the next probe finds the device as this one did.
"""

from dataclasses import dataclass, field
from time import perf_counter

import torch

from bench.data.loader import Split
from bench.errors import TrialFailed
from bench.records.messages import Conditions
from bench.records.records import Probe, Setting
from bench.system.devices import Device, is_ambiguous, is_out_of_memory
from bench.training.loop import evaluation_pass, train_pass
from bench.training.optimizers import open_optimizer
from bench.training.precision import Precision
from bench.training.step_timer import StepClock
from models.building.network import Network, build_network
from models.entry import Entry


def make_network(entry: Entry, conditions: Conditions, device: Device) -> Network:
    """A model on the device, in the memory format of the run."""
    network = build_network(
        entry, len(conditions.dataset.classes), pretrained=conditions.pretrained
    )
    layout = torch.channels_last if conditions.channels_last else torch.contiguous_format
    network.to(device.torch)
    return network.to(memory_format=layout)


@dataclass(frozen=True)
class Bench:
    """What the probes of one model under one setting have in common."""

    entry: Entry
    setting: Setting
    conditions: Conditions
    train: Split
    test: Split
    device: Device
    precision: Precision

    def probe(self, batch_size: int, timed_steps: int = 0) -> Probe:
        """Try one batch size; out of memory is an answer, any other error is raised.

        So is an error of which `bench.system.devices.is_ambiguous`; the caller has to settle what it means.
        A driver that moves tensors to the host's memory instead of failing has not made room.

        Raises:
            TrialFailed: training failed for a reason that is not memory.
        """
        device = self.device
        device.release()
        device.reset_peak()
        retries, start = device.allocation_retries(), perf_counter()
        steps = _Steps()
        reason = self._attempt(batch_size, timed_steps, steps)
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

    def _attempt(self, batch_size: int, timed_steps: int, steps: "_Steps") -> str | None:
        """Why memory ran out, or None; returning only text, lest a traceback pin the tensors."""
        try:
            self._train_a_little(batch_size, timed_steps, steps)
        except Exception as error:
            first = next(iter(str(error).splitlines()), "")
            if not is_out_of_memory(error) and not is_ambiguous(first):
                raise TrialFailed(f"training at batch {batch_size} failed: {first}") from error
            return f"{type(error).__name__}: {first}"[:300]
        return None

    def _train_a_little(self, batch_size: int, timed_steps: int, steps: "_Steps") -> None:
        network = make_network(self.entry, self.conditions, self.device)
        optimizer = open_optimizer(
            self.setting.optimizer, network.parameters(), self.setting.learning_rate
        )

        def train(sizes: list[int]) -> list[float]:
            augment = torch.Generator().manual_seed(0) if self.conditions.augment else None
            batches = (self.train.first(size, augment) for size in sizes)
            clock = StepClock(self.device, len(sizes))
            train_pass(network, batches, optimizer, self.precision, clock)
            self.device.synchronize()
            steps.done += len(sizes)
            return clock.step_seconds()

        train([batch_size, batch_size, *_last(self.train, batch_size)])
        sizes = [min(batch_size, len(self.test)), *_last(self.test, batch_size)]
        evaluation = (self.test.first(size) for size in sizes)
        evaluation_pass(network, evaluation, self.precision)
        seconds = train([batch_size] * max(1, timed_steps))
        steps.seconds = seconds if timed_steps else []


@dataclass
class _Steps:
    """How many training steps a probe ran, and seconds of those that were to be timed."""

    done: int = 0
    seconds: list[float] = field(default_factory=list)


def _last(split: Split, batch_size: int) -> list[int]:
    """The size of a part's last batch, where it is smaller."""
    left = len(split) % batch_size
    return [left] if left > 1 else []

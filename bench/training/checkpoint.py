"""Everything that training needs to continue, in one file that is replaced atomically.

A checkpoint holds tensors, numbers and text only, and is read with `weights_only=True`: nothing in
it can be executed. It is written between epochs, and within an epoch when a run is stopped, so that
a resumed trial takes exactly the remaining steps.
"""

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from bench.errors import BenchError, Unsaved
from bench.records.files import atomic_file
from bench.training.gang import ALONE, Gang
from bench.training.loop import Stepped, Sums, Trained
from bench.training.precision import Precision
from models.building.network import Network

_VERSION = 1


@dataclass(frozen=True)
class Position:
    """How far a trial is: `steps` of `epoch` are done, in `seconds` of wall-clock and
    `cpu_seconds` of processor time. `record` is of the last whole epoch."""

    epoch: int = 1
    steps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    record: bytes = b""

    def later(self, seconds: float, cpu_seconds: float) -> "Position":
        """The same position, with more time spent."""
        return replace(
            self, seconds=self.seconds + seconds, cpu_seconds=self.cpu_seconds + cpu_seconds
        )


@dataclass(frozen=True)
class Training:
    """The parts of a trial that have a state: network, optimizer, loss scale, order of the data,
    and what follows each update (the schedule of the rate), if anything."""

    network: Network
    optimizer: Optimizer
    precision: Precision
    order: torch.Generator
    schedule: Stepped | None = None
    joined: Trained | None = None
    gang: Gang = ALONE

    @property
    def trained(self) -> Trained:
        """What a step trains: the network, or it and those of other ranks together."""
        return self.joined or self.network

    def state(self) -> dict[str, Any]:
        """Everything but the position, including random states; ranks must ask for it together."""
        own, *others = self.gang.random_states()
        scaler = self.precision.scaler
        cuda: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else {},
            "schedule": self.schedule.state_dict() if self.schedule else {},
            "torch_random": own,
            "other_random": others,
            "cuda_random": torch.cuda.get_rng_state() if cuda else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The reverse of `state`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.precision.scaler:
            self.precision.scaler.load_state_dict(state["scaler"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        random = [state["torch_random"], *state.get("other_random", [])]
        torch.set_rng_state(random[self.gang.share.rank])
        if state["cuda_random"] is not None and self.gang.leads:
            torch.cuda.set_rng_state(state["cuda_random"])


def save(
    path: Path,
    trial: str,
    training: Training,
    position: Position,
    order_state: torch.Tensor,
    sums: Sums,
) -> None:
    """Replace the checkpoint of a trial.

    Args:
        path: the file.
        trial: the trial's id; `load` ignores checkpoints of other trials.
        training: the parts with a state.
        position: how far the trial is.
        order_state: state of the data order's generator at the start of the present epoch.
        sums: sums over the steps of that epoch so far, of all ranks.

    Ranks must save together; the first one writes.

    Raises:
        Unsaved: it cannot be written.
    """
    values = {
        "version": _VERSION,
        "trial": trial,
        "epoch": position.epoch,
        "steps": position.steps,
        "seconds": position.seconds,
        "cpu_seconds": position.cpu_seconds,
        "record": position.record.decode(),
        "order": order_state,
        "sums": sums.state(),
        "training": training.state(),
    }
    if training.gang.leads:
        write_state(path, values)


def write_state(path: Path, values: dict[str, Any]) -> None:
    """Replace a file of tensors, numbers and text; raises Unsaved if it cannot be written."""
    try:
        # Directly into the file: a copy in memory would count against a limit.
        with atomic_file(path) as file:
            torch.save(values, file)
    except BenchError as error:
        raise Unsaved(str(error)) from error
    except RuntimeError as error:
        # torch's writer does not say that the disk is full.
        raise Unsaved(f"cannot write {path}: the disk is full, most likely.") from error


def load(path: Path, trial: str) -> dict[str, Any] | None:
    """What `save` wrote, or None if there is no readable checkpoint of that trial."""
    values: Any = None
    with contextlib.suppress(Exception):
        # Whatever is wrong with it, training can start from the beginning.
        values = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(values, dict) or values.get("version") != _VERSION:
        return None
    return values if values.get("trial") == trial else None


def position_of(values: dict[str, Any]) -> Position:
    """The position in a loaded checkpoint."""
    return Position(
        values["epoch"],
        values["steps"],
        values["seconds"],
        values["cpu_seconds"],
        values["record"].encode(),
    )

"""One epoch of training and one evaluation: the innermost part, the same on every device.

Sums stay on the device until the end of the pass, so that nothing waits for the device meanwhile.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.records.records import parts_of
from bench.training.precision import Precision
from models.building.network import Losses

Batch = tuple[Tensor, Tensor]
"""Images (batch, 3, height, width) float32 and labels (batch,) int64, both on the device."""


@dataclass(frozen=True)
class Pass:
    """Means over the images of one pass: loss in nats, accuracy as a fraction, auxiliary losses."""

    images: int
    loss: float
    accuracy: float
    aux_losses: dict[str, float]


class Timer(Protocol):
    """Notified of a pass's progress: a step begins with the data, and its parts end in the order
    of `bench.training.step_timer.PARTS`."""

    def start(self) -> None:
        """The pass begins, and its first step."""

    def part(self) -> None:
        """A part of a step has ended."""

    def again(self) -> None:
        """Another forward pass of the same step begins."""

    def step(self) -> None:
        """A step has ended; the next one begins."""


class Stepped(Protocol):
    """What follows an update: a schedule of the rate, an average of the weights."""

    def step(self) -> None:
        """An update is done."""

    def state_dict(self) -> dict[str, Any]:
        """Its state, for a checkpoint."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the state of a checkpoint."""


class Trained(Protocol):
    """What a step trains: a network, or one of several ranks that train the same together."""

    def train(self) -> Any:
        """Set batch norm and dropout to training mode."""

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """As `Network.losses`."""

    def share(self, part: int, batch: int) -> float:
        """As `Network.share`."""

    def fewest(self, batch: int) -> int:
        """As `Network.fewest`."""


class Sums:
    """Running sums over a pass, kept on the device that they come from."""

    def __init__(self) -> None:
        self._images = 0
        self._correct: Tensor | int = 0
        self._losses: dict[str, Tensor | float] = {}

    @torch.no_grad()
    def add(self, logits: Tensor, labels: Tensor, losses: dict[str, Tensor]) -> None:
        """Count one batch: its logits, labels, and mean losses by name."""
        self._images += len(labels)
        self._correct = self._correct + (logits.argmax(1) == labels).sum()
        for name, loss in losses.items():
            self._losses[name] = self._losses.get(name, 0.0) + loss.float() * len(labels)

    def state(self) -> dict[str, Any]:
        """The sums so far, for a checkpoint."""
        return {"images": self._images, "correct": self._correct, "losses": dict(self._losses)}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Continue from the sums of a checkpoint."""
        self._images = state["images"]
        self._correct = torch.as_tensor(state["correct"]).to(device)
        self._losses = {k: torch.as_tensor(v).to(device) for k, v in state["losses"].items()}

    def numbers(self) -> tuple[list[str], list[float]]:
        """The names of the losses, and as numbers: images, right answers, and a sum for each name;
        waits for the device."""
        names = sorted(self._losses)
        sums = [float(self._losses[name]) for name in names]
        return names, [self._images, float(self._correct), *sums]

    def replace(self, names: list[str], numbers: list[float]) -> None:
        """Become the sums that these are the `numbers` of."""
        self._images, self._correct = int(numbers[0]), int(numbers[1])
        self._losses = dict(zip(names, numbers[2:], strict=True))

    def result(self) -> Pass:
        """The means; waits for the device."""
        means = {name: float(loss) / self._images for name, loss in self._losses.items()}
        main = means.pop("main")
        return Pass(self._images, main, int(self._correct) / self._images, means)


def train_step(
    network: Trained,
    batch: Batch,
    optimizer: Optimizer,
    precision: Precision,
    timer: Timer,
    sums: Sums,
    schedule: Stepped | None = None,
    accumulate: int = 1,
) -> None:
    """Forward with auxiliary losses, backward, update: the step of probes and epochs alike.

    With `accumulate`, the batch goes forward and backward in parts, and the update has the gradient
    of the mean loss over all of it.
    """
    images, labels = batch
    count = parts_of(network.fewest(len(labels)), accumulate)
    done: list[tuple[Tensor, Tensor, dict[str, Tensor]]] = []
    for part in zip(images.tensor_split(count), labels.tensor_split(count), strict=True):
        if done:
            timer.again()
        done.append(_forward_backward(network, part, len(labels), precision, timer))
    precision.step(optimizer)
    if schedule is not None:
        schedule.step()
    optimizer.zero_grad(set_to_none=True)
    timer.part()
    for logits, of, losses in done:
        sums.add(logits, of, losses)
    timer.step()


def _forward_backward(
    network: Trained, part: Batch, images: int, precision: Precision, timer: Timer
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Add a part's share of a batch of so many images to the gradients; its logits, labels and
    losses."""
    pixels, labels = part
    with precision.autocast():
        losses = network.losses(pixels, labels)
    timer.part()
    share = network.share(len(labels), images)
    precision.backward(losses.total if share == 1 else losses.total * share)
    timer.part()
    means = {"main": losses.main, **losses.aux}
    return losses.logits.detach(), labels, {name: loss.detach() for name, loss in means.items()}


def train_pass(
    network: Trained,
    batches: Iterable[Batch],
    optimizer: Optimizer,
    precision: Precision,
    timer: Timer,
    sums: Sums | None = None,
    schedule: Stepped | None = None,
    accumulate: int = 1,
) -> Sums:
    """Train on every batch once, adding to `sums` if given; the schedule sets the rate of each
    update, and a batch is trained in `accumulate` parts.

    Loss and accuracy of each batch are taken before its update.
    """
    network.train()
    sums = Sums() if sums is None else sums
    timer.start()
    for batch in batches:
        timer.part()
        train_step(network, batch, optimizer, precision, timer, sums, schedule, accumulate)
    return sums


def evaluation_pass(
    network: nn.Module,
    batches: Iterable[Batch],
    precision: Precision,
    kept: list[Tensor] | None = None,
) -> Sums:
    """Evaluate every image with batch norm and dropout in inference mode; no auxiliary heads. The
    logits of each batch, (batch, classes), go to `kept`, if given, as they are on the device."""
    network.eval()
    sums = Sums()
    with torch.inference_mode():
        for images, labels in batches:
            with precision.autocast():
                logits = network(images)
                loss = torch.nn.functional.cross_entropy(logits, labels)
            sums.add(logits, labels, {"main": loss})
            if kept is not None:
                kept.append(logits)
    return sums

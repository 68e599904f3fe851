"""A model as the training loop sees it: logits and losses, never tuples."""

from dataclasses import dataclass

import torch
import torchvision  # noqa: F401  torch 2.6 cannot import it while the meta device is the default
from torch import Tensor, nn
from torch.nn import functional

from models.entry import Entry


@dataclass(frozen=True)
class Losses:
    """Losses of one batch: `total` is minimised, `main` is of the main head, `aux` by head.

    All are scalars, means over the batch, in nats; `aux` is unweighted. `logits` is (batch,
    classes).
    """

    total: Tensor
    main: Tensor
    aux: dict[str, Tensor]
    logits: Tensor


class Network(nn.Module):
    """A classifier with cross-entropy losses; those of auxiliary heads are weighted in the sum."""

    def __init__(self, module: nn.Module, aux_weights: dict[str, float]) -> None:
        super().__init__()
        self.module = module
        self.aux_weights = aux_weights

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of float images (batch, 3, height, width)."""
        output = self.module(images)
        logits: Tensor = output if isinstance(output, Tensor) else output.logits
        return logits

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Losses of a batch with int64 labels (batch,), including auxiliary heads."""
        output = self.module(images)
        if isinstance(output, Tensor):
            main = functional.cross_entropy(output, labels)
            return Losses(main, main, {}, output)
        main = functional.cross_entropy(output.logits, labels)
        aux = {
            head: functional.cross_entropy(getattr(output, head), labels)
            for head in self.aux_weights
        }
        weighted = [weight * aux[head] for head, weight in self.aux_weights.items()]
        total = main + torch.stack(weighted).sum() if weighted else main
        return Losses(total, main, aux, output.logits)


def build_network(entry: Entry, classes: int, *, pretrained: bool = False) -> Network:
    """Build an entry for a number of classes, on the CPU and in training mode.

    Raises:
        TrialFailed: pretrained weights are not available.
    """
    return Network(entry.build(classes, pretrained), entry.facts.aux_weights).train()

"""A model as the training loop sees it: logits and losses, never tuples."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.building.heads import freeze_body
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

    def __init__(
        self,
        module: nn.Module,
        aux_weights: dict[str, float],
        label_smoothing: float = 0.0,
        *,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.module = module
        self.aux_weights = aux_weights
        self.label_smoothing = label_smoothing
        self.frozen = frozen

    def train(self, mode: bool = True) -> "Network":
        """As every module, but that a frozen body keeps its batch norm's statistics."""
        super().train(mode)
        for part in self.module.modules() if self.frozen else ():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of float images (batch, 3, height, width)."""
        output = self.module(images)
        logits: Tensor = output if isinstance(output, Tensor) else output.logits
        return logits

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Losses of a batch with int64 labels (batch,), including auxiliary heads."""
        output = self.module(images)
        if isinstance(output, Tensor):
            main = self._loss(output, labels)
            return Losses(main, main, {}, output)
        main = self._loss(output.logits, labels)
        aux = {head: self._loss(getattr(output, head), labels) for head in self.aux_weights}
        weighted = [weight * aux[head] for head, weight in self.aux_weights.items()]
        total = main + torch.stack(weighted).sum() if weighted else main
        return Losses(total, main, aux, output.logits)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)


def build_network(
    entry: Entry,
    classes: int,
    *,
    pretrained: bool = False,
    aux_weight: float | None = None,
    label_smoothing: float = 0.0,
    frozen: bool = False,
) -> Network:
    """Build an entry for a number of classes, on the CPU and in training mode; `aux_weight` is the
    weight of each auxiliary loss, None for the entry's own. If `frozen`, only last layers train.

    Raises:
        TrialFailed: pretrained weights are not available, or there is no last layer to train.
    """
    weights = entry.facts.aux_weights
    if aux_weight is not None:
        weights = dict.fromkeys(weights, aux_weight)
    module = entry.build(classes, pretrained)
    if frozen:
        freeze_body(module, classes)
    return Network(module, weights, label_smoothing, frozen=frozen).train()

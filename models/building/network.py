"""A model as the training loop sees it: logits and losses, never tuples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torchvision  # noqa: F401  torch 2.6 cannot import it while the meta device is the default
from torch import Tensor, nn
from torch.nn import functional

from models.building.heads import freeze_body
from models.entry import Entry

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
"""Layers whose statistics depend on the other images of a batch."""


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


def outputs_by_name(output: Any) -> Mapping[str, Tensor]:
    """What a module returned, by name: `logits`, and a tensor per auxiliary head if it was a dict
    or a named tuple; raises TypeError if it was neither of these nor a tensor."""
    if isinstance(output, Tensor):
        return {"logits": output}
    if hasattr(output, "_asdict"):
        output = output._asdict()
    if not isinstance(output, Mapping) or "logits" not in output:
        raise TypeError(f"a {type(output).__name__} without logits")
    return output


class Network(nn.Module):
    """A classifier with cross-entropy losses; those of auxiliary heads are weighted in the sum.

    If `summed`, an update takes the gradient of the losses' sum over its batch, not of their mean.
    """

    def __init__(
        self,
        module: nn.Module,
        aux_weights: dict[str, float],
        label_smoothing: float = 0.0,
        *,
        frozen: bool = False,
        summed: bool = False,
    ) -> None:
        super().__init__()
        self.module = module
        self.aux_weights = aux_weights
        self.label_smoothing = label_smoothing
        self.frozen = frozen
        self.summed = summed

    def train(self, mode: bool = True) -> "Network":
        """As every module, but that a frozen body keeps its batch norm's statistics."""
        super().train(mode)
        for part in self.module.modules() if self.frozen else ():
            if isinstance(part, BATCH_NORMS):
                part.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of float images (batch, 3, height, width)."""
        return outputs_by_name(self.module(images))["logits"]

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Losses of a batch with int64 labels (batch,), including auxiliary heads."""
        outputs = outputs_by_name(self.module(images))
        main = self._loss(outputs["logits"], labels)
        heads = [head for head in self.aux_weights if head in outputs]  # none in inference
        aux = {head: self._loss(outputs[head], labels) for head in heads}
        weighted = [self.aux_weights[head] * aux[head] for head in heads]
        total = main + torch.stack(weighted).sum() if weighted else main
        return Losses(total, main, aux, outputs["logits"])

    def share(self, part: int, batch: int) -> float:
        """What the mean loss over a part of a batch counts in the batch's gradient."""
        return part if self.summed else part / batch

    def fewest(self, batch: int) -> int:
        """Images of a batch that every process trains on: all, for there is one."""
        return batch

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
    summed: bool = False,
) -> Network:
    """Build an entry for a number of classes, on the CPU and in training mode; `aux_weight` is the
    weight of each auxiliary loss, None for the entry's own. If `frozen`, only last layers train;
    `summed` as in `Network`.

    Raises:
        TrialFailed: pretrained weights are not available, or there is no last layer to train.
    """
    weights = entry.facts.aux_weights
    if aux_weight is not None:
        weights = dict.fromkeys(weights, aux_weight)
    module = entry.build(classes, pretrained)
    if frozen:
        freeze_body(module, classes)
    return Network(module, weights, label_smoothing, frozen=frozen, summed=summed).train()

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from bench.config import OPTIMIZERS
from bench.errors import Refused
from bench.training.optimizers import open_optimizer


@pytest.mark.parametrize(("name", "kind"), [("adam", Adam), ("adamw", AdamW), ("sgd", SGD)])
def test_by_name(name: str, kind: type) -> None:
    optimizer = open_optimizer(name, nn.Linear(2, 2).parameters(), 0.25)
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert optimizer.param_groups[0]["fused"] is True


def test_sgd_has_nesterov_momentum() -> None:
    group = open_optimizer("sgd", nn.Linear(2, 2).parameters(), 0.1).param_groups[0]
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, True, 0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_a_step(name: str) -> None:
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().clone()
    optimizer = open_optimizer(name, layer.parameters(), 0.1)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert (layer.weight < before).all()


def test_frozen_parameters_are_left_out() -> None:
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    [group] = open_optimizer("adam", layer.parameters(), 0.1).param_groups
    assert [p is layer.weight for p in group["params"]] == [True]


def test_no_fused_kernel_for_half_precision_weights() -> None:
    layer = nn.Linear(3, 2).to(torch.bfloat16)
    assert open_optimizer("adam", layer.parameters(), 0.1).param_groups[0]["fused"] is False


def test_unknown() -> None:
    with pytest.raises(Refused, match=r"unknown optimizer 'adm': there are adam, adamw, sgd\."):
        open_optimizer("adm", nn.Linear(2, 2).parameters(), 0.1)

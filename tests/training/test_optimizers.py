import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from bench.config import OPTIMIZERS
from bench.errors import Refused
from bench.recipes import Schedule
from bench.training.optimizers import open_optimizer, open_schedule, optimizer_of
from tests.builders import a_setting


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


@pytest.mark.parametrize(("name", "decay"), [("adam", 0), ("adamw", 0.01), ("sgd", 0)])
def test_weight_decay_is_torchs_unless_given(name: str, decay: float) -> None:
    parameters = list(nn.Linear(2, 2).parameters())
    plain = getattr(torch.optim, OPTIMIZERS[name].torch_name)(parameters, lr=0.1)
    assert open_optimizer(name, parameters, 0.1).param_groups[0]["weight_decay"] == decay
    assert plain.param_groups[0]["weight_decay"] == decay
    assert open_optimizer(name, parameters, 0.1, 0.5).param_groups[0]["weight_decay"] == 0.5


def test_a_schedule_sets_the_rate_of_every_update() -> None:
    layer = nn.Linear(2, 2)
    setting = a_setting(optimizer="sgd", learning_rate=0.4, weight_decay=1e-4)
    optimizer = optimizer_of(setting, layer, 8)
    rates = open_schedule(optimizer, Schedule("", ((0, 0), (0.25, 1), (1, 0))), 4)
    seen = []
    for _ in range(4):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        rates.step()
    assert seen == pytest.approx([0.2, 0.4 * 5 / 6, 0.2, 0.4 / 6])


def test_unknown() -> None:
    with pytest.raises(Refused, match=r"unknown optimizer 'adm': there are adam, adamw, sgd\."):
        open_optimizer("adm", nn.Linear(2, 2).parameters(), 0.1)

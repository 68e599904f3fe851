import pytest
import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop

from bench.errors import Refused
from bench.prediction.torch_private import FakeTensorMode
from bench.recipes import Schedule
from bench.settings import OPTIMIZERS, make_setting
from bench.training.optimizers import (
    open_optimizer,
    open_schedule,
    open_updates,
    optimizer_of,
)
from models.building.airbench import Airbench
from tests.builders import a_setting

KINDS = {
    **{"adam": Adam, "adamw": AdamW, "sgd": SGD, "sgd-plain": SGD},
    **{"rmsprop": RMSprop, "adagrad": Adagrad},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_by_name(name: str) -> None:
    optimizer = open_optimizer(name, nn.Linear(2, 2).parameters(), 0.25)
    assert type(optimizer) is KINDS[name]
    assert optimizer.param_groups[0]["lr"] == 0.25


@pytest.mark.parametrize(
    ("name", "on_cpu", "on_cuda"),
    [
        *((name, "fused", "fused") for name in ("adam", "adamw", "sgd", "sgd-plain")),
        ("rmsprop", "loop", "foreach"),
        ("adagrad", "fused", "foreach"),
    ],
)
def test_kernels(name: str, on_cpu: str, on_cuda: str) -> None:
    """On CUDA none is left to torch, which would take a loop for a simulation's parameters."""
    for device, kernel in (("cpu", on_cpu), ("cuda", on_cuda)):
        with FakeTensorMode():
            weight = nn.Parameter(torch.zeros(3, device=device))
            group = open_optimizer(name, [weight], 0.1).param_groups[0]
        assert bool(group.get("fused")) is (kernel == "fused")
        assert bool(group["foreach"]) is (kernel == "foreach")


def test_sgd_has_nesterov_momentum() -> None:
    group = open_optimizer("sgd", nn.Linear(2, 2).parameters(), 0.1).param_groups[0]
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, True, 0)
    assert (
        open_optimizer("sgd-plain", nn.Linear(2, 2).parameters(), 0.1).param_groups[0]["momentum"]
        == 0
    )


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


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_is_torchs_unless_given(name: str) -> None:
    decay = 0.01 if name == "adamw" else 0
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


@pytest.mark.parametrize("batch", [1024, 250])
def test_decoupled_rates_are_those_of_the_source(batch: int) -> None:
    """`legacy/airbench94.py`: https://github.com/KellerJordan/cifar10-airbench."""
    network = Airbench(10)
    setting = make_setting(32, recipe="airbench94")
    optimizer = optimizer_of(setting, network, batch)
    scale = 1024 * (1 + 1 / (1 - 0.85))
    lr, decay = 11.5 / scale, 0.0153 * batch / scale
    biases, others = optimizer.param_groups
    assert (biases["lr"], others["lr"]) == pytest.approx((64 * lr, lr))
    assert lr == pytest.approx(0.00146484, rel=1e-5)
    assert biases["weight_decay"] == pytest.approx(decay / (64 * lr))
    assert others["weight_decay"] == pytest.approx(decay / lr)
    for group in optimizer.param_groups:
        assert (group["momentum"], group["nesterov"], group["fused"]) == (0.85, True, True)
    assert [p.shape[0] for p in biases["params"]] == [64, 64, 256, 256, 256, 256]
    names = {id(p): name for name, p in network.named_parameters()}
    assert {names[id(p)] for p in others["params"]} == {
        *("whiten.bias", "head.weight"),
        *(f"body.{group}.{layer}.weight" for group in (1, 2, 3) for layer in (0, 4)),
    }


def test_another_optimizer_has_its_own_units() -> None:
    optimizer = optimizer_of(
        make_setting(32, recipe="airbench94", optimizer="adamw"), Airbench(10), 1024
    )
    [group] = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (1e-3, 0.01)


def test_the_schedule_of_airbench94_is_that_of_its_source() -> None:
    """Within half an update, because ours takes the rate at the middle of an update."""
    layer, updates = nn.Linear(2, 2), 490
    setting = make_setting(32, recipe="airbench94", lr=2.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    after = open_updates(setting, layer, optimizer, updates)
    assert after is not None
    warmup = int(updates * 0.23)
    for step in range(updates):
        if step < warmup:
            wanted = 0.2 + 0.8 * step / warmup
        else:
            wanted = 1 - 0.93 * (step - warmup) / (updates - warmup)
        most = 0.8 / warmup
        assert optimizer.param_groups[0]["lr"] == pytest.approx(wanted, abs=most)
        optimizer.step()
        after.step()


def test_unknown() -> None:
    known = "adam, adamw, sgd, sgd-plain, rmsprop, adagrad"
    with pytest.raises(Refused, match=rf"unknown optimizer 'adm': there are {known}\."):
        open_optimizer("adm", nn.Linear(2, 2).parameters(), 0.1)

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.optim import SGD

from bench.errors import Refused
from bench.training.precision import (
    Precision,
    check_precision,
    kept_switches,
    open_precision,
)


def test_fp32_computes_in_float32() -> None:
    precision = open_precision("fp32", "cpu")
    with precision.autocast():
        assert nn.Linear(4, 4)(torch.zeros(2, 4)).dtype == torch.float32
    assert precision.scaler is None


def test_bf16_computes_in_bfloat16_but_keeps_weights() -> None:
    precision, layer = open_precision("bf16", "cpu"), nn.Linear(4, 4)
    with precision.autocast():
        output = layer(torch.zeros(2, 4))
    assert output.dtype == torch.bfloat16
    precision.backward(output.float().sum())
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == layer.weight.dtype == torch.float32


@pytest.mark.parametrize("name", ["tf32", "fp16"])
@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_what_needs_a_card_is_refused(name: str, device: str) -> None:
    with pytest.raises(Refused) as refused:
        open_precision(name, device)
    sentence = f"--precision {name} needs a CUDA card; fp32 and bf16 run on {device}."
    assert str(refused.value) == sentence


@pytest.mark.parametrize(("capability", "works"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_tf32_needs_a_recent_card(
    capability: tuple[int, int], works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    if works:
        check_precision("tf32", "cuda")
        return
    with pytest.raises(Refused, match=r"compute capability 8\.0"):
        check_precision("tf32", "cuda")


@pytest.fixture
def _switches_kept() -> Iterator[None]:
    with kept_switches():
        yield


@pytest.mark.usefixtures("_switches_kept")
@pytest.mark.parametrize(("name", "allowed"), [("fp32", False), ("tf32", True), ("bf16", False)])
def test_tf32_is_on_only_where_asked_for(
    name: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not allowed
    open_precision(name, "cuda")
    assert torch.backends.cuda.matmul.allow_tf32 is allowed
    assert torch.backends.cudnn.allow_tf32 is allowed
    assert torch.backends.cudnn.benchmark is True


def test_switches_that_were_set_the_old_way_are_as_before() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    with kept_switches():
        for value in (True, False):
            matmul.allow_tf32 = cudnn.allow_tf32 = cudnn.benchmark = value
            with kept_switches():
                matmul.allow_tf32 = cudnn.allow_tf32 = cudnn.benchmark = not value
            assert (matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark) == (value, value, value)


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="torch 2.9 has them")
def test_switches_that_were_set_the_new_way_are_as_before() -> None:
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    with kept_switches():
        for value in ("tf32", "ieee"):
            matmul.fp32_precision = conv.fp32_precision = value
            with kept_switches():
                open_precision("fp32", "cuda")
            assert (matmul.fp32_precision, conv.fp32_precision) == (value, value)


def test_loss_scaling_leaves_the_update_as_it_is() -> None:
    """The scaler runs on the CPU as well: gradients are scaled, the update is not."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    precision = Precision("fp16", None, "cpu", scaler)
    weight = nn.Parameter(torch.tensor([1.0]))
    optimizer = SGD([weight], lr=0.1)
    precision.backward((3 * weight).sum())
    assert weight.grad is not None
    assert weight.grad.item() == 3072.0
    precision.step(optimizer)
    assert weight.item() == pytest.approx(0.7)

"""A CPU tensor where a CUDA one belongs fails here, on a machine that has no GPU."""

import os
import re

import pytest

from tests import fake_cuda
from tests.forked import in_a_fork

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="torch is patched in a forked child"),
]


@pytest.fixture(scope="module")
def errors() -> dict[str, str]:
    """The error of each case, "" if it works."""
    found: dict[str, str] = in_a_fork(fake_cuda.errors)
    return found


@pytest.mark.parametrize("model", fake_cuda.CASES)
def test_trains_and_evaluates_on_one_device(model: str, errors: dict[str, str]) -> None:
    assert errors[model] == ""


def test_a_self_check_steps_on_the_card(errors: dict[str, str]) -> None:
    assert errors["self-check"] == ""


def test_the_machines_speed_is_taken_on_the_card(errors: dict[str, str]) -> None:
    assert errors["calibration"] == ""


@pytest.mark.parametrize("fault", fake_cuda.FAULTS)
def test_a_mix_up_is_noticed(fault: str, errors: dict[str, str]) -> None:
    # torch 2.9: "two different devices cuda:0, cpu"; 2.10: "two devices, cuda:0 and cpu!"
    assert re.search(r"found .*two .*devices.* cuda:0.* cpu", errors[fault])


def test_bf16_and_fp16_are_predicted_alike(errors: dict[str, str]) -> None:
    assert errors["halves"] == ""

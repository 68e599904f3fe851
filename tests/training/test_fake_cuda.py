"""A CPU tensor where a CUDA one belongs fails here, on a machine that has no GPU."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def errors() -> dict[str, str]:
    """The error of each case, "" if it works; in a process of its own, for torch is patched."""
    done = subprocess.run(
        [sys.executable, "tests/fake_cuda.py"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("model", ["resnet18", "googlenet", "densenet121", "inception_v3"])
def test_trains_and_evaluates_on_one_device(model: str, errors: dict[str, str]) -> None:
    assert errors[model] == ""


def test_a_self_check_steps_on_the_card(errors: dict[str, str]) -> None:
    assert errors["self-check"] == ""


def test_the_machines_speed_is_taken_on_the_card(errors: dict[str, str]) -> None:
    assert errors["calibration"] == ""


@pytest.mark.parametrize("fault", ["labels_on_cpu", "one_layer_on_cpu", "constants_on_cpu"])
def test_a_mix_up_is_noticed(fault: str, errors: dict[str, str]) -> None:
    # torch 2.9: "two different devices cuda:0, cpu"; 2.10: "two devices, cuda:0 and cpu!"
    assert re.search(r"found .*two .*devices.* cuda:0.* cpu", errors[fault])


def test_bf16_and_fp16_are_predicted_alike(errors: dict[str, str]) -> None:
    assert errors["halves"] == ""

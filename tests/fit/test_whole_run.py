"""The largest batch trains a whole run under the same limit; one image more was seen to fail, and
all images at once fail in training, too."""

import sys
from pathlib import Path
from typing import Any

import pytest

from bench import Config, run
from bench.records import Fitted

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA holds only on Linux"),
]

CASES = {
    "resnet18": (32, "240MiB", 160),
    "googlenet": (32, "310MiB", 160),
    "densenet121": (32, "350MiB", 160),
    "inception_v3": (299, "750MiB", 6),
}
"""Image size, memory budget, and training images; small, so that it takes seconds."""


@pytest.mark.parametrize("model", CASES)
def test_the_largest_batch_trains_a_whole_run(model: str, tmp_path: Path) -> None:
    size, budget, images = CASES[model]
    values: dict[str, Any] = {
        "models": (model,),
        "preset": "smoke",
        "dataset": "shapes10",
        "train_limit": images,
        "test_limit": 10 if size == 32 else 2,
        "image_size": (size,),
        "epochs": 2,
        "memory_budget": budget,
        "device": "cpu",
        "card": (),
    }
    found = run(Config(**values, batch_size=("max",), output=tmp_path / "max"))
    assert [t.status for t in found.trials] == ["done"]
    [fit] = found.fits.values()
    assert fit.limited_by == "memory"
    assert_certified(fit)
    above = values["train_limit"]
    assert above > fit.max_batch
    failed = run(
        Config(**values, batch_size=(above,), fit=False, seeds=1, output=tmp_path / "above")
    )
    [trial] = failed.trials
    assert trial.status == "failed"
    assert trial.ended is not None
    assert f"out of memory at batch {above}" in (trial.ended.reason or "")


def assert_certified(fit: Fitted) -> None:
    proof = fit.certificate
    assert proof is not None
    assert proof.steps >= 3
    assert proof.evaluated
    assert proof.failed_batch == fit.max_batch + 1
    assert proof.failed_because
    assert "torch" in proof.versions

"""The largest batch trains a whole run under the same limit; one image more was seen to fail, and
all images at once fail in training, too."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import Config, run
from bench.data.prepare import DataRequest, prepare
from bench.errors import TrialFailed
from bench.records.messages import Conditions, TrainJob
from bench.records.records import LargestBatch
from bench.runner.worker_process import Worker
from bench.units import parse_bytes

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
        "inspect": False,
    }
    found = run(Config(**values, batch_size=("max",), output=tmp_path / "max"))
    assert [t.status for t in found.trials] == ["done"]
    [largest] = found.largest_batches.values()
    assert largest.limited_by == "memory"
    assert_certified(largest)
    assert images > largest.max_batch
    (tmp_path / "images").mkdir()
    request = DataRequest("shapes10", None, images, values["test_limit"], size, 2**30)
    conditions = Conditions("cpu", prepare(request, tmp_path / "images"), parse_bytes(budget), 0)
    trial = replace(found.trials[0].trial, batch_size=images)
    files = [str(tmp_path / name) for name in ("images", "checkpoint.pt", "start.pt")]
    job = TrainJob(trial, values["epochs"], files[0], conditions, files[1], files[2])
    assert f"out of memory at batch {images}" in failure(job, tmp_path / "worker.log")


def failure(job: TrainJob, log: Path) -> str:
    """Why a limited worker failed. One that crashed is asked again, and only twice: torch's
    convolutions do not always survive memory that is refused, and a crash says nothing about why.
    """
    for _ in range(3):
        with Worker(job, log, limited=True) as worker, pytest.raises(TrialFailed) as failed:
            train(worker)
        if "SIGSEGV" not in str(failed.value):
            break
    return str(failed.value)


def train(worker: Worker) -> None:
    for _ in worker.messages():
        worker.answer()


def assert_certified(largest: LargestBatch) -> None:
    proof = largest.certificate
    assert proof is not None
    assert proof.steps >= 3
    assert proof.evaluated
    assert proof.failed_batch == largest.max_batch + 1
    assert proof.failed_because
    assert "torch" in proof.versions

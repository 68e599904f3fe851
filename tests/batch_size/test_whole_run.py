"""The largest batch trains a whole run under the same limit; one image more was seen to fail, and
all images at once fail in training, too."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench import Config, load_run, run
from bench.data.prepare import DataRequest, prepare
from bench.errors import TrialFailed
from bench.records.messages import Conditions, TrainJob
from bench.records.records import LargestBatch
from bench.runner.worker_process import Worker
from bench.units import parse_bytes

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA holds only on Linux"),
]

CASES = {
    "resnet18": (32, "255MiB", 160),
    "googlenet": (32, "310MiB", 110),
    "densenet121": (32, "300MiB", 110),
    "inception_v3": (299, "670MiB", 4),
}
"""Image size, memory budget, and training images; budgets that few probes, of few images, find the
largest batch of."""

SWEPT = {"sweep_batch": True, "card": ("t4", "1GiB")}
"""The first also shows which batch is the fastest, and predicts."""


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
        "epochs": 1,
        "memory_budget": budget,
        "device": "cpu",
        "card": (),
        "inspect": False,
    } | (SWEPT if model == "resnet18" else {})
    found = run(Config(**values, batch_size=("max",), output=tmp_path / "max"))
    assert [t.status for t in found.trials] == ["done"]
    [largest] = found.largest_batches.values()
    assert largest.limited_by == "memory"
    assert_certified(largest)
    assert images > largest.max_batch
    if model == "resnet18":
        assert_swept_and_predicted(found.path, largest.max_batch, images)
    (tmp_path / "images").mkdir()
    request = DataRequest("shapes10", None, images, values["test_limit"], size, 2**30)
    conditions = Conditions("cpu", prepare(request, tmp_path / "images"), parse_bytes(budget), 0)
    trial = replace(found.trials[0].trial, batch_size=images)
    files = [str(tmp_path / name) for name in ("images", "checkpoint.pt", "start.pt")]
    job = TrainJob(trial, 2, files[0], conditions, files[1], files[2])
    assert f"out of memory at batch {images}" in failure(job, tmp_path / "worker.log")


def assert_swept_and_predicted(folder: Path, largest: int, images: int) -> None:
    predictions = pd.read_csv(folder / "predictions.csv")
    assert list(predictions.card) == ["t4", "1GiB"]
    assert set(predictions.source) == {"predicted"}
    # No batch is larger than the training set.
    assert (predictions.max_batch.between(2, images)).all()
    assert predictions.images_per_second.gt(0).tolist() == [True, False]  # a size has no peaks
    assert predictions.epoch_seconds[0] > 0
    sweep, models = (pd.read_csv(folder / f"{name}.csv") for name in ("sweep", "models"))
    assert sweep.batch_size.iloc[-1] == models.max_batch[0] == largest
    assert (sweep.images_per_second > 0).all()
    assert models.fastest_batch[0] in set(sweep.batch_size)
    assert [b.batch_size for b in load_run(folder).breakdowns] == [32]


def failure(job: TrainJob, log: Path) -> str:
    """Why a limited worker failed. One that crashed is asked again, and only twice: torch's
    convolutions do not always survive memory that is refused, and a crash says nothing about why.
    It starts anew: what a resumed one loads leaves it more memory than its limit.
    """
    for _ in range(3):
        Path(job.checkpoint).unlink(missing_ok=True)
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

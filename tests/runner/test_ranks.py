"""Trials that several processes train together, for real: two ranks of one thread on the CPU."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import Config, load_run, resume, run
from bench.records.records import Epoch, LargestBatch, TrialEnded

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="ranks are forked"),
    pytest.mark.skipif(
        len(os.sched_getaffinity(0)) < 2 if sys.platform == "linux" else True,
        reason="two ranks need two processors",
    ),
]


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")


def config(output: Path, **changes: Any) -> Config:
    """LeNet, which has neither batch norm nor dropout, on numbers of images that two ranks cannot
    share evenly."""
    options: dict[str, Any] = {
        "models": ("lenet",),
        "preset": "smoke",
        "dataset": "shapes10",
        "device": "cpu",
        "train_limit": 117,
        "test_limit": 33,
        "batch_size": (32,),
        "epochs": 3,
        "max_batch": False,
        "card": (),
        "output": output,
    }
    return Config(**options | changes)


def epochs_of(path: Path, ranks: int) -> list[Epoch]:
    [trial] = [t for t in load_run(path).trials if t.trial.setting.nproc_per_node == ranks]
    return trial.epochs


@pytest.mark.thorough
def test_two_ranks_train_as_one_process_does_with_their_batch(tmp_path: Path) -> None:
    """Not bit for bit: gradients are added up in another order."""
    output = tmp_path / "run"
    asked = config(output, nproc_per_node=(1, 2), scaling="strong", augment=("crop",))
    result = run(asked)
    assert {t.status for t in result.trials} == {"done"}
    one, two = (epochs_of(output, ranks) for ranks in (1, 2))
    assert [t.trial.batch_size for t in result.trials] == [32, 16]
    for alone, together in zip(one, two, strict=True):
        assert together.steps == alone.steps == 4
        assert together.images_trained == alone.images_trained == 117
        assert together.train_loss == pytest.approx(alone.train_loss, rel=1e-4)
        assert together.test_loss == pytest.approx(alone.test_loss, rel=1e-4)
        # Of 33 images each counts once: no share of them but k/33 is possible.
        assert together.test_accuracy is not None
        assert together.test_accuracy * 33 == pytest.approx(round(together.test_accuracy * 33))
        assert together.test_accuracy == pytest.approx(alone.test_accuracy, abs=1 / 33)
        assert len(together.ranks) == 2
        assert alone.ranks == ()
    kept = [t.logits for t in result.trials]
    assert all(logits is not None and logits.images == 33 for logits in kept)
    assert result.models.nproc_per_node.tolist() == [1, 2]
    # The matrix product of one process is not that of two, which share the processors.
    assert not any(c.shared for t in result.trials for c in t.calibrations)


@pytest.mark.thorough
def test_ranks_of_unlike_shares_train_them_in_as_many_parts(tmp_path: Path) -> None:
    """Of the last 7 images one has 3, too few for two parts, and the other 4."""
    asked = {"nproc_per_node": (1, 2), "scaling": "strong", "accumulate": (2,), "train_limit": 71}
    result = run(config(tmp_path / "run", **asked))
    assert {t.status for t in result.trials} == {"done"}
    one, two = (epochs_of(tmp_path / "run", ranks) for ranks in (1, 2))
    for alone, together in zip(one, two, strict=True):
        assert together.images_trained == alone.images_trained == 71
        assert together.train_loss == pytest.approx(alone.train_loss, rel=1e-4)


def ranks_of(worker: psutil.Process) -> list[psutil.Process]:
    return sorted(worker.children(), key=lambda child: child.pid)


@pytest.mark.thorough
def test_a_rank_that_is_killed_ends_its_trial_and_a_resumed_run_is_bit_for_bit_the_same(
    tmp_path: Path,
) -> None:
    asked = {"nproc_per_node": (2,), "epochs": 4, "inspect": False}
    run(config(tmp_path / "truth", **asked))
    killed: list[float] = []

    def kill(message: Any) -> None:
        if isinstance(message, Epoch) and message.epoch == 2 and not killed:
            [gang] = [
                ranks
                for child in psutil.Process().children(recursive=True)
                if len(ranks := ranks_of(child)) == 2
                and all(rank.cmdline() == child.cmdline() for rank in ranks)
            ][-1:]
            gang[0].send_signal(signal.SIGKILL)
            killed.append(time.monotonic())
        if isinstance(message, TrialEnded):
            killed.append(time.monotonic())

    result = run(config(tmp_path / "run", **asked), kill)
    [trial] = result.trials
    assert trial.ended is not None
    assert trial.ended.status == "failed"
    assert trial.ended.retry
    assert trial.ended.reason == ("rank 0 of 2 was killed (SIGKILL): memory ran out, most likely.")
    assert killed[1] - killed[0] < 10
    resume(tmp_path / "run")
    truth, again = (epochs_of(tmp_path / name, 2) for name in ("truth", "run"))
    assert [(e.train_loss, e.test_loss) for e in again] == [
        (e.train_loss, e.test_loss) for e in truth
    ]


@pytest.mark.thorough
def test_the_largest_batch_is_of_each_rank_under_its_own_limit(tmp_path: Path) -> None:
    asked = {"max_batch": True, "memory_budget": "100MiB", "batch_size": ("max",), "epochs": 1}
    asked |= {"train_limit": 4096, "image_size": (64,), "inspect": False}
    result = run(config(tmp_path / "run", nproc_per_node=(2,), **asked))
    [answer] = result.largest_batches.values()
    assert isinstance(answer, LargestBatch)
    assert answer.certificate is not None
    failed = [p for p in result.all_probes if not p.fits]
    if answer.limited_by == "memory":
        assert failed
        assert "rank " in (failed[-1].reason or "")
    assert {t.status for t in result.trials} == {"done"}, [t.ended for t in result.trials]

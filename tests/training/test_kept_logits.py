"""A trial keeps the test logits of its last epoch, and no others."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.records.logits import FOLDER, read_logits
from bench.records.messages import Warned
from bench.records.records import Epoch
from bench.training.precision import Precision
from bench.training.trainer import Trainer, TrialMessage
from tests.training.test_rehearsal import a_trainer


def keeping(folder: Path, logits: Path | None) -> Trainer:
    torch.manual_seed(0)
    trainer = a_trainer(folder, batch=4, images=10)
    path = None if logits is None else str(logits)
    trainer.job = replace(trainer.job, rehearsal=False, kernels=None, logits=path)
    return trainer


def epochs(messages: list[TrialMessage]) -> list[Epoch]:
    return [message for message in messages if isinstance(message, Epoch)]


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_those_of_the_last_epoch_are_kept_and_say_what_the_record_says(tmp_path, dtype) -> None:
    trainer = keeping(tmp_path, tmp_path / FOLDER / "a.npy")
    # In bfloat16, the highest logits of an image are often equal.
    precision = Precision("bf16" if dtype else "fp32", dtype, "cpu", None)
    trainer.training = replace(trainer.training, precision=precision)
    pixels = torch.randint(0, 256, trainer.evaluation_split.images.shape, dtype=torch.uint8)
    trainer.evaluation_split.images = pixels
    first, last = epochs(list(trainer.epochs()))
    assert first.logits is None
    assert last.logits is not None
    logits, labels = read_logits(tmp_path, last.logits)
    assert logits.shape == (10, 2)
    assert labels.tolist() == [0, 1] * 5
    assert (logits.argmax(1) == labels).mean() == last.test_accuracy


def test_none_are_kept_where_none_are_asked_for(tmp_path: Path) -> None:
    assert [e.logits for e in epochs(list(keeping(tmp_path, None).epochs()))] == [None, None]


def test_a_trial_that_cannot_keep_them_is_trained_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    messages = list(keeping(tmp_path, tmp_path / "file" / "a.npy").epochs())
    assert [e.logits for e in epochs(messages)] == [None, None]
    (warned,) = (message for message in messages if isinstance(message, Warned))
    assert warned.text.startswith("its test logits are not kept: cannot write ")


@pytest.mark.parametrize("logged", [0, 1])
def test_they_are_those_of_the_last_epoch_also_after_a_stop(tmp_path: Path, logged: int) -> None:
    whole = epochs(list(keeping(tmp_path / "whole", tmp_path / "whole" / "a.npy").epochs()))[-1]
    trainer = keeping(tmp_path, tmp_path / FOLDER / "a.npy")
    calls = iter(range(1000))
    stop_at = 3 + 6 * logged  # in training, or in the evaluation, of an epoch
    trainer.stopping = lambda: next(calls) >= stop_at
    list(trainer.epochs())
    trainer = keeping(tmp_path, tmp_path / FOLDER / "a.npy")
    trainer.job = replace(trainer.job, logged_epochs=logged)
    last = epochs(list(trainer.epochs()))[-1]
    assert last.logits is not None
    assert whole.logits is not None
    assert last.logits.sha256 == whole.logits.sha256

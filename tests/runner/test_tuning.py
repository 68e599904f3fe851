"""A run that tunes, whole, and broken off after its first point."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.config import Config
from bench.records.records import (
    FinalTest,
    PointChosen,
    StepsTimed,
    TimePredicted,
    TrialEnded,
    TuningDeclared,
)
from bench.records.run_folder import LOG, read_log
from bench.runner.resume import resume
from bench.runner.run import run

TINY: dict[str, Any] = {
    **{"models": "lenet", "device": "cpu", "dataset": "shapes10", "preset": "smoke"},
    **{"train_limit": 64, "test_limit": 32, "batch_size": 16, "validation": 0.2, "epochs": 1},
    **{"tune": 2, "max_batch": False, "inspect": False, "card": ()},
}


@pytest.mark.thorough
def test_what_is_chosen_does_not_depend_on_when_a_run_was_killed(tmp_path: Path) -> None:
    whole = run(Config(**TINY, output=tmp_path / "whole"))
    log = list(read_log(whole.path))
    kinds = [type(record) for record in log]
    assert kinds.index(TuningDeclared) < kinds.index(TrialEnded) < kinds.index(PointChosen)
    tested = [record.trial for record in log if isinstance(record, FinalTest)]
    assert sorted(t.split()[-2] for t in tested) == ["default", "tuned"]
    assert whole.tuning.chosen.sum() == 1
    assert set(whole.models.train_images) == {64}
    assert {e.images_trained for t in whole.trials if t.trial.is_point for e in t.epochs} == {51}

    broken = tmp_path / "broken"
    shutil.copytree(whole.path, broken, ignore=shutil.ignore_patterns(".lock"))
    lines = (broken / LOG).read_bytes().splitlines(keepends=True)
    (broken / LOG).write_bytes(b"".join(lines[: kinds.index(TrialEnded) + 1]))
    resumed = resume(broken)
    assert [t.trial for t in resumed.trials] == [t.trial for t in whole.trials]
    assert resumed.chosen == whole.chosen
    accuracies = [column.final_test_accuracy.tolist() for column in (whole.models, resumed.models)]
    assert accuracies[0] == accuracies[1]


def test_a_few_steps_are_timed_once_for_all_points_of_a_contestant(tmp_path: Path) -> None:
    messages: list[Any] = []
    run(Config(**TINY, dry_run=True, output=tmp_path / "run"), messages.append)
    [predicted] = [m for m in messages if isinstance(m, TimePredicted)]
    assert [m.model for m in messages if isinstance(m, StepsTimed)] == ["lenet"]
    assert len(predicted.trials) == 4
    assert all(time.total_seconds for time in predicted.trials)

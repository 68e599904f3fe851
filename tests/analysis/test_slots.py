"""What slots did over time, from a log."""

from pathlib import Path

import pytest

from bench.analysis.slots import busy_share, slots_beside, spans_of
from bench.records.records import Slots, TrialEnded, TrialResumed, TrialStarted
from tests.builders import a_device, a_trial, an_epoch, run_start, tables_of

FIRST, SECOND, THIRD = (a_trial(seed=seed) for seed in range(3))


def at(seconds: int) -> str:
    return f"2026-01-02T03:{seconds // 60:02}:{seconds % 60:02}+00:00"


def test_spans_overlap_and_an_interrupted_one_lasts_as_long_as_its_epochs(tmp_path: Path) -> None:
    run = tables_of(
        tmp_path,
        [
            *run_start(),
            Slots((a_device(), a_device())),
            TrialStarted(FIRST, at(0), slot=0),
            TrialStarted(SECOND, at(1), slot=1),
            an_epoch(FIRST, 1),
            TrialEnded(SECOND, "done", None, 30.0),
            TrialStarted(THIRD, at(40), slot=1),
            TrialEnded(THIRD, "failed", "it broke.", 10.0),
            TrialResumed(FIRST, at(100), 1, slot=1),
            TrialEnded(FIRST, "done", None, 20.0),
        ],
    )
    spans = spans_of(run)
    assert [(s.slot, s.start, s.seconds, s.status) for s in spans] == [
        (0, 0.0, 16.0, "interrupted"),
        (1, 1.0, 30.0, "done"),
        (1, 40.0, 10.0, "failed"),
        (1, 100.0, 20.0, "done"),
    ]
    assert [s.trial for s in spans] == [FIRST.id, SECOND.id, THIRD.id, FIRST.id]
    assert busy_share(spans, 2) == pytest.approx((16 + 30 + 10 + 20) / (2 * 120))
    beside = {t.trial.seed: slots_beside(t) for t in run.trials}
    assert beside == {0: 0, 1: 1, 2: 0}
    assert {t.trial.seed: t.slot for t in run.trials} == {0: 1, 1: 1, 2: 1}


def test_a_run_without_slots_has_none_beside(tmp_path: Path) -> None:
    started = TrialStarted(FIRST, at(0))
    run = tables_of(tmp_path, [*run_start(), started, TrialEnded(FIRST, "done", None, 3.0)])
    assert slots_beside(run.trials[0]) is None
    assert busy_share(spans_of(run), 1) == 1.0
    assert spans_of(tables_of(tmp_path, run_start())) == []


def test_a_trial_whose_end_was_not_logged_has_lasted_as_long_as_its_epochs(tmp_path: Path) -> None:
    trained = [TrialStarted(FIRST, at(0)), an_epoch(FIRST, 1)]
    run = tables_of(tmp_path, [*run_start(), *trained, TrialEnded(FIRST, "done", None, 0.01)])
    assert [(s.seconds, s.status) for s in spans_of(run)] == [(16.0, "done")]

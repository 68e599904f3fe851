"""Where a run's own time goes."""

import pytest

import bench.runner.stopwatch as stopwatch
from bench.runner.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [10.0]
    monkeypatch.setattr(stopwatch, "perf_counter", lambda: now[0])
    return now


def test_all_time_belongs_to_a_phase(clock: list[float]) -> None:
    watch = Stopwatch()
    clock[0] = 12.0
    watch.lap("data")
    clock[0] = 17.0
    watch.lap("checkpoints", train=3.0, evaluate=1.5)
    clock[0] = 18.0
    watch.lap("data")
    assert watch.seconds == {"data": 3.0, "train": 3.0, "evaluate": 1.5, "checkpoints": 0.5}
    assert sum(watch.seconds.values()) == clock[0] - 10.0


def test_what_was_measured_beyond_a_lap_makes_nothing_negative(clock: list[float]) -> None:
    watch = Stopwatch()
    clock[0] = 11.0
    watch.lap("checkpoints", train=1.25)  # of an epoch that began before a resumption
    assert watch.seconds == {"train": 1.25, "checkpoints": 0.0}

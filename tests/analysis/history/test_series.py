"""Points of a series: what shares one, what may be compared, what a machine's speed does to it."""

from pathlib import Path

import pytest

from bench.analysis.history.runs import read_runs
from bench.analysis.history.series import Moment, Series, moments_of, series_of
from bench.analysis.metrics import BY_NAME
from tests.analysis.history.logs import a_day

METRICS = [BY_NAME[n] for n in ("epoch_seconds", "images_per_second", "final_test_accuracy")]


def moments(folder: Path, *, pooled: bool = False) -> list[Moment]:
    return moments_of(read_runs([folder], METRICS)[0], pooled=pooled)


def read(folder: Path, *, pooled: bool = False) -> dict[tuple[str, str], Series]:
    found = series_of(moments(folder, pooled=pooled), METRICS)
    return {(one.label, one.metric.name): one for one in found}


def test_a_series_per_model_and_metric(tmp_path: Path) -> None:
    a_day(tmp_path, 1)
    a_day(tmp_path, 2, models=("resnet18", "googlenet"))
    found = read(tmp_path)
    assert len(found) == 6
    assert [p.at for p in found["resnet18", "epoch_seconds"].points] == [0, 1]
    assert [p.at for p in found["googlenet", "epoch_seconds"].points] == [1]
    point = found["resnet18", "final_test_accuracy"].points[0]
    assert point.value == pytest.approx(0.62)
    assert (point.estimate.n, point.estimate.mean) == (3, pytest.approx(0.62))


def test_only_runs_of_one_clean_commit_under_the_same_conditions_share_a_point(
    tmp_path: Path,
) -> None:
    for day, commit, torch in (
        (1, "a", "2.9"),
        (2, "a", "2.9"),
        (3, "a", "2.10"),
        (4, "b+changes", "2.10"),
        (5, "b+changes", "2.10"),
        (6, None, "2.10"),
        (7, None, "2.10"),
        (8, "c", "2.10"),
    ):
        a_day(tmp_path, day, day, commit=commit, packages={"torch": torch})
    alone, pooled = moments(tmp_path), moments(tmp_path, pooled=True)
    assert [len(moment.runs) for moment in alone] == [1] * 8
    assert [len(moment.runs) for moment in pooled] == [2, 1, 1, 1, 1, 1, 1]
    assert [moment.name for moment in pooled] == [
        *("day-01 (a)", "day-03 (a)", "day-04 (b+changes)", "day-05 (b+changes)"),
        *("day-06", "day-07", "c"),
    ]
    assert [moment.changed for moment in pooled][:3] == [(), ("torch 2.9 → 2.10",), ()]
    point = read(tmp_path, pooled=True)["resnet18", "epoch_seconds"].points[0]
    # The geometric mean of runs of about 10 and 20 s, over all of their trials.
    assert point.value == pytest.approx(200**0.5, rel=0.02)
    assert point.estimate.n == 6


def test_machines_that_take_turns_are_two_tracks(tmp_path: Path) -> None:
    for day in range(1, 7):
        a_day(tmp_path, day, device=f"CPU {day % 2}")
    one = read(tmp_path)["resnet18", "epoch_seconds"]
    assert [[p.at for p in track] for track in one.tracks] == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.parametrize(
    "change",
    [
        {"device": "Other CPU"},
        {"packages": {"torch": "2.10.0"}},
        {"python": "3.13.0"},
        {"driver": "580.1"},
        {"cpu": "Other"},
        {"seeds": 3, "models": ("resnet18",), "container_cpus": 1.5},
    ],
)
def test_what_is_a_break(tmp_path: Path, change: dict[str, object]) -> None:
    a_day(tmp_path, 1)
    a_day(tmp_path, 2, **change)
    assert len(read(tmp_path)["resnet18", "epoch_seconds"].tracks) == 2


def test_times_and_throughput_are_scaled_by_the_machine_and_accuracy_is_not(
    tmp_path: Path,
) -> None:
    a_day(tmp_path, 1)
    a_day(tmp_path, 2, 0.5, machine=2.0)
    found = read(tmp_path)
    for name in ("epoch_seconds", "images_per_second"):
        one = found["resnet18", name]
        first, second = (point.value * one.scaled(point) for point in one.points)
        assert one.scalable
        assert second == pytest.approx(first, rel=0.03)
    assert not found["resnet18", "final_test_accuracy"].scalable

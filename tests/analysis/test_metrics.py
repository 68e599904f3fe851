from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.metrics import BY_NAME, METRICS
from bench.records.records import Calibrated, Epoch, Record, Telemetry, TrialNoted, TrialRepeated
from bench.records.run import TrialResult, collect
from tests.builders import (
    MIB,
    a_description,
    a_done_trial,
    a_failed_trial,
    a_largest_batch,
    a_refused_trial,
    a_trial,
    an_epoch,
    run_start,
    some_records,
    validated,
)


def result_of(*records: Record) -> TrialResult:
    (result,) = collect(Path("somewhere"), [*run_start(), *records]).trials
    return result


def values(result: TrialResult) -> dict[str, Any]:
    return {metric.name: metric.value(result) for metric in METRICS}


@pytest.fixture
def done() -> dict[str, Any]:
    """What is known of the builders' first trial: three epochs, a fit, a description."""
    return values(collect(Path("somewhere"), some_records()).trials[0])


def with_epochs(*epochs: Epoch) -> dict[str, Any]:
    started, *_ = a_failed_trial(a_trial())
    return values(result_of(started, *epochs))


def test_no_two_metrics_share_a_name() -> None:
    assert len(BY_NAME) == len(METRICS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "resnet18"),
        ("seed", 0),
        ("status", "done"),
        ("dataset", "shapes10"),
        ("dataset_asked", "auto"),
        ("device", "cpu"),
        ("preset", "smoke"),
        ("image_size", 32),
        ("precision", "fp32"),
        ("optimizer", "adam"),
        ("batch_size", 64),
        ("batch_choice", "auto"),
        ("max_batch", 100),
        ("max_batch_source", "measured"),
        ("params", 1_000_000),
        ("params_imagenet", 1_500_000),
        ("params_aux", 0),
        ("param_count", 1.0),
        ("gmacs", 0.25),
        ("published_gmacs", 1.814),
        ("epochs", 3),
        ("test_seconds", 1.0),
        ("peak_memory_bytes", 303 * MIB),
        ("reserved_memory_bytes", None),
        ("updates_per_epoch", 10),
        ("train_samples_per_sec", 64.0),
        ("train_batch_size", 64),
        ("train_img_size", 32),
        ("first_step_seconds", 6.0),
        ("reason", None),
        ("notes", None),
        ("power_watts", None),
    ],
)
def test_what_is_known_of_a_trial(done: dict[str, Any], name: str, value: object) -> None:
    assert done[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("final_test_accuracy", 0.6),
        ("best_test_accuracy", 0.6),
        ("first_test_accuracy", 0.4),
        ("lowest_test_accuracy", 0.4),
        ("final_test_loss", 2.2 / 3),
        ("total_seconds", 16.0 + 11.0 + 11.0),
        ("backward_share", 0.5),
        ("step_milliseconds", 1000.0),
        ("train_step_time", 1000.0),
    ],
)
def test_what_is_computed_of_a_trial(done: dict[str, Any], name: str, value: float) -> None:
    assert done[name] == pytest.approx(value)


def test_the_first_epoch_warms_up_and_does_not_count(done: dict[str, Any]) -> None:
    assert done["epoch_seconds"] == 10.0
    assert done["images_per_second"] == 64.0


def test_the_first_epoch_counts_if_it_is_the_only_one() -> None:
    assert with_epochs(an_epoch(a_trial()))["epoch_seconds"] == 15.0


def test_an_epoch_is_a_median() -> None:
    seconds = (50.0, 10.0, 11.0, 90.0)
    found = with_epochs(
        *(an_epoch(a_trial(), i, train_seconds=s) for i, s in enumerate(seconds, 1))
    )
    assert found["epoch_seconds"] == 11.0


def test_the_best_epoch_is_not_the_last() -> None:
    accuracies = (0.2, 0.7, 0.6)
    found = with_epochs(
        *(an_epoch(a_trial(), i, test_accuracy=a) for i, a in enumerate(accuracies, 1))
    )
    assert found["best_test_accuracy"] == 0.7
    assert found["best_epoch"] == 2
    assert found["final_test_accuracy"] == 0.6
    assert found["lowest_test_accuracy"] == 0.2


def test_with_validation_images_the_test_accuracy_is_of_the_one_test(tmp_path: Path) -> None:
    accuracies = (0.2, 0.7, 0.6)
    epochs = [an_epoch(a_trial(), i, test_accuracy=a) for i, a in enumerate(accuracies, 1)]
    start, *_, end = a_done_trial(a_trial())
    run = collect(tmp_path, validated([*run_start(), start, *epochs, end]))
    found = {metric.name: metric.value(run.trials[0]) for metric in METRICS}
    assert found["final_test_accuracy"] == pytest.approx(0.58)
    assert found["final_test_loss"] == pytest.approx(2.2 / 3 + 0.1)
    assert found["best_validation_accuracy"] == 0.7
    assert (found["best_validation_epoch"], found["validation_images"]) == (2, 64)
    assert found["final_validation_accuracy"] == 0.6
    assert found["first_validation_accuracy"] == 0.2
    for name in ("best_test_accuracy", "best_epoch", "first_test_accuracy", "lowest_test_accuracy"):
        assert found[name] is None


def test_a_peak_that_no_device_told_is_not_known() -> None:
    assert with_epochs(an_epoch(a_trial(), peak_memory_bytes=None))["peak_memory_bytes"] is None


def test_telemetry_is_the_median_of_the_steady_epochs() -> None:
    watts = (999.0, 100.0, 120.0, None)
    readings = [w and Telemetry(w, 5.0, 0.5, 1.0, 60.0, 1500.0, 9) for w in watts]
    found = with_epochs(*(an_epoch(a_trial(), i, telemetry=t) for i, t in enumerate(readings, 1)))
    assert found["power_watts"] == 110.0


def test_notes_are_one_text() -> None:
    started, *rest = a_failed_trial(a_trial())
    noted = replace(started, notes=("Batch 64.", "Lower rate."))
    assert values(result_of(noted, *rest))["notes"] == "Batch 64. Lower rate."


def test_a_refused_trial_has_its_reason_and_no_figures() -> None:
    found = values(
        result_of(a_largest_batch(max_batch=0), *a_refused_trial(a_trial(), "nothing fits."))
    )
    assert (found["status"], found["reason"]) == ("refused", "nothing fits.")
    assert (found["epochs"], found["batch_size"], found["max_batch"]) == (0, None, 0)
    measured = ("epoch_seconds", "images_per_second", "final_test_accuracy", "best_test_accuracy",
                "peak_memory_bytes", "train_step_time", "data_share", "total_seconds", "best_epoch",
                "params", "gmacs", "param_count")  # fmt: skip
    assert {found[name] for name in measured} == {None}


def test_a_failed_trial_keeps_what_it_measured() -> None:
    found = values(result_of(a_description(), *a_failed_trial(a_trial(), epochs=2)))
    assert (found["status"], found["reason"], found["epochs"]) == ("failed", "it broke.", 2)
    assert found["epoch_seconds"] == 10.0
    assert found["params"] == 1_000_000


def test_the_step_times_without_the_warm_up() -> None:
    """The first epoch's ten steps of 1.5 s warm up; two epochs of ten steps of 1 s are left."""
    found = values(collect(Path("somewhere"), some_records()).trials[0])
    assert found["steps_counted"] == 20
    assert found["step_mean_milliseconds"] == found["step_p95_milliseconds"] == 1000.0
    assert (found["step_low_milliseconds"], found["step_high_milliseconds"]) == (1000.0, 1000.0)
    assert (found["step_mad_milliseconds"], found["step_spread"], found["step_outliers"]) == (
        0,
        0,
        0,
    )
    assert (found["first_epoch_seconds"], found["first_epoch_ratio"]) == (15.0, 1.5)
    assert found["other_busy_cores"] == 0.01
    assert found["noise"] is None


def test_utilisation_is_of_the_fastest_product_of_the_run() -> None:
    name = a_trial().id
    slow, fast = (
        Calibrated(name, at, "fp32", 1000, (s, 2 * s, 2 * s)) for at, s in ((0, 0.02), (3, 0.01))
    )
    other = Calibrated(name, 3, "bf16", 1000, (1e-9,) * 3)
    records = some_records(models=("resnet18",))
    found = values(collect(Path("somewhere"), [*records, slow, fast]).trials[0])
    # 2 * 1000^3 operations in 10 ms; medians of 40 and 20 ms.
    assert found["matmul_peak_gflops"] == pytest.approx(200.0)
    assert found["calibration_gflops"] == pytest.approx((50 + 100) / 2)
    assert found["machine_change"] == pytest.approx(-0.5)
    # 64 images/s of 3 * 0.25 * 10^9 multiply-adds, two operations each.
    assert found["mfu"] == pytest.approx(64 * 3 * 0.25 * 2 / 200)
    assert "50 % faster" in found["noise"]
    found = values(collect(Path("somewhere"), [*records, slow, fast, other]).trials[0])
    assert found["matmul_peak_gflops"] == pytest.approx(200.0)


def test_energy_of_an_image() -> None:
    known = Telemetry(75.0, 960.0, 0.9, 1e9, 60.0, 1500.0, 9)
    found = with_epochs(*(an_epoch(a_trial(), n, telemetry=known) for n in (1, 2)))
    assert found["energy_per_image_joules"] == 1.5


def test_energy_is_of_no_epoch_that_was_watched_in_part() -> None:
    known = Telemetry(75.0, 960.0, 0.9, 1e9, 60.0, 1500.0, 9)
    first = an_epoch(a_trial(), 1, telemetry=known)
    whole = an_epoch(a_trial(), 2, telemetry=known, resumed=True)
    part = replace(whole, step_times=whole.step_times[:4])
    names = ("energy_joules", "energy_per_image_joules", "power_watts")
    found = with_epochs(first, part)
    assert [found[name] for name in names] == [None, None, 75.0]
    found = with_epochs(first, whole)
    assert [found[name] for name in names] == [960.0, 1.5, 75.0]


@pytest.mark.parametrize(
    ("steps", "images", "rate"), [(10, 580, 64.0), (3, 130, 64.0), (2, 100, 50.0), (1, 40, 40.0)]
)
def test_the_median_step_has_as_many_images_as_it_has(steps: int, images: int, rate: float) -> None:
    """Steps of 1 s, of 64 images but for the last."""
    counts = {"steps": steps, "images_trained": images}
    found = with_epochs(*(an_epoch(a_trial(), n, **counts) for n in (1, 2)))
    assert found["train_samples_per_sec"] == rate


def test_a_repeated_trial_has_the_figures_of_its_last_time() -> None:
    records = a_done_trial(a_trial(), 3)
    again = TrialRepeated(a_trial(), "2026-01-02T03:06:00+00:00", "it was loud")
    *_, last = a_done_trial(a_trial(), 1)
    found = values(result_of(*records, again, an_epoch(a_trial(), 1, number=1), last))
    assert (found["repeats"], found["epochs"], found["epoch_seconds"]) == (1, 1, 25.0)
    assert found["status"] == "done"
    begun = result_of(*records, again)
    assert (begun.status, len(begun.epochs), begun.repeated) == ("done", 3, ["it was loud"])


def test_what_came_to_light_is_a_note_once() -> None:
    noted = TrialNoted(a_trial().id, "put_ has no deterministic algorithm.")
    found = values(result_of(*a_done_trial(a_trial()), noted, noted))
    assert found["notes"] == "put_ has no deterministic algorithm."

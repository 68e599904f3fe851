"""Promises judged by made-up measurements: each of them kept, broken, and without evidence."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import pytest

from bench.analysis.selfcheck import (
    CHECKS,
    SPEED_COLUMNS,
    Checked,
    Evidence,
    broken,
    judge_all,
    speeds_csv,
)
from bench.records.measurement import COLUMNS, QUANTITIES, Measurement, measurements_csv

Rows = Sequence[Measurement]
CASE: dict[str, Any] = {"model": "resnet18", "image_size": 32, "precision": "fp32"}


def some(experiment: str, quantity: str, *values: float, **traits: Any) -> list[Measurement]:
    """Values of a quantity, one after the other."""
    return [
        Measurement(experiment, quantity, value, repeat=n, **traits)
        for n, value in enumerate(values, 1)
    ]


def step(*ours: float, exact: Sequence[float] = (2.0, 1.9), stray: int = 0, **case: str) -> Rows:
    traits = CASE | case
    return [
        *some("step", "loss", *ours, **traits),
        *some("step", "loss", *exact, variant="float64", **traits),
        *some("step", "stray_tensors", stray, **traits),
    ]


def batches(
    at: Sequence[int] = (1, 1),
    above: Sequence[int] = (0, 0),
    peaks: Sequence[float] = (100, 100.5),
    predicted: Sequence[float] = (95, 105),
    **case: str,
) -> Rows:
    traits = CASE | case
    return [
        *some("batches", "max_batch", 100, **traits),
        *some("batches", "max_batch_low", predicted[0], source="predicted", **traits),
        *some("batches", "max_batch_high", predicted[1], source="predicted", **traits),
        *some("batches", "fits", *at, batch_size=100, **traits),
        *some("batches", "fits", *above, batch_size=101, **traits),
        *some("batches", "peak_bytes", *peaks, batch_size=100, **traits),
    ]


def memory(real: float, predicted: float, workspace: float = 0, **case: str) -> Rows:
    traits = {"batch_size": 8} | CASE | case
    return [
        *some("memory", "tensor_bytes", real, **traits),
        *some("memory", "tensor_bytes", predicted, source="predicted", **traits),
        *some("memory", "workspace_bytes", workspace, source="predicted", **traits),
    ]


def seconds(*measured: float, span: Sequence[float] = (0.08, 0.12), **case: str) -> Rows:
    traits, low_high = {"batch_size": 8} | CASE | case, zip(("low", "high"), span, strict=True)
    return [
        *some("speed", "step_seconds", *measured, **traits),
        *some("speed", "step_seconds", 0.1, source="predicted", **traits),
        *(
            one
            for end, value in low_high
            for one in some("speed", f"step_seconds_{end}", value, source="predicted", **traits)
        ),
        *some("speed", "peak_flops", 1e12, source="published", **traits),
        *some("speed", "peak_bandwidth", 1e11, source="published", **traits),
    ]


def pace(ours: Sequence[float], plain: Sequence[float] = (100, 101, 99)) -> Rows:
    rates = {"plain": plain, "ours": ours, "floor": (150.0, 150.0, 150.0)}
    return [
        row
        for way, values in rates.items()
        for row in some("pace", "images_per_second", *values, variant=way, **CASE)
    ]


def repeat(first: Sequence[float], second: Sequence[float]) -> Rows:
    return [
        *some("repeat", "train_loss", *first, variant="first", **CASE),
        *some("repeat", "train_loss", *second, variant="second", **CASE),
    ]


def cards(alone: Sequence[float], together: Sequence[float]) -> Rows:
    return [
        *some("cards", "train_loss", *alone, variant="alone", **CASE),
        *some("cards", "train_loss", *together, variant="together", **CASE),
    ]


def telemetry(sample: float = 0.001, clock: float = 1500, samples: float = 12) -> Rows:
    return [
        *some("telemetry", "sample_seconds", sample, sample),
        *some("telemetry", "sampling_interval", 0.5),
        *some("telemetry", "sampled_seconds", 5.0),
        *some("telemetry", "sm_clock_mhz", clock),
        *some("telemetry", "samples", samples),
        *some("telemetry", "throttled", 1, variant="power cap"),
        *some("telemetry", "throttled", 0, variant="hardware slowdown"),
    ]


def runs(*apart: int) -> Rows:
    return some("runs", "told_apart", *apart)


def checked(name: str, rows: Rows, device: str = "cuda", **more: Any) -> Checked:
    experiment = CHECKS[name].experiment
    evidence = Evidence(tuple(rows), device, **more)
    (found,) = [one for one in judge_all({experiment: evidence}, device) if one.check.id == name]
    return found


KEPT = [
    ("training_step", step(2.0001, 1.9), "fp32 off by 5e-05"),
    ("training_step", step(2.1, 1.95, precision="bf16"), "bf16 off by 0.05"),
    ("largest_batch", batches(), "resnet18 32 px fp32 100"),
    ("largest_batch", batches(above=()), "100 (all images)"),
    ("predicted_batch", batches(), "1 of 1 ranges hold"),
    ("left_memory", batches(), "changed by +0.50% at most"),
    ("predicted_memory", memory(100, 103), "1 peak, off by 3.0% in the middle"),
    (
        "predicted_memory",
        [*memory(100, 101), *memory(100, 99, model="a"), *memory(100, 50, model="b")],
        "3 peaks, off by 1.0% in the middle",
    ),
    ("predicted_step", seconds(0.09, 0.11, 9.0), "1 of 1 ranges hold; predicted over measured"),
    (
        "predicted_step",
        [*seconds(0.1), *seconds(0.1, model="b"), *seconds(0.2, model="c")],
        "2 of 3 ranges hold; predicted over measured 0.50 to 1.00; c 32 px fp32: 200 ms, predicted",
    ),
    ("epoch_speed", pace((140, 142, 138)), "1.40 times the plain loop in 3 rounds (faster)"),
    ("epoch_speed", pace((140, 142, 138)), "0.93 times bare steps"),
    ("epoch_speed", pace((100, 101, 99)), "(equal)"),
    ("epoch_speed", pace((90, 120, 70)), "more rounds"),
    ("same_twice", runs(0, 0), "0 of 2 pairs told apart"),
    ("same_twice", runs(0, 1), "1 of 2 pairs told apart"),
    ("determinism", repeat((2.0, 1.9), (2.0, 1.9)), "2 losses are the same"),
    ("several_cards", cards((2.0, 1.9), (2.0001, 1.9)), "2 losses, off by 5e-05 at most"),
    ("sampling_cost", telemetry(), "1 ms a sample, 0.20% of the time"),
    ("clocks", telemetry(), "1,500 MHz, 0 W, 0 °C; slowed down by: power cap"),
]

BROKEN = [
    ("training_step", step(2.01, 1.9), "resnet18 32 px fp32 is off by 0.50%"),
    ("training_step", step(2.0, float("nan")), "no finite loss"),
    ("training_step", step(2.0, 2.0, exact=(2.0, 2.0)), "is not changed by its update"),
    ("training_step", step(2.0, 1.9, stray=2), "has tensors elsewhere"),
    ("training_step", step(2.0), "no finite loss"),
    ("largest_batch", batches(at=(1, 0)), "resnet18 32 px fp32: 100 failed in 1 of 2"),
    ("largest_batch", batches(above=(0, 1)), "resnet18 32 px fp32: 101 ran in 1 of 2"),
    (
        "largest_batch",
        [*batches(), *batches(at=(0, 0), model="b")],
        "b 32 px fp32: 100 failed in 2",
    ),
    ("predicted_batch", batches(predicted=(101, 120)), "0 of 1 ranges hold; resnet18 32 px fp32"),
    ("left_memory", batches(peaks=(100, 102)), "resnet18 32 px fp32: +2.0%"),
    ("predicted_memory", memory(100, 93), "off by 7.0% in the middle"),
    ("predicted_step", seconds(0.07, 0.07), "0 of 1 ranges hold; predicted over measured 1.43"),
    (
        "predicted_step",
        [*seconds(0.1), *seconds(0.2, model="b"), *seconds(0.2, model="c")],
        "1 of 3 ranges hold",
    ),
    ("epoch_speed", pace((80, 81, 79)), "0.80 times the plain loop in 3 rounds (slower)"),
    ("same_twice", runs(1, 2), "2 of 2 pairs told apart"),
    ("determinism", repeat((2.0, 1.9), (2.0, 1.9 + 1e-15)), "first train_loss of epoch 2"),
    ("determinism", repeat((2.0, 1.9), (2.0,)), "have not the same epochs"),
    ("several_cards", cards((2.0, 1.9), (2.0, 1.8)), "2 losses, off by 0.05 at most"),
    ("several_cards", cards((2.0, 1.9), (float("nan"), 1.9)), "2 losses"),
    ("several_cards", cards((2.0, 1.9), (2.0,)), "the two trials have not the same epochs"),
    ("sampling_cost", telemetry(sample=0.01), "10 ms a sample, 2.00% of the time"),
    ("clocks", telemetry(clock=0), "clock 0 MHz"),
    ("clocks", telemetry(samples=3), "3 samples in 5 s"),
]


@pytest.mark.parametrize(("name", "rows", "found"), KEPT)
def test_a_promise_is_kept(name: str, rows: Rows, found: str) -> None:
    one = checked(name, rows)
    assert (one.verdict, found in one.found) == ("pass", True), one.found


@pytest.mark.parametrize(("name", "rows", "found"), BROKEN)
def test_a_promise_is_broken(name: str, rows: Rows, found: str) -> None:
    one = checked(name, rows)
    assert (one.verdict, found in one.found) == ("broken promise", True), one.found
    assert broken([one])


def test_every_promise_can_be_kept_and_broken() -> None:
    assert {name for name, *_ in KEPT} == {name for name, *_ in BROKEN} == CHECKS.keys()


@pytest.mark.parametrize(
    ("tried", "peak", "verdict"),
    [
        ({"above": (0, 1)}, 2**30 - 2**19, "pass"),
        ({"above": (0, 1)}, 2**30 - 2**21, "broken promise"),
        ({"at": (0, 0)}, 2**30 - 2**19, "pass"),
        ({"at": (0, 0)}, 2**30 - 2**21, "broken promise"),
    ],
)
def test_close_to_the_limit_a_process_of_the_cpu_may_go_either_way(
    tried: dict[str, Any], peak: int, verdict: str
) -> None:
    size = 101 if "above" in tried else 100
    known = [
        *some("batches", "limit_bytes", 2**30, **CASE),
        *some("batches", "peak_bytes", peak, batch_size=size, variant="search", **CASE),
    ]
    rows = [*batches(**tried, peaks=()), *known]
    assert checked("largest_batch", rows, "cpu").verdict == verdict
    assert checked("largest_batch", rows, "cuda").verdict == "broken promise"


def test_the_cpu_has_errors_of_its_own() -> None:
    """A workspace of oneDNN's, which no simulation sees, only ever adds."""
    assert checked("predicted_memory", memory(100, 98), "cpu").verdict == "broken promise"
    assert checked("predicted_memory", memory(100, 98, workspace=1), "cpu").verdict == "pass"
    assert checked("predicted_memory", memory(100, 102, 9), "cpu").verdict == "broken promise"


THIN = [
    ("largest_batch", batches(at=(1,), above=(0,))),
    ("predicted_batch", some("batches", "max_batch", 100, **CASE)),
    ("left_memory", batches(peaks=(100,))),
    ("predicted_memory", some("memory", "tensor_bytes", 100, **CASE)),
    ("predicted_step", some("speed", "step_seconds", 0.1, **CASE)),
    ("epoch_speed", pace((140, 142), plain=(100, 101))),
    ("same_twice", runs(1)),
    ("determinism", repeat((2.0,), ())),
    ("sampling_cost", some("telemetry", "sm_clock_mhz", 1500)),
    ("clocks", some("telemetry", "sample_seconds", 0.001)),
]


@pytest.mark.parametrize(("name", "rows"), [*THIN, ("training_step", ())])
def test_too_little_evidence_is_no_verdict(name: str, rows: Rows) -> None:
    assert checked(name, rows).verdict == "not run here"
    assert checked(name, rows, late=1).verdict == "out of time"


def test_what_was_judged_although_time_ran_out_says_so() -> None:
    one = checked("largest_batch", batches(), late=2)
    assert one.verdict == "pass"
    assert one.found.endswith("; 2 parts out of time")


def test_what_fails_breaks_the_first_promise_of_its_experiment() -> None:
    evidence = {"batches": Evidence(tuple(batches()), "cuda", failed=("resnet18: it failed",))}
    verdicts = {one.check.id: one for one in judge_all(evidence, "cuda")}
    assert verdicts["largest_batch"].found == "resnet18: it failed"
    assert verdicts["largest_batch"].verdict == "broken promise"
    assert verdicts["left_memory"].verdict == "pass"


def test_what_was_not_run_has_its_reason() -> None:
    evidence = {"cards": Evidence(not_run="fewer than two cards are here")}
    verdicts = {one.check.id: (one.verdict, one.found) for one in judge_all(evidence, "cpu")}
    assert verdicts["several_cards"] == ("not run here", "fewer than two cards are here")
    assert (
        verdicts["clocks"] == verdicts["predicted_batch"] == ("not run here", "only on CUDA cards")
    )
    assert verdicts["determinism"] == ("not run here", "nothing was measured")
    assert not broken(judge_all(evidence, "cpu"))


def test_measurements_are_a_table_with_units_and_all_digits() -> None:
    row = Measurement("repeat", "train_loss", 1.9 + 1e-15, **CASE, variant="first")
    (cells,) = csv.DictReader(io.StringIO(measurements_csv([row])))
    assert tuple(cells) == COLUMNS
    assert float(cells["value"]) == row.value
    assert (cells["unit"], cells["batch_size"]) == ("nats", "")


def test_speeds_are_a_table_to_fit_predictions_on() -> None:
    rows = [*seconds(0.09, 0.11, 9.0), *seconds(model="b"), *batches()]
    (cells,) = csv.DictReader(io.StringIO(speeds_csv(rows, "Some Card")))
    assert tuple(cells) == SPEED_COLUMNS
    assert cells == {
        **{"device": "Some Card", "model": "resnet18", "image_size": "32", "precision": "fp32"},
        **{"batch_size": "8", "step_seconds": "0.11", "predicted_step_seconds": "0.1"},
        **{"predicted_low": "0.08", "predicted_high": "0.12"},
        **{"peak_flops": "1000000000000.0", "peak_bandwidth": "100000000000.0"},
    }


def test_every_quantity_has_a_unit() -> None:
    rows = [row for _, rows, _ in [*KEPT, *BROKEN] for row in rows]
    assert {row.quantity for row in rows} <= QUANTITIES.keys()

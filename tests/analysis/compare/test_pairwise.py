"""Lines: what is paired, what is corrected for, and what a reader must know."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.analysis.compare.pairwise import (
    USUAL,
    Comparison,
    compare,
    learned,
    speed_ratio,
)
from bench.analysis.compare.thresholds import parse_bound
from bench.analysis.metrics import BY_NAME
from bench.errors import Refused
from tests.analysis.compare.tables import Cells, a_side, rates, trials

SPEED, ACCURACY = BY_NAME["images_per_second"], BY_NAME["final_test_accuracy"]
METRICS = [BY_NAME[name] for name in USUAL]


@pytest.fixture
def compared(tmp_path: Path):
    """Compares two tables of rows."""

    def made(a: Sequence[Cells], b: Sequence[Cells], metrics=METRICS, **options) -> Comparison:
        return compare(a_side(tmp_path, "a", a), a_side(tmp_path, "b", b), metrics, **options)

    return made


def test_each_metric_of_each_model_is_a_line(compared) -> None:
    a = [*rates([100, 101, 102]), *rates([50, 51, 52], model="b")]
    found = compared(a, a)
    assert [(line.label, line.metric.name) for line in found.lines] == [
        (model, metric) for model in ("resnet18", "b") for metric in USUAL
    ]
    assert {line.verdict.text for line in found.lines} == {"same within 5 %", "equal"}


def test_times_are_not_paired_between_runs_and_accuracies_are(compared) -> None:
    columns = {
        "images_per_second": [100, 110, 90],
        "final_test_accuracy": [0.7, 0.72, 0.68],
    }
    found = compared(trials(columns), trials(columns | {"final_test_accuracy": [0.6, 0.63, 0.58]}))
    designs = {line.metric.name: line.effect.design for line in found.lines}
    assert designs["images_per_second"] == "independent"
    assert designs["final_test_accuracy"] == "paired"
    assert designs["max_batch"] == "exact"


@pytest.mark.parametrize(
    ("name", "is_learned"),
    [
        ("final_test_accuracy", True),
        ("final_train_loss", True),
        ("tta_test_accuracy", True),
        ("ece", True),
        ("best_epoch", True),
        ("best_validation_epoch", True),
        ("images_per_second", False),
        ("data_share", False),
    ],
)
def test_what_is_learned(name: str, is_learned: bool) -> None:
    assert learned(BY_NAME[name]) is is_learned


def test_what_chance_has_a_part_in_is_corrected_for(compared) -> None:
    a, b = rates([100, 103, 98]), rates([92, 95, 91])
    alone = compared(a, b, [SPEED]).lines[0]
    again = [row | {"model": "other"} for row in a], [row | {"model": "other"} for row in b]
    both = compared([*a, *again[0]], [*b, *again[1]], [SPEED])
    assert both.comparisons == 2
    assert alone.p is not None
    assert both.lines[0].p == pytest.approx(2 * alone.p)


def test_a_metric_that_one_lacks_is_left_out_and_said(compared) -> None:
    a = rates([1, 2, 3], power_watts=5.0)
    b = rates([1, 2, 3], power_watts="")
    found = compared(a, b, [SPEED, BY_NAME["power_watts"]])
    assert [line.metric.name for line in found.lines] == ["images_per_second"]
    assert "Not known of both: power_watts." in found.notes
    with pytest.raises(Refused, match="power_watts is not known of both"):
        compared(a, b, [SPEED, BY_NAME["power_watts"]], wanted=["power_watts"])
    with pytest.raises(Refused, match="power_watts is not known of both"):
        compared(a, b, [BY_NAME["power_watts"]])


def test_a_metric_that_one_model_of_b_lacks_is_lost_there(compared) -> None:
    metrics, power = [SPEED, BY_NAME["power_watts"]], {"power_watts": 5.0}
    a = [*rates([1, 2, 3], **power), *rates([1, 2, 3], model="b", **power)]
    b = [*rates([1, 2, 3], **power), *rates([1, 2, 3], model="b", power_watts="")]
    found = compared(a, b, metrics)
    assert [(line.label, line.metric.name) for line in found.lines] == [
        ("resnet18", "images_per_second"),
        ("resnet18", "power_watts"),
        ("b", "images_per_second"),
    ]
    assert found.lost == (("b", BY_NAME["power_watts"]),)
    assert found.notes == (f"power_watts of b is known of {found.a} alone.",)
    assert compared(b, a, metrics).lost == ()


@pytest.mark.parametrize("value", [0, -1])
def test_what_has_no_ratio_is_refused(compared, value: float) -> None:
    with pytest.raises(Refused, match="and has no ratio; leave that metric out"):
        compared(rates([1, 2, value]), rates([1, 2, 3]))


def test_text_is_no_metric(compared) -> None:
    with pytest.raises(Refused, match="device 'cpu' is not a number"):
        compared(rates([1, 2]), rates([1, 2]), [BY_NAME["device"]])


def test_notes_say_what_was_left_out_and_what_is_in_doubt(compared) -> None:
    failed = rates([1], model="x", status="failed")
    a = [*trials({"noise": ["", "load", "load"]}), *failed, *rates([1], model="alone")]
    b = trials({"noise": ["", "", ""]}, batch_size=64)
    notes = " ".join(compared(a, b).notes)
    assert "1 trial of " in notes
    assert "2 trials of " in notes
    assert "marked as noisy; counted all the same" in notes
    assert "Only in" in notes
    assert "alone" in notes
    assert "batch 128 in" in notes


def test_two_states_of_one_network_are_compared_and_told(compared) -> None:
    first, edited = ({"source_sha256": letter * 64} for letter in "ab")
    assert compared(rates([1], **first), rates([2], **first)).notes == ()
    assert compared(rates([1], **first), rates([2])).notes == ()
    assert compared(rates([1], **first), rates([2], **edited)).notes == (
        "resnet18 is from another file, or another state of it, in each.",
    )


def test_nothing_to_say_is_not_said(compared) -> None:
    assert compared(rates([1, 2, 3]), rates([1, 2, 3])).notes == ()


SLOWER = {"images_per_second": [90.0, 90.5, 91.0]}


def test_the_machine_that_slowed_down_explains_a_slower_run(compared) -> None:
    a = trials({"images_per_second": [100.0, 100.5, 101.0]}, calibration_gflops=50.0)
    line = compared(a, trials(SLOWER, calibration_gflops=44.0), [SPEED]).lines[0]
    assert line.machine == pytest.approx(0.88)
    assert line.verdict.text == "cannot tell: the machine itself changed by -12.0 %"
    assert not parse_bound("images_per_second:-5%").broken_by(line.effect, line.verdict)


def test_a_claim_of_speed_without_a_timed_machine_says_what_it_leaves_open(compared) -> None:
    a, b = trials({"images_per_second": [100.0, 100.5, 101.0]}), trials(SLOWER)
    assert "not timed alike, beside these trials" in compared(a, b).notes[-1]
    timed = [[row | {"calibration_gflops": 50.0} for row in rows] for rows in (a, b)]
    assert compared(*timed).notes == ()


def test_two_machines_that_are_compared_on_purpose_are_not_excused(compared) -> None:
    a = trials({"images_per_second": [100.0, 100.5, 101.0]}, calibration_gflops=50.0)
    b = trials(SLOWER, calibration_gflops=44.0, device_name="Other")
    line = compared(a, b, [SPEED], across=["device"]).lines[0]
    assert line.verdict.word == "slower"
    assert line.machine == pytest.approx(0.88)


def test_a_model_that_is_called_after_a_device_is_none(compared) -> None:
    a = trials({"images_per_second": [100.0, 100.5, 101.0]}, model="device_net.py:make")
    b = trials(SLOWER)
    assert (
        "not timed alike, beside these trials"
        in compared(a, b, [SPEED], across=["model"]).notes[-1]
    )
    timed = [
        [row | {"calibration_gflops": speed} for row in rows]
        for rows, speed in ((a, 50.0), (b, 44.0))
    ]
    line = compared(*timed, [SPEED], across=["model"]).lines[0]
    assert line.verdict.text == "cannot tell: the machine itself changed by -12.0 %"


def test_a_product_in_another_precision_says_nothing_of_the_machine(compared) -> None:
    a = trials({"images_per_second": [100.0, 100.5, 101.0]}, calibration_gflops=200.0)
    faster = {"images_per_second": [200.0, 200.5, 201.0]}
    b = trials(faster, calibration_gflops=900.0, precision="bf16")
    found = compared(a, b, [SPEED], across=["precision"])
    assert found.lines[0].machine is None
    assert found.lines[0].verdict.text == "faster"
    assert "not timed alike" in found.notes[-1]


def test_the_speed_ratio_of_the_machine() -> None:
    assert speed_ratio({0: 10, 1: 40}, {0: 30}) == pytest.approx(1.5)
    assert speed_ratio({}, {0: 30}) is None


def test_labels_say_only_what_varies(tmp_path: Path) -> None:
    side = a_side(
        tmp_path,
        "a",
        rates([1]),
        rates([1], optimizer="sgd", learning_rate=0.01),
        rates([1], model="b"),
    )
    # A learning rate that follows from the optimizer is not repeated.
    assert [group.label for group in side.groups] == [
        "resnet18 · adam",
        "resnet18 · sgd",
        "b · adam",
    ]
    rates_vary = a_side(tmp_path, "c", rates([1]), rates([1], learning_rate=0.1))
    assert [group.label for group in rates_vary.groups] == [
        "resnet18 · lr 0.001",
        "resnet18 · lr 0.1",
    ]
    native = a_side(tmp_path, "b", rates([1]), rates([1], model="b", image_size=299))
    assert [group.label for group in native.groups] == ["resnet18", "b"]

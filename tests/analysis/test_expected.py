"""A run beside what its recipe is known to reach: which reference, and what differs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.expected import Expected, expected
from bench.analysis.references import Reference, conditions_of
from bench.analysis.tables import REFERENCE_COLUMNS, reference_frame, write_tables
from bench.analysis.trial_group import trial_groups
from bench.records.records import Record
from bench.records.run import collect
from tests.builders import (
    a_dataset,
    a_done_trial,
    a_failed_trial,
    a_reference,
    a_run,
    a_setting,
    a_trial,
    an_epoch,
    run_start,
    tuned_records,
)

TRAINED = a_done_trial(a_trial())  # ends at 60 %


def of(records: list[Record], *references: Reference) -> list[Expected]:
    return expected(trial_groups(collect(Path("somewhere"), records)), references)


def of_setting(reference: Reference, **setting: Any) -> Expected:
    trial = a_trial(setting=a_setting(**setting))
    (one,) = of([*run_start(), *a_done_trial(trial)], reference)
    return one


def test_what_ends_as_its_reference_is_as_expected() -> None:
    (one,) = of([*run_start(), *TRAINED], a_reference(0.61))
    assert (one.missed, one.differences, one.seeds) == (False, (), 1)
    assert one.text == "expected 56.0 to 66.0 %, got 60.0"


def test_what_ends_elsewhere_misses_it_on_either_side() -> None:
    (below,) = of([*run_start(), *TRAINED], a_reference(0.7))
    (above,) = of([*run_start(), *TRAINED], a_reference(0.5))
    assert (below.expectation.verdict, above.expectation.verdict) == ("below", "above")
    assert below.text == (
        "expected 65.0 to 75.0 %, got 60.0, although its settings are those of the reference"
    )


@pytest.mark.parametrize(
    ("theirs", "ours", "words"),
    [
        ({"augment": "crop"}, {}, "augmentation was off"),
        ({}, {"augment": "shift"}, "--augment shift instead of none"),
        (
            {"learning_rate": 0.1, "optimizer": "sgd"},
            {"learning_rate": 0.01, "optimizer": "sgd"},
            "--lr 0.01 instead of 0.1",
        ),
        ({}, {"channels_last": False}, "--channels-last no instead of yes"),
        ({}, {"pretrained": True, "freeze": "body"}, "--pretrained yes instead of no"),
        ({}, {"sync_batch_norm": True}, "--sync-batch-norm yes instead of no"),
        ({}, {"weight_decay": 0.1}, "--weight-decay 0.1 instead of 0"),
        ({}, {"precision": "bf16", "warmup": 0.2}, "--precision bf16 instead of fp32"),
    ],
)
def test_what_an_option_changed_is_named(
    theirs: dict[str, Any], ours: dict[str, Any], words: str
) -> None:
    one = of_setting(a_reference(0.9, **theirs), **ours)
    assert one.differences[0] == words
    assert one.text.startswith(f"expected 85.0 to 95.0 %, got 60.0: {words}")
    assert len(one.differences) == max(len(theirs), len(ours)) - ("optimizer" in ours)


def test_a_setting_that_makes_no_difference_is_no_excuse() -> None:
    one = of_setting(a_reference(0.6), channels_last=False)
    assert not one.missed
    assert one.text == "expected 55.0 to 65.0 %, got 60.0"


@pytest.mark.parametrize(
    "records",
    [
        [*run_start(), *a_done_trial(a_trial("googlenet"))],
        [*run_start(), *a_done_trial(a_trial(), epochs=2)],
        [*run_start(), *a_done_trial(a_trial(batch_size=32))],
        [*run_start(), *a_done_trial(a_trial(setting=a_setting(image_size=64)))],
        [*run_start(), *a_done_trial(a_trial(setting=a_setting(recipe="onecycle")))],
        [*run_start(), a_dataset(sha256="cd" * 32), *TRAINED],
        [*run_start(), *a_failed_trial(a_trial(), 3)],
        run_start(),
    ],
    ids=["model", "epochs", "batch", "size", "recipe", "images", "not done", "nothing"],
)
def test_other_things_are_not_compared(records: list[Record]) -> None:
    assert of(records, a_reference(0.9)) == []


@pytest.mark.parametrize(("deviation", "seeds"), [(None, 1), (0.0, 3)])
def test_a_reference_without_spread_judges_nothing(deviation: float | None, seeds: int) -> None:
    assert of([*run_start(), *TRAINED], a_reference(0.9, deviation, seeds)) == []


def test_the_nearest_reference_counts_and_of_those_the_one_of_the_most_seeds() -> None:
    other, few, many = a_reference(0.9, seeds=9, augment="crop"), a_reference(0.6), a_reference(0.7)
    many = replace(many, seeds=5)
    (one,) = of([*run_start(), *TRAINED], other, few, many)
    assert one.reference is many


def test_more_seeds_are_expected_in_a_narrower_interval() -> None:
    trials = [record for seed in range(3) for record in a_done_trial(a_trial(seed=seed))]
    (three,) = of([*run_start(), *trials], a_reference(0.6))
    (one,) = of([*run_start(), *TRAINED], a_reference(0.6))
    assert three.seeds == 3
    assert three.expectation.got == pytest.approx(0.62)
    assert three.interval[1] - three.interval[0] < one.interval[1] - one.interval[0]


def test_an_interval_ends_where_accuracies_do() -> None:
    (one,) = of([*run_start(), *TRAINED], a_reference(0.5, 0.4, 2))
    assert one.interval == (0.0, 1.0)


def test_what_tuning_chose_has_no_reference_and_the_default_has() -> None:
    records = tuned_records("adam", models=["resnet18"], seeds=1)
    groups = trial_groups(collect(Path("somewhere"), records))
    row = next(g for g in groups if g.traits["tuning"] == "default").rows[0]
    known = replace(a_reference(0.5), conditions=conditions_of(row))
    (one,) = expected(groups, [known])
    assert one.group.traits["tuning"] == "default"


def test_the_table_has_a_row_per_group_with_a_reference(tmp_path: Path) -> None:
    run = a_run(tmp_path, seeds=2)
    frame = reference_frame(run, [a_reference(0.9, augment="crop")])
    (row,) = frame.to_dict("records")
    assert set(REFERENCE_COLUMNS) <= set(frame.columns)
    assert (row["model"], row["seeds"], row["epochs"]) == ("resnet18", 2, 3)
    assert row["final_test_accuracy"] == pytest.approx(0.61)
    assert (row["verdict"], row["differences"]) == ("below", "augmentation was off")
    assert row["expected_low"] < 0.9 < row["expected_high"] < 1
    assert reference_frame(run, []).empty
    write_tables(run)
    assert not (tmp_path / "reference.csv").exists()


def test_an_epoch_without_a_test_is_no_accuracy() -> None:
    started, *epochs, ended = TRAINED
    untested = an_epoch(a_trial(), 3, test_accuracy=None, test_loss=None)
    assert of([*run_start(), started, *epochs[:2], untested, ended], a_reference(0.9)) == []

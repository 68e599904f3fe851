"""What a report says of noise: how many trials were quiet, and how much the machine changed."""

from dataclasses import replace

import pytest

from bench.analysis.metrics import BY_NAME
from bench.records.records import Calibrated, Record, Surroundings
from bench.report.context import Context
from bench.report.document import warnings
from bench.report.sections.base import answers
from bench.report.sections.timing_noise import COLUMNS, SECTIONS, machine_speed
from tests.builders import a_context, a_done_trial, a_trial, an_epoch, run_start, some_records


def calibrated(trial: str, *seconds: float, precision: str = "fp32") -> list[Record]:
    return [
        Calibrated(trial, at, precision, 1000, (s,) * 3)
        for at, s in zip((0, 3), seconds, strict=True)
    ]


(SECTION,) = SECTIONS


def context_of(*records: Record) -> Context:
    return a_context([*run_start(), *records])


def test_quiet_trials_and_a_steady_machine() -> None:
    a, b = a_trial("a"), a_trial("b")
    context = context_of(
        *a_done_trial(a),
        *calibrated(a.id, 0.020, 0.020),
        *a_done_trial(b),
        *calibrated(b.id, 0.020, 0.0205),
    )
    assert SECTION.finding(context) == (
        "2 of 2 trials were quiet; a fixed matrix product, timed before and after each, ran "
        "between 97.6 and 100.0 GFLOP/s, at best 2.5 % faster than at worst, which verdicts on "
        "speeds allow for."
    )


def test_of_several_precisions_the_one_that_changed_most() -> None:
    a, b = a_trial("a"), a_trial("b")
    context = context_of(
        *a_done_trial(a),
        *calibrated(a.id, 0.020, 0.020),
        *a_done_trial(b),
        *calibrated(b.id, 0.010, 0.011, precision="bf16"),
    )
    found = machine_speed(context.run.trials)
    assert found is not None
    assert round(found.change, 3) == 0.1


def test_a_noisy_trial_is_named_with_its_reason() -> None:
    trial = a_trial("a")
    started, *_, ended = a_done_trial(trial)
    crowded = Surroundings(2, 0.7, None, 0, 0)
    epochs = [replace(an_epoch(trial, n), surroundings=crowded) for n in (1, 2)]
    context = context_of(started, *epochs, ended)
    steps, why = SECTION.tables(context)
    assert len(steps.rows) == 1
    (row,) = why.rows
    assert row[0].text == "a"
    assert row[1].text.startswith("other processes used 0.70 of the 2 cores")
    assert (SECTION.finding(context) or "").startswith("0 of 1 trial was quiet; ")
    (said,) = (w for w in warnings(context) if "may mislead" in w)
    assert said.startswith("The times of 1 of 1 trial may mislead (a): ")


def test_an_older_log_says_nothing_of_it() -> None:
    trial = a_trial("a")
    started, *_, ended = a_done_trial(trial)
    context = context_of(started, replace(an_epoch(trial), step_times=()), ended)
    assert SECTION.finding(context) is None


def test_the_rule_of_warming_up_is_stated() -> None:
    context = context_of(*a_done_trial(a_trial()))
    (rule,) = SECTION.remarks(context)
    assert "its first 10 steps are in no statistics" in rule
    context.run.trials[0].repeated.append("it was loud")
    assert SECTION.remarks(context)[1] == "Noisy trials were repeated, 1 time in all."


def test_it_is_a_section_of_the_report() -> None:
    context = a_context(some_records())
    (section,) = answers(SECTIONS, context, lambda name, figure: None)
    assert section.name == "trust"
    assert [p.file for p in section.pictures] == ["steps"]
    columns = section.tables[0].headers
    # What was never measured is no column.
    assert "Step (ms)" in columns
    assert "GPU clock (MHz)" not in columns


@pytest.mark.parametrize(("slowest", "scale"), [(0.19, "linear"), (2.0, "log")])
def test_the_axis_of_step_times_has_numbers_on_it(slowest: float, scale: str) -> None:
    trial = a_trial()
    started, *_, ended = a_done_trial(trial)
    epoch = replace(an_epoch(trial), step_times=(0.1, slowest, 0.11), step_times_every=1)
    (picture,) = SECTION.pictures
    figure = picture.draw(context_of(started, epoch, ended))
    assert figure is not None
    (steps, *_) = figure.axes
    assert steps.get_yscale() == scale
    low, high = steps.get_ylim()
    assert len([tick for tick in steps.get_yticks() if low <= tick <= high]) >= 3


def test_every_column_is_a_metric() -> None:
    assert set(COLUMNS) <= set(BY_NAME)

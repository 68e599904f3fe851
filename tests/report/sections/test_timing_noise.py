"""What a report says of noise: how many trials were quiet, and how much the machine changed."""

from dataclasses import replace
from pathlib import Path

from bench.report.questions import sections
from bench.report.trust import COLUMNS, trust_finding, trust_remarks, trust_tables, yardstick

from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import Series, series
from bench.records.records import Calibrated, Record, Surroundings
from bench.records.run import Run, collect
from bench.report.document import warnings
from tests.builders import a_done_trial, a_trial, an_epoch, run_start, some_records


def calibrated(trial: str, *seconds: float, precision: str = "fp32") -> list[Record]:
    return [
        Calibrated(trial, at, precision, 1000, (s,) * 3)
        for at, s in zip((0, 3), seconds, strict=True)
    ]


def run_of(*records: Record) -> tuple[Run, list[Series]]:
    run = collect(Path("somewhere"), [*run_start(), *records])
    return run, series(run)


def test_quiet_trials_and_a_steady_machine() -> None:
    a, b = a_trial("a"), a_trial("b")
    _, found = run_of(
        *a_done_trial(a),
        *calibrated(a.id, 0.020, 0.020),
        *a_done_trial(b),
        *calibrated(b.id, 0.020, 0.0205),
    )
    assert trust_finding(found) == (
        "2 of 2 trials were quiet; a fixed matrix product, timed before and after each, ran "
        "between 97.6 and 100.0 GFLOP/s: differences in speed below 2.5 % may be the machine's."
    )


def test_of_several_precisions_the_one_that_changed_most() -> None:
    a, b = a_trial("a"), a_trial("b")
    run, _ = run_of(
        *a_done_trial(a),
        *calibrated(a.id, 0.020, 0.020),
        *a_done_trial(b),
        *calibrated(b.id, 0.010, 0.011, precision="bf16"),
    )
    found = yardstick(run.trials)
    assert found is not None
    assert round(found.change, 3) == 0.1


def test_a_noisy_trial_is_named_with_its_reason() -> None:
    trial = a_trial("a")
    started, *_, ended = a_done_trial(trial)
    crowded = Surroundings(2, 0.7, None, 0, 0)
    epochs = [replace(an_epoch(trial, n), surroundings=crowded) for n in (1, 2)]
    run, found = run_of(started, *epochs, ended)
    steps, why = trust_tables(run, found)
    assert len(steps.rows) == 1
    (row,) = why.rows
    assert row[0].text == trial.id
    assert row[1].text.startswith("other processes used 0.70 of the 2 cores")
    assert (trust_finding(found) or "").startswith("0 of 1 trials were quiet; ")
    (said,) = (w for w in warnings(run, found) if "may mislead" in w)
    assert said.startswith(f"The times of 1 of 1 trials may mislead ({trial.id}): ")


def test_an_older_log_says_nothing_of_it() -> None:
    trial = a_trial("a")
    started, *_, ended = a_done_trial(trial)
    _, found = run_of(started, replace(an_epoch(trial), step_times=()), ended)
    assert trust_finding(found) is None


def test_the_rule_of_warming_up_is_stated() -> None:
    run, _ = run_of(*a_done_trial(a_trial()))
    (rule,) = trust_remarks(run)
    assert "its first 10 steps are in no statistics" in rule
    run.trials[0].repeated.append("it was loud")
    assert trust_remarks(run)[1] == "Noisy trials were repeated, 1 times in all."


def test_it_is_a_section_of_the_report() -> None:
    run = collect(Path("somewhere"), some_records())
    (section,) = (s for s in sections(run, series(run), ["steps"]) if s.name == "trust")
    assert [p.file for p in section.pictures] == ["steps"]
    columns = section.tables[0].headers
    # What was never measured is no column.
    assert "Step, median (ms)" in columns
    assert "GPU clock (MHz)" not in columns


def test_every_column_is_a_metric() -> None:
    assert {column.metric for column in COLUMNS} <= set(BY_NAME)

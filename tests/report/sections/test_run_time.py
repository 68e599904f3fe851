"""The section on where the run's own time went."""

from pathlib import Path

from bench.analysis.run_time import predict_time
from bench.records.records import RunTimed, TrialTime
from bench.report.context import Context
from bench.report.sections.base import answers
from bench.report.sections.run_time import PHASES, SECTIONS
from tests.builders import a_run


def test_it_says_what_measuring_costs(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    for seconds in ({"train": 60.0, "search": 10.0}, {"evaluate": 20.0, "search": 14.0}):
        run.add(RunTimed(seconds))
    figures: dict[str, object] = {}
    (answer,) = answers(SECTIONS, Context(run), figures.__setitem__)
    assert answer.finding == (
        "Of 104.0 s before the report, training and evaluation took 80.0 s; the rest adds 30.0 % "
        "to them (most of it: search for the largest batch)."
    )
    rows = [[cell.text for cell in row] for row in answer.tables[0].rows]
    assert rows[0] == ["training", "60.0", "57.7"]
    assert rows[1][0] == PHASES["search"]
    assert list(figures) == ["run_time"]


def test_an_older_run_has_no_such_section(tmp_path: Path) -> None:
    assert list(answers(SECTIONS, Context(a_run(tmp_path)), lambda *_: None)) == []


def test_the_predicted_time_stands_beside_what_it_took(tmp_path: Path) -> None:
    run = a_run(tmp_path, models=("resnet18",))
    (result,) = run.trials
    run.add(predict_time([TrialTime(result.trial, {"train": 30.0, "evaluate": 4.0})], 5.0))
    run.add(RunTimed({"train": 35.0, "evaluate": 5.0, "search": 1.0}))
    (answer,) = answers(SECTIONS, Context(run), lambda *_: None)
    rows = [[cell.text for cell in row] for row in answer.tables[1].rows]
    assert rows == [
        ["training", "30.0", "35.0", "-14.3"],
        ["evaluation", "4.0", "5.0", "-20.0"],
        ["together", "34.0", "40.0", "-15.0"],
    ]
    assert answer.remarks == (
        "Predicted from a few steps: 34.0 s for the trials. They took 40.0 s: an error of -15.0 %.",
    )

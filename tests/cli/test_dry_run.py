"""What a dry run prints."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.analysis.run_time import predict_time
from bench.analysis.tables import RunTables
from bench.cli.dry_run import plan_table, show_plan
from bench.errors import Refused
from bench.records.records import TrialTime
from tests.builders import a_setting, a_trial, run_start, some_steps, tables_of


def planned(seconds: float, limit: float | None, seeds: int = 2) -> RunTables:
    """A dry run of two models, of which one could not be timed."""
    trials = [a_trial(model, seed) for seed in range(seeds) for model in ("resnet18", "vgg16")]
    times = [
        TrialTime(trial, {"train": seconds} if trial.model == "resnet18" else {})
        for trial in trials
    ]
    run = tables_of(Path("dry"), run_start(models=("resnet18", "vgg16"), seeds=seeds))
    run.add(some_steps())
    run.add(predict_time(times, 30.0, limit))
    return run


def shown(run: RunTables) -> str:
    text = io.StringIO()
    assert show_plan(run, Console(file=text, width=120)) == 0
    return text.getvalue()


def test_a_row_for_each_model_with_its_time_and_memory() -> None:
    table = plan_table(run := planned(90, None), run.time_predicted)
    rows = [[cell.text for cell in row] for row in table.rows]
    assert rows[0] == ["resnet18", "64", "300", "52.0", "90.0", "2", "180.0"]
    assert rows[1] == ["vgg16", "64", "–", "–", "–", "2", "–"]
    text = shown(run)
    assert (
        "The run takes about 4 minutes: 30 s before the first trial, 3 minutes for the trials, 10 s"
        in text
    )
    assert "nothing was trained or written" in text
    assert "--time-limit" not in text


def test_it_says_what_a_limit_would_leave_out() -> None:
    text = shown(planned(90, 160))
    assert "1 of 2 seeds fit in 3 minutes" in text
    assert (
        "--time-limit 3m would leave out the last seeds (1) of every model; the rest takes about "
        "2 minutes." in text
    )


def test_a_limit_too_short_for_one_seed_is_refused_after_the_plan() -> None:
    with pytest.raises(Refused, match="--time-limit 60s is too short: one seed of every model"):
        shown(planned(90, 60))


def test_settings_that_vary_have_a_row_each() -> None:
    run = planned(90, None)
    assert run.time_predicted is not None
    varied = [
        replace(time, trial=replace(time.trial, setting=a_setting(optimizer=name)))
        for time in run.time_predicted.trials[::2]
        for name in ("adam", "sgd")
    ]
    table = plan_table(run, predict_time(varied, 0.0))
    assert len(table.rows) == 2
    assert len({row[0].text for row in table.rows}) == 2


def test_nothing_that_can_be_trained_is_refused() -> None:
    run = tables_of(Path("dry"), run_start(models=("resnet18",)))
    with pytest.raises(Refused, match="nothing in this plan can be trained"):
        show_plan(run, Console(file=io.StringIO()))

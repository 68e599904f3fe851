"""How long a run will take, and which seeds a time limit has room for."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.run_time import (
    REPORT_SECONDS,
    corrected_seconds,
    cut_seeds,
    cut_sentence,
    is_cheap_to_predict,
    limit_needed,
    phases_of,
    predict_time,
    predicted_and_actual,
    prediction_text,
    run_seconds,
    seed_ends,
    seeds_left_out,
    too_short,
)
from bench.records.records import (
    RunTimed,
    SeedsCut,
    TimePredicted,
    TrialEnded,
    TrialTime,
)
from bench.records.run import Run
from tests.builders import a_dataset, a_run, a_setting, a_trial, some_steps


def times(*seconds: float, models: int = 1) -> tuple[TrialTime, ...]:
    """The seconds of each seed, divided between models."""
    return tuple(
        TrialTime(a_trial(f"model{m}", seed), {"train": total / models})
        for seed, total in enumerate(seconds)
        for m in range(models)
    )


def test_seconds_of_a_trial_follow_from_a_few_steps() -> None:
    data = a_dataset(train_images=640, test_images=320)
    phases = phases_of(some_steps(), data, 2, inspect=True)
    assert phases == pytest.approx(
        {
            "start workers": 4.0,
            "calibrate": 1.0,
            "train": 2 * 10 * 2.0 + 3.0,
            "evaluate": 2 * 320 * 0.1 + 3.0,
            "checkpoints": 2 * 0.5,
            "inspect": 7.0,
        }
    )


def test_with_validation_the_test_is_evaluated_once() -> None:
    data = a_dataset(train_images=640, validation_images=64, test_images=320)
    phases = phases_of(some_steps(), data, 2, inspect=False)
    assert phases["evaluate"] == pytest.approx((2 * 64 + 320) * 0.1 + 3.0)
    assert phases["checkpoints"] == pytest.approx(2 * 0.5)


def test_a_smaller_last_batch_takes_its_share_and_is_slow_once_too() -> None:
    data = a_dataset(train_images=96, test_images=96)
    phases = phases_of(some_steps(), data, 1, inspect=False)
    assert phases["train"] == pytest.approx(1.5 * 2.0 + 2 * 3.0)
    assert phases["evaluate"] == pytest.approx(96 * 0.1 + 2 * 3.0)
    assert phases["inspect"] == phases["checkpoints"] == 0


def test_what_is_done_already_takes_no_more_time() -> None:
    phases = phases_of(some_steps(), a_dataset(), 0, inspect=True)
    assert phases["train"] == phases["evaluate"] == phases["checkpoints"] == 0
    assert phases["inspect"] == 7.0


def test_parts_of_a_batch_are_what_is_evaluated_at_once() -> None:
    timed = some_steps(setting=a_setting(accumulate=4), first_evaluation_seconds=3 + 1.6)
    phases = phases_of(timed, a_dataset(train_images=640, test_images=320), 1, inspect=False)
    assert phases["evaluate"] == pytest.approx(32.0 + 3.0)


def test_a_short_run_is_not_worth_a_prediction_that_nobody_asked_for() -> None:
    trials = [a_trial(seed=seed) for seed in range(3)]
    assert not is_cheap_to_predict(trials, images=640, epochs=2)
    assert is_cheap_to_predict(trials, images=50_000, epochs=2)
    assert not is_cheap_to_predict([], images=50_000, epochs=2)


@given(
    st.lists(st.floats(0.1, 1e4), min_size=1, max_size=6),
    st.integers(1, 3),
    st.floats(0, 1e4),
    st.floats(1, 1e5),
)
def test_a_limit_cuts_from_the_last_seed_and_keeps_what_fits(
    seeds: list[float], models: int, passed: float, limit: float
) -> None:
    made = times(*seeds, models=models)
    cut = cut_seeds(made, passed, limit)
    kept = len(seeds) - len(cut)
    assert cut == tuple(range(kept, len(seeds)))
    if kept:
        assert limit_needed(passed, sum(seeds[:kept])) <= limit * (1 + 1e-9)
    if cut:
        assert limit_needed(passed, sum(seeds[: kept + 1])) >= limit * (1 - 1e-9)
    predicted = predict_time(made, passed, limit)
    assert predicted.cut_seeds == cut
    assert run_seconds(predicted, cut) == pytest.approx(passed + sum(seeds[:kept]) + REPORT_SECONDS)
    assert (too_short(predicted) is None) == (kept > 0)


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=9), st.integers(1, 5))
def test_side_by_side_a_run_is_as_long_as_its_fullest_slot(seeds: list[float], slots: int) -> None:
    _, ends = seed_ends(times(*seeds), slots)
    assert list(ends) == list(range(len(seeds)))
    longest = max(ends.values())
    assert longest >= max(*seeds, sum(seeds) / slots, 0) * (1 - 1e-9)
    assert longest <= (sum(seeds) / slots + max(seeds)) * (1 + 1e-9)
    predicted = predict_time(times(*seeds), 5.0, slots=slots)
    assert run_seconds(predicted) == pytest.approx(5.0 + longest + REPORT_SECONDS)
    alone = predict_time(times(*seeds), 5.0)
    assert run_seconds(predicted) <= run_seconds(alone) * (1 + 1e-9)


def test_without_a_limit_nothing_is_cut() -> None:
    predicted = predict_time(times(1e6, 1e6), 5.0)
    assert predicted.cut_seeds == ()
    assert too_short(predicted) is None
    assert prediction_text(predicted).startswith("about ")
    assert " fit" not in prediction_text(predicted)


def test_it_says_how_many_seeds_fit() -> None:
    assert prediction_text(predict_time(times(600, 600, 600), 60, 1500)) == (
        "about 31 minutes; 2 of 3 seeds fit in 25 minutes"
    )
    assert prediction_text(predict_time(times(60), 20, 1500)).endswith(
        "1 of 1 seeds fits in 25 minutes"
    )


def test_a_limit_too_short_for_one_seed_says_what_would_do() -> None:
    reason = too_short(predict_time(times(600, 600, models=2), 60, 120))
    assert reason == (
        "--time-limit 2m is too short: one seed of every model is done in 13m; allow that, or "
        "lower --epochs."
    )
    assert too_short(TimePredicted(3, (), 10, 1.0)) is None


def test_what_is_known_within_a_factor_is_cut_only_if_it_is_hopeless() -> None:
    made = times(600, 600)
    assert predict_time(made, 60, 800, factor=2.0).cut_seeds == ()
    known = predict_time(made, 60, 500, factor=2.0)
    assert (known.cut_seeds, known.factor) == ((1,), 2.0)
    assert too_short(known) is None
    assert prediction_text(known) == "about 21 minutes; at most 1 of 2 seeds fit in 8 minutes"
    assert too_short(predict_time(made, 60, 300, factor=2.0)) == (
        "--time-limit 5m is too short: one seed of every model is predicted (no step was timed) to "
        "be done in 13m, at best in 7m; allow that, or lower --epochs."
    )


def test_a_cut_is_said() -> None:
    assert cut_sentence((1, 2), SeedsCut((1, 2), 1500, 1000, 620)) == (
        "The time limit of 25m left out seeds 1, 2 of every model: a seed takes about 10 minutes, "
        "and 8 minutes were left, with the report to make."
    )


def test_a_seed_that_was_measured_corrects_the_next(tmp_path: Path) -> None:
    run = a_run(tmp_path, models=("resnet18",), seeds=1)
    first = run.trials[0].trial
    run.add(predict_time([TrialTime(replace(first, seed=s), {"train": 1.0}) for s in (0, 1)], 0))
    ended = run.trials[0].ended
    assert ended is not None
    assert corrected_seconds(replace(first, seed=1), run) == ended.seconds != 1.0
    run.add(TrialEnded(first, "done", None, 0.5))  # less than its epochs: it was resumed
    assert corrected_seconds(replace(first, seed=1), run) == 1.0
    assert corrected_seconds(replace(first, model="another"), run) == 0.0


def test_seeds_trained_later_are_not_left_out(tmp_path: Path) -> None:
    run = a_run(tmp_path, seeds=2)
    assert seeds_left_out(run) == ()
    run.add(SeedsCut((1, 2), 60, 50, 20))
    assert seeds_left_out(run) == (2,)


def predicted_run(tmp_path: Path) -> Run:
    run = a_run(tmp_path, models=("resnet18",), seeds=2)
    trained = sum(e.train_seconds for r in run.trials for e in r.epochs)
    made = [TrialTime(r.trial, {"train": 20.0, "evaluate": 2.0}) for r in run.trials]
    run.add(predict_time(made, 5.0))
    run.add(RunTimed({"train": trained, "evaluate": 3.0}))
    return run


def test_predicted_and_actual_seconds_are_compared_by_phase(tmp_path: Path) -> None:
    run = predicted_run(tmp_path)
    actual = run.phase_seconds["train"]
    assert predicted_and_actual(run) == {"train": (40.0, actual), "evaluate": (4.0, 3.0)}


def test_a_run_that_lost_its_clock_is_not_compared(tmp_path: Path) -> None:
    run = predicted_run(tmp_path)
    run.phase_seconds["train"] /= 2
    assert predicted_and_actual(run) == {}


def test_a_trial_that_failed_spoils_the_comparison(tmp_path: Path) -> None:
    run = predicted_run(tmp_path)
    run.add(TrialEnded(run.trials[0].trial, "failed", "it went wrong", 1.0))
    assert predicted_and_actual(run) == {}

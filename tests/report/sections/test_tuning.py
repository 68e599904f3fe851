from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from bench.analysis.run_time import cut_sentence, points_left_out, predict_time, too_short
from bench.analysis.tuning import contestants, point_of
from bench.records.records import (
    DatasetFacts,
    Epoch,
    FinalTest,
    Record,
    SeedsCut,
    Trial,
    TrialEnded,
    TrialStarted,
    TrialTime,
)
from bench.records.run import collect
from bench.report.context import Context
from bench.report.document import document, warnings
from bench.report.live import live_curves
from bench.report.sections import all_sections
from bench.report.sections.base import Section
from bench.report.style import measured_on
from bench.runner.session import exit_code
from tests.builders import a_context, tuned_records
from tests.report.undrawn import markdown_of

(SECTION,) = [section for section in all_sections() if section.name == "tuning"]


def finding(records: Sequence[Record]) -> str:
    said = SECTION.finding(a_context(records))
    assert said is not None
    return said


def with_accuracies(records: list[Record], accuracy: dict[tuple[str, str], float]) -> list[Record]:
    """A run whose tests are at these accuracies, and 0.2 points apart from seed to seed."""
    return [
        replace(r, accuracy=accuracy[r.trial.split()[0], part] + 0.002 * int(r.trial[-1]))
        if isinstance(r, FinalTest) and (part := r.trial.split()[-2])
        else r
        for r in records
    ]


FOUR_SEEDS: dict[str, Any] = {"budget": 4, "seeds": 4}


@pytest.mark.parametrize(
    ("tuned", "said"),
    [
        ((0.60, 0.70), "googlenet wins: tuning changes the winner."),
        ((0.75, 0.70), "resnet18 wins: tuning does not change the winner."),
        (
            (0.70, 0.70),
            "resnet18 and googlenet are equal at the top: this run cannot tell whether tuning "
            "changes the winner.",
        ),
    ],
)
def test_who_wins_before_and_after(tuned: tuple[float, float], said: str) -> None:
    resnet, googlenet = tuned
    accuracy = {("resnet18", "default"): 0.5, ("googlenet", "default"): 0.4}
    accuracy |= {("resnet18", "tuned"): resnet, ("googlenet", "tuned"): googlenet}
    records = with_accuracies(tuned_records("adam", **FOUR_SEEDS), accuracy)
    start = "With default values resnet18 wins; each as the best of 4 points under its space, "
    assert finding(records) == start + said


def test_a_winner_that_is_not_tuned_has_not_lost() -> None:
    accuracy = {("resnet18", "default"): 0.5, ("googlenet", "default"): 0.4, ("a", "default"): 0.6}
    accuracy |= {("resnet18", "tuned"): 0.7, ("googlenet", "tuned"): 0.5, ("a", "tuned"): 0.0}
    made = tuned_records("adam", models=["resnet18", "googlenet", "a"], **FOUR_SEEDS)
    records = [r for r in with_accuracies(made, accuracy) if not is_tuned(r, "a")]
    assert finding(records) == (
        "With default values resnet18 wins; each as the best of 4 points under its space, resnet18 "
        "wins: tuning does not change the winner. Left out, without a result with default values "
        "or tuned: a."
    )


def is_tuned(record: Record, model: str) -> bool:
    """Whether it is of a model's training at the point that was chosen."""
    trial = getattr(record, "trial", "")
    name = trial if isinstance(trial, str) else trial.id
    return name.startswith(f"{model} ") and " tuned " in name


def test_a_validation_set_that_is_all_right_can_be_drawn() -> None:
    right = [
        replace(r, validation_accuracy=1.0) if isinstance(r, Epoch) and r.evaluated else r
        for r in tuned_records("adam")
    ]
    data = next(r for r in right if isinstance(r, DatasetFacts))
    for images in (38, 60, 250):
        log = [replace(r, validation_images=images) if r is data else r for r in right]
        assert isinstance(SECTION.pictures[2].draw(a_context(log)), Figure)


def test_one_seed_decides_nothing() -> None:
    assert finding(tuned_records("adam", seeds=1)) == (
        "With default values googlenet is ahead, and as the best of 4 points under its space "
        "googlenet; so few seeds cannot tell that from chance."
    )


def test_who_is_as_good_to_the_last_digit_is_not_behind() -> None:
    accuracy = {("resnet18", "default"): 0.5, ("googlenet", "default"): 0.5}
    accuracy |= {("resnet18", "tuned"): 0.6, ("googlenet", "tuned"): 0.7}
    assert finding(with_accuracies(tuned_records("adam", seeds=1), accuracy)) == (
        "With default values resnet18 and googlenet are level, and as the best of 4 points under "
        "its space googlenet is ahead; so few seeds cannot tell that from chance."
    )


def test_a_single_contestant_is_compared_with_itself() -> None:
    said = finding(tuned_records("adam", models=["resnet18"], **FOUR_SEEDS))
    assert said.startswith("resnet18 as the best of 4 points under its space ends at ")
    assert said.endswith((": beyond chance.", "3 seeds a side)."))


def without_a_second_stage() -> list[Record]:
    records = tuned_records("adam")
    return records[: next(i for i, r in enumerate(records) if isinstance(r, FinalTest)) - 3]


def test_points_without_a_second_stage_are_told() -> None:
    broken = without_a_second_stage()
    assert "none is trained on all images yet" in finding(broken)
    assert list(SECTION.tables(a_context(broken)))


def test_if_no_training_at_a_chosen_point_ends_that_is_said() -> None:
    broken: list[Record] = []
    for record in tuned_records("adam", models=("resnet18",)):
        if isinstance(record, FinalTest) and " tuned " in record.trial:
            continue
        if isinstance(record, TrialEnded) and " tuned " in record.trial.id:
            record = replace(record, status="failed", reason="it went wrong.")
        broken.append(record)
    assert "no training at a chosen point has come to its end" in finding(broken)


def test_points_alone_are_not_compared_as_trials_are(tmp_path: Path) -> None:
    """Nor is anything drawn or said of seeds that have not begun."""
    text = markdown_of(collect(tmp_path, without_a_second_stage()))
    assert "## Does tuning change who wins?" in text
    assert "Best values are bold" not in text
    assert "One seed" not in text
    assert "seed" not in measured_on(collect(tmp_path, without_a_second_stage()))


def test_contestants_are_in_the_order_of_the_first_point() -> None:
    records = tuned_records("adam")
    started = [r for r in records if isinstance(r, TrialStarted) and r.trial.is_point]
    assert [r.trial.model for r in started[-2:]] == ["googlenet", "resnet18"]
    last_first = sorted(started, key=lambda r: -point_of(r.trial))
    run = collect(Path("tuned"), [*records[: records.index(started[0])], *last_first])
    assert [c.model for c in contestants(run)] == ["resnet18", "googlenet"]


def test_a_run_that_tunes_nothing_has_no_such_section(tmp_path: Path) -> None:
    from tests.builders import some_records

    assert SECTION.finding(a_context(some_records())) is None


def test_tables_have_ranks_costs_choices_and_spaces() -> None:
    context = a_context(tuned_records(budget=8, seeds=3, failed=[(2, "googlenet")]))
    ranks, chosen, spaces = SECTION.tables(context)
    assert [row[0].text for row in ranks.rows] == [
        *("resnet18 · adam", "googlenet · adam", "resnet18 · sgd", "googlenet · sgd")
    ]
    assert ranks.rows[0][-2].text.startswith("3 trials, 120 s, ")
    assert ranks.rows[0][-1].text.startswith("11 trials, 360 s, ")
    assert [row[2].text for row in chosen.rows] == ["0", "1", "0", "1"]
    assert len(spaces.rows) == 2 * 4
    assert all(picture.draw(context) is not None for picture in SECTION.pictures)


def test_an_edge_is_said_at_the_top_of_the_report() -> None:
    context = a_context(tuned_records("adam", models=["resnet18"], budget=2))
    (contestant, choice), *_ = context.run.chosen.items()
    context.run.chosen[contestant] = replace(choice, edges={"learning_rate": "high"})
    said = (
        "The point that was chosen for resnet18 lies at the edge of its space (learning rate at "
        "the high end): a wider one may hold better."
    )
    assert said in warnings(context)
    assert said in SECTION.remarks(context)


def test_a_failed_point_is_a_result_not_a_failure_of_the_run() -> None:
    records = tuned_records("adam", budget=4, failed=[(2, "googlenet")])
    assert exit_code(collect(Path("x"), records)) == 0
    made = document(a_context(records), [])
    assert [row[0].text for row in made.failures.rows] == ["googlenet · point 2"]
    assert not any("were not completed" in text for text in made.warnings)


@pytest.mark.parametrize("section", all_sections(), ids=lambda section: section.name)
def test_every_section_can_do_with_epochs_that_were_not_evaluated(section: Section) -> None:
    context: Context = a_context(tuned_records(budget=2, seeds=2))
    finding = section.finding(context)
    assert finding is None or finding.endswith(".")
    if finding is not None:
        tables = section.tables(context)
        assert all(len(row) == len(table.headers) for table in tables for row in table.rows)
        assert all(section.remarks(context))
        pictures = (*section.pictures, *section.gallery(context))
        assert all(isinstance(p.draw(context), Figure | None) for p in pictures)


def test_a_limit_has_to_hold_tuning_and_one_seed() -> None:
    trials = [r.trial for r in tuned_records("adam", budget=2, seeds=2) if hasattr(r, "started_at")
              and hasattr(r, "trial")]  # fmt: skip
    times = [TrialTime(trial, {"train": 100.0}) for trial in trials]
    # Two points, and default and tuned for each of two seeds, of two models.
    assert predict_time(times, 0.0, 2000.0).cut_seeds == ()
    assert predict_time(times, 0.0, 900.0).cut_seeds == (1,)
    short = predict_time(times, 0.0, 800.0)
    assert short.cut_seeds == (0, 1)
    assert too_short(short) == (
        "--time-limit 14m is too short: tuning and one seed of every model are done in 15m; "
        "allow that, or lower --tune or --epochs."
    )


def test_points_that_a_limit_left_out_are_named() -> None:
    cut = SeedsCut((), 600.0, 400.0, 250.0, points=(3, 4))
    left = {
        r.trial.id
        for r in tuned_records("adam")
        if isinstance(r, TrialStarted) and r.trial.is_point and point_of(r.trial) in cut.points
    }

    def is_left(record: Any) -> bool:
        trial = getattr(record, "trial", None)
        return (trial.id if isinstance(trial, Trial) else trial) in left

    records = [*(r for r in tuned_records("adam") if not is_left(r)), cut]
    assert points_left_out(collect(Path("cut"), records)) == (3, 4)
    assert points_left_out(collect(Path("resumed"), [*tuned_records("adam"), cut])) == ()
    remarks = SECTION.remarks(a_context(records))
    assert any("the same 2 of 4 points of a scrambled Sobol" in remark for remark in remarks)
    assert cut_sentence(cut.points, cut) == (
        "The time limit of 10m left out points 3, 4 of every model: a point and one seed "
        "afterwards take about 4 minutes, and 3 minutes were left, with the report to make."
    )


@pytest.mark.parametrize("trials", [2, 100])
def test_points_have_curves_while_a_run_is_under_way(trials: int) -> None:
    records = tuned_records(budget=2)
    ends = [i for i, record in enumerate(records) if isinstance(record, TrialEnded)]
    figure = live_curves(a_context(records[: [*ends, len(records)][min(trials, len(ends))]]))
    assert [len(line.get_xdata()) for line in figure.axes[0].lines[:2]] == [2, 2]
    assert figure.png()

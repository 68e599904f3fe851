"""Who wins within a run: one sentence, a table a metric, and no winner where chance could do it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.records.records import Record
from bench.report.comparison import as_csv, ranking_report
from bench.report.context import Context
from bench.report.sections.ranking import SECTIONS, rankings
from tests.builders import (
    a_context,
    a_done_trial,
    a_failed_trial,
    a_refused_trial,
    a_trial,
    an_epoch,
    run_start,
)


def trial(
    model: str, seed: int, seconds: float, accuracy: float, done: bool = True
) -> list[Record]:
    """One epoch that takes so long and ends there."""
    made = a_trial(model, seed)
    started, _, ended = a_done_trial(made, epochs=1)
    epoch = replace(an_epoch(made), images_per_second=640 / seconds, test_accuracy=accuracy)
    return [started, epoch, *([ended] if done else [])]


(SECTION,) = SECTIONS


def found(*records: Sequence[Record]) -> Context:
    return a_context([*run_start(), *(record for some in records for record in some)])


def two(seeds: int, accuracies: tuple[float, float] = (0.6, 0.6)) -> Context:
    """b takes 1.5 times as long as a, give or take; accuracies wander by 4 points."""
    records = []
    for seed in range(seeds):
        wander = 0.04 * (seed % 2)
        records += [trial("a", seed, 10 + 0.1 * (seed % 3), accuracies[0] + wander)]
        records += [trial("b", seed, 15 + 0.1 * (seed % 2), accuracies[1] + 0.04 - wander)]
    return found(*records)


def test_the_winner_is_named_with_its_lead_and_ties_as_such() -> None:
    said = SECTION.finding(two(4))
    assert said is not None
    assert said.startswith("In throughput, a wins; b, the next, is at 0.6")
    assert said.endswith("; in test accuracy, a and b cannot be told apart at the top.") or (
        said.endswith("; in test accuracy, b and a cannot be told apart at the top.")
    )


def test_one_seed_is_ahead_and_no_winner() -> None:
    assert SECTION.finding(two(1, (0.6, 0.7))) == (
        "Ahead: a in throughput and b in test accuracy; one seed cannot tell that from chance, "
        "--seeds 5 may."
    )


def test_who_is_as_good_to_the_last_digit_is_not_behind() -> None:
    speed_apart = found(trial("a", 0, 10, 0.6), trial("b", 0, 15, 0.6))
    assert SECTION.finding(speed_apart) == (
        "Ahead: a in throughput; a and b are level in test accuracy; one seed cannot tell that "
        "from chance, --seeds 5 may."
    )


@pytest.mark.parametrize(
    "records",
    [
        [],
        [trial("a", 0, 10, 0.5)],
        [trial("a", 0, 10, 0.5), a_refused_trial(a_trial("b"))],
        [trial("a", 0, 10, 0.5), a_failed_trial(a_trial("b"), 1)],
        [trial("a", 0, 10, 0.5), trial("b", 0, 10, 0.5, done=False)],
    ],
    ids=["nothing", "one", "refused", "failed", "unfinished"],
)
def test_there_is_no_ranking_without_two_that_are_done(records: list[list[Record]]) -> None:
    assert SECTION.finding(found(*records)) is None
    assert SECTION.tables(found(*records)) == ()


def test_a_table_for_each_metric_best_first() -> None:
    speed, accuracy = SECTION.tables(two(4))
    assert speed.headers == (
        "Rank",
        "Model",
        "Throughput (images/s)",
        "Seeds",
        "Against the best (95 %)",
        "p",
        "Verdict",
    )
    assert [row[0].text for row in speed.rows] == ["1", "2"]
    assert [row[1].text for row in speed.rows] == ["a", "b"]
    assert [row[-1].text for row in speed.rows] == ["best", "slower"]
    assert speed.rows[0][2].best
    assert [row[0].text for row in accuracy.rows] == ["1–2", "1–2"]
    assert accuracy.rows[0][-1].text == "ahead, but tied"
    assert accuracy.rows[1][-1].text.startswith("cannot tell: ")
    assert not any(cell.best for row in accuracy.rows for cell in row)


def test_one_run_is_told_in_records_too() -> None:
    told = ranking_report("run", rankings(two(4)), ["a note"])
    assert told.answer[0].startswith("In throughput, a wins")
    assert len(as_csv(told).splitlines()) == 5
    assert told.records[0]["verdict"] == "best"
    assert told.records[1]["change"] == pytest.approx(0.667, abs=0.01)
    one = ranking_report("run", rankings(two(1)), [])
    assert one.answer == ("So few seeds cannot tell which to use: run it with --seeds 5.",)

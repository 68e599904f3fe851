"""Which model wins: places, ties, and what one seed cannot say."""

from dataclasses import replace
from pathlib import Path

from bench.records import Calibrated, Record
from bench.report.questions import sections
from bench.report.ranking import (
    ranking_figures,
    ranking_finding,
    ranking_remarks,
    ranking_tables,
    write_ranking,
)
from bench.report.series import Series, series
from bench.results import Run, collect
from tests.builders import a_done_trial as done
from tests.builders import a_trial, an_epoch, run_start


def run_of(accuracies: dict[str, list[float]], *more: Record) -> tuple[Run, list[Series]]:
    """A trial of one epoch for each accuracy; the builders' times are equal for all seeds."""
    records = run_start()
    for number, (model, finals) in enumerate(accuracies.items()):
        for seed, accuracy in enumerate(finals):
            trial = a_trial(model, seed)
            started, *_, ended = done(trial)
            seconds = 10.0 * (number + 1) * (1 + 0.01 * (seed % 2))
            epoch = replace(
                an_epoch(trial), test_accuracy=accuracy, images_per_second=640 / seconds
            )
            records += [started, epoch, ended]
    run = collect(Path("somewhere"), [*records, *more])
    return run, series(run)


TIED = {"a": [0.70, 0.72, 0.71], "b": [0.71, 0.70, 0.72]}
CLEAR = {"a": [0.70, 0.72, 0.71], "b": [0.50, 0.53, 0.51]}


def test_a_clear_winner() -> None:
    _, found = run_of(CLEAR)
    said = ranking_finding(found) or ""
    assert said.startswith(
        "a is first in test accuracy, last epoch, 71.0 %, before b, 51.3 %, surely."
    )


def test_a_tie() -> None:
    run, found = run_of(TIED)
    assert "In test accuracy, last epoch a and b cannot be told apart at the top." in (
        ranking_finding(found) or ""
    )
    accuracy, _ = ranking_tables(run, found)
    assert [[cell.text for cell in row[:2]] for row in accuracy.rows] == [
        ["b", "1–2"],
        ["a", "1–2"],
    ] or [[cell.text for cell in row[:2]] for row in accuracy.rows] == [["a", "1–2"], ["b", "1–2"]]


def test_one_seed_cannot_tell() -> None:
    run, found = run_of({"a": [0.7], "b": [0.5]})
    assert "cannot be told from one seed: use --seeds 3 or more" in (ranking_finding(found) or "")
    assert ranking_figures(run) == {}


def test_one_model_is_no_ranking() -> None:
    run, found = run_of({"a": [0.7, 0.71]})
    assert ranking_finding(found) is None
    assert [table.rows for table in ranking_tables(run, found)] == [(), ()]


def test_the_difference_to_the_first_has_an_interval() -> None:
    run, found = run_of(CLEAR)
    accuracy, rate = ranking_tables(run, found)
    second = [cell.text for cell in accuracy.rows[1]]
    assert second[:3] == ["b", "2", "51.3 %"]
    assert second[3] == "-19.7"
    assert second[4] == "-21.1 to -18.2"
    assert rate.headers[3] == "Against the first (ratio)"


def test_a_machine_that_changed_is_said() -> None:
    name = a_trial("a").id
    changed = [Calibrated(name, at, "fp32", 768, (s,) * 3) for at, s in ((0, 0.010), (1, 0.011))]
    run, _ = run_of(CLEAR, *changed)
    assert "The machine's own speed changed by 10.0 %" in ranking_remarks(run)[1]
    steady, _ = run_of(CLEAR)
    assert len(ranking_remarks(steady)) == 1


def test_it_is_the_first_section_and_has_its_picture(tmp_path: Path) -> None:
    run, found = run_of(CLEAR)
    run.path = tmp_path
    assert write_ranking(run) == ["ranking"]
    assert (tmp_path / "plots" / "ranking.svg").is_file()
    first = sections(run, found, ["ranking"])[0]
    assert (first.name, [p.file for p in first.pictures]) == ("ranking", ["ranking"])

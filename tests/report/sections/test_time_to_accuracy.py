"""Test accuracies of 40, 50 and 60 % after 16, 27 and 38 seconds, and 2 points more per seed."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.analysis.trial_group import TrialGroup, trial_groups
from bench.records.records import Record, TimeBudget
from bench.records.run import collect
from bench.report.sections.time_to_accuracy import (
    SECTIONS,
    after_equal_seconds,
    target_table,
    until,
)
from bench.report.tables import Table
from tests.builders import a_context, a_done_trial, a_trial, an_epoch, run_start


def found(*records: Record) -> list[TrialGroup]:
    return trial_groups(collect(Path("somewhere"), [*run_start(), *records]))


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def cells(columns: dict[str, Sequence[object]]) -> dict[str, list[str]]:
    return {name: [cell.text for cell in column] for name, column in columns.items()}  # type: ignore[attr-defined]


def test_targets_that_somebody_reached() -> None:
    one = found(*a_done_trial(a_trial("a")), *a_done_trial(a_trial("b"), number=1))
    rows = texts(target_table(one))
    assert [row[:2] for row in rows] == [
        [model, f"{target}.0 %"] for target in (30, 40, 50, 60) for model in ("a", "b")
    ]
    assert rows[4] == ["a", "50.0 %", "2.0", "27", "1 of 1", "2.0", "27", "1 of 1"]
    assert rows[6] == ["a", "60.0 %", "3.0", "38", "1 of 1", "3.0", "38", "1 of 1"]
    # b ends at 65 %, and its epochs take 26, 21 and 21 seconds.
    assert rows[7] == ["b", "60.0 %", "3.0", "68", "1 of 1", "3.0", "68", "1 of 1"]


def test_the_share_of_seeds_that_got_there() -> None:
    # Of seeds 0 and 5 the latter ends at 70 %.
    one = found(*a_done_trial(a_trial("a", 0)), *a_done_trial(a_trial("a", 5)))
    last = texts(target_table(one))[-1]
    assert last == ["a", "70.0 %", "3.0", "38", "1 of 2", "3.0", "38", "1 of 2"]
    assert cells(until(one, 0.7)) == {
        "Until 70.0 % (epochs)": ["3.0 (1 of 2 seeds)"],
        "Until 70.0 % (s)": ["38 (1 of 2 seeds)"],
    }


def test_nothing_trained_nothing_said() -> None:
    assert target_table([]).rows == ()
    assert until([], None) == {}
    assert after_equal_seconds([]) == {}


def test_accuracy_when_the_first_was_done() -> None:
    """a is done after 38 seconds; b has then had one epoch of 26 s and is within its second."""
    one = found(*a_done_trial(a_trial("a")), *a_done_trial(a_trial("b"), number=1))
    assert cells(after_equal_seconds(one)) == {"Test accuracy after 38 s (%)": ["60.0", "45.0"]}


def test_what_had_not_finished_an_epoch_by_then_has_none() -> None:
    one = found(*a_done_trial(a_trial("a"), 1), *a_done_trial(a_trial("b"), number=3))
    assert cells(after_equal_seconds(one)) == {"Test accuracy after 16 s (%)": ["40.0", "–"]}


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e6])
def test_times_of_any_length_have_numbers_on_their_axis(scale: float) -> None:
    trial = a_trial("a")
    start, *_, end = a_done_trial(trial)
    budget = TimeBudget(*(scale * share for share in (0.1, 0.4, 0.6, 0.1, 0.1, 0.0)))
    epochs = [an_epoch(trial, n, time_budget=budget) for n in (1, 2)]
    context = a_context([*run_start(), start, *epochs, end])
    offered = [p for s in SECTIONS for p in (*s.pictures, *s.gallery(context))]
    figure = next(p for p in offered if p.file == "accuracy_over_time").draw(context)
    assert figure is not None
    figure.draw_without_rendering()
    texts_of = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert len(set(texts_of)) == len(texts_of) >= 3

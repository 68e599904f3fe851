from pathlib import Path

import pytest

from bench.analysis.formatting import DISPLAYS, display_of, header_of, quantity
from bench.analysis.trial_group import trial_groups
from bench.records.records import Record
from bench.records.run import collect
from bench.report.render.markdown import markdown
from bench.report.tables import (
    HEADLINE,
    Cell,
    Table,
    headline,
    picked,
    prediction_text,
    speed_table,
    transposed,
)
from tests.builders import (
    MIB,
    a_done_trial,
    a_failed_trial,
    a_prediction,
    a_refused_trial,
    a_speed,
    a_trial,
    an_epoch,
    run_start,
    some_records,
    validated,
)


def table_of(records: list[Record]) -> Table:
    return headline(trial_groups(collect(Path("somewhere"), records)))


def column(table: Table, header: str) -> list[Cell]:
    index = table.headers.index(header)
    return [row[index] for row in table.rows]


@pytest.fixture
def two() -> Table:
    """resnet18 and googlenet, one seed."""
    return table_of(some_records())


def test_a_row_per_model_and_a_cell_per_header(two: Table) -> None:
    assert [row[0].text for row in two.rows] == ["resnet18", "googlenet"]
    assert [len(row) for row in two.rows] == [13, 13]
    assert len(two.headers) == 13


def test_validation_has_columns_and_a_footnote_of_its_own(two: Table) -> None:
    kept = table_of(validated(some_records()))
    picked_on = {"validation": set(kept.headers), "test": set(two.headers)}
    assert picked_on["validation"] - picked_on["test"] == {
        "Validation accuracy, last epoch (%)",
        "Validation accuracy, best epoch¹ (%)",
    }
    assert picked_on["test"] - picked_on["validation"] == {"Test accuracy, best epoch¹ (%)"}
    texts = [cell.text for cell in column(kept, "Test accuracy, last epoch (%)")]
    assert texts == ["58.0", "63.0"]
    footnotes = [
        picked(trial_groups(collect(Path("somewhere"), records)))
        for records in (some_records(), validated(some_records()))
    ]
    assert footnotes[0].startswith("¹ picked on the test set, so an optimistic figure; the last")
    assert footnotes[1].startswith("¹ picked on the validation images, so an optimistic")


@pytest.mark.parametrize(
    ("header", "texts", "best"),
    [
        ("Parameters (10⁶)", ["1.00", "2.00"], [True, False]),
        ("GMACs per image", ["0.250", "0.500"], [True, False]),
        ("Largest batch (images)", ["100", "90"], [True, False]),
        ("Epoch (s)", ["10.0", "20.0"], [True, False]),
        ("All epochs (s)", ["38.0", "68.0"], [True, False]),
        ("Throughput (images/s)", ["64", "32"], [True, False]),
        ("Test accuracy, last epoch (%)", ["60.0", "65.0"], [False, True]),
    ],
)
def test_the_better_value_is_marked(
    two: Table, header: str, texts: list[str], best: list[bool]
) -> None:
    cells = column(two, header)
    assert [cell.text for cell in cells] == texts
    assert [cell.best for cell in cells] == best


@pytest.mark.parametrize("header", ["Evaluation (s)", "Peak memory (MiB)"])
def test_equal_values_are_not_marked(two: Table, header: str) -> None:
    assert [cell.best for cell in column(two, header)] == [False, False]


@pytest.mark.parametrize("header", ["Batch size (images)", "Parameters, 1,000 classes (10⁶)"])
def test_where_neither_way_is_better_nothing_is_marked(two: Table, header: str) -> None:
    assert [cell.best for cell in column(two, header)] == [False, False]


def test_two_that_share_the_best_value_are_both_marked() -> None:
    records = run_start()
    for number, model in enumerate(("a", "b", "c")):
        records += a_done_trial(a_trial(model), number=min(number, 1))
    cells = column(table_of(records), "Test accuracy, last epoch (%)")
    assert [cell.best for cell in cells] == [False, True, True]


def test_what_broke_off_early_has_no_best_time() -> None:
    records = run_start()
    for number, model in enumerate(("a", "b")):
        records += a_done_trial(a_trial(model), number=number)
    records += a_failed_trial(a_trial("c"), epochs=1)
    cells = column(table_of(records), "All epochs (s)")
    assert [cell.best for cell in cells] == [True, False, False]


def test_a_model_alone_is_not_the_best() -> None:
    table = table_of(some_records(models=["resnet18"], seeds=2))
    assert not any(cell.best for row in table.rows for cell in row)


def test_several_seeds_are_a_mean_and_an_interval() -> None:
    cells = column(table_of(some_records(seeds=2)), "Test accuracy, last epoch (%)")
    assert [cell.text for cell in cells] == ["61 ± 13", "66 ± 13"]


def test_what_every_seed_shares_has_no_interval() -> None:
    cells = column(table_of(some_records(seeds=2)), "Parameters (10⁶)")
    assert [cell.text for cell in cells] == ["1.00", "2.00"]


def test_memory_is_shown_in_mebibytes() -> None:
    started, *_ = a_done_trial(a_trial())
    epoch = an_epoch(a_trial(), peak_memory_bytes=1536 * MIB)
    (cell,) = column(table_of([*run_start(), started, epoch]), "Peak memory (MiB)")
    assert cell.text == "1,536"


def test_a_model_that_was_refused_is_a_row_without_figures() -> None:
    records = [*run_start(), *a_done_trial(a_trial()), *a_refused_trial(a_trial("big"))]
    table = table_of(records)
    assert [row[0].text for row in table.rows] == ["resnet18", "big (refused)"]
    assert {cell.text for cell in table.rows[1][1:]} == {"–"}
    assert not any(cell.best for cell in table.rows[1])


def test_how_many_seeds_failed_is_said() -> None:
    failed = [*a_failed_trial(a_trial(seed=1)), *a_failed_trial(a_trial(seed=2))]
    table = table_of([*run_start(), *a_done_trial(a_trial()), *failed])
    assert table.rows[0][0].text == "resnet18 (2 of 3 failed)"


def test_a_failed_seed_and_an_unfinished_one_are_not_two_that_failed() -> None:
    bad = [*a_failed_trial(a_trial(seed=1)), *a_done_trial(a_trial(seed=2))[:-1]]
    table = table_of([*run_start(), *a_done_trial(a_trial()), *bad])
    assert table.rows[0][0].text == "resnet18 (1 failed, 1 unfinished of 3)"


def test_a_trial_under_way_is_said_to_be_unfinished() -> None:
    table = table_of([*run_start(), *a_done_trial(a_trial())[:-1]])
    assert table.rows[0][0].text == "resnet18 (unfinished)"


def test_a_run_without_trials_is_a_table_without_rows() -> None:
    assert table_of(run_start()).rows == ()


@pytest.mark.parametrize(
    ("mean", "half_width", "unit", "text"),
    [
        (0.98765, None, "fraction", "98.8"),
        (0.98765, 0.0123, "fraction", "98.8 ± 1.2"),
        (1234567.0, None, "images", "1,234,567"),
        (3.0, 0.0, "times", "3.00"),
        (2.0, 0.004, "times", "2.00 ± 0.00"),
    ],
)
def test_cells(mean: float, half_width: float | None, unit: str, text: str) -> None:
    display = DISPLAYS[unit]
    assert quantity(mean, half_width, display, display.decimals) == text


def test_every_header_is_used_once() -> None:
    assert len({header_of(name) for name in HEADLINE}) == len(HEADLINE)
    assert display_of("final_test_accuracy").header == "%"


def test_markdown() -> None:
    table = Table(
        ("Model", "Epoch (s)"), ((Cell("a"), Cell("1.0", True)), (Cell("b"), Cell("2.0")))
    )
    assert markdown(table).splitlines() == [
        "| Model | Epoch (s) |",
        "| --- | ---: |",
        "| a | **1.0** |",
        "| b | 2.0 |",
    ]


def test_a_table_can_be_laid_on_its_side() -> None:
    rows = ((Cell("a"), Cell("1", True), Cell("2")), (Cell("b"), Cell("3"), Cell("4")))
    assert transposed(Table(("Model", "x", "y"), rows)) == Table(
        ("Model", "a", "b"),
        ((Cell("x"), Cell("1", True), Cell("3")), (Cell("y"), Cell("2"), Cell("4"))),
        turned=True,
    )


def test_bars_are_escaped_in_markdown() -> None:
    table = Table(("A|B",), ((Cell("x|y"),), (Cell("z|", True),)))
    header, _, first, second = markdown(table).splitlines()
    assert header == r"| A\|B |"
    assert first == r"| x\|y |"
    assert second == r"| **z\|** |"


def test_a_backslash_frees_neither_bars_nor_links_in_markdown() -> None:
    table = Table(("Model", "s"), ((Cell(r"\[x](http://a)"), Cell(r"a\|b", True)),))
    assert markdown(table).splitlines()[2] == r"| \\\[x](http://a) | **a\\\|b** |"


def test_predictions_are_columns_marked_as_such() -> None:
    records = [*some_records(), a_prediction("resnet18"), a_prediction("resnet18", "2GiB")]
    table = table_of(records)
    assert list(table.headers[-2:]) == [
        "Largest batch on t4 (predicted)",
        "Largest batch on 2GiB (predicted)",
    ]
    cells = column(table, "Largest batch on t4 (predicted)")
    assert [cell.text for cell in cells] == ["1,234 (1,170–1,298)", "–"]


def test_predicted_speeds_have_a_row_for_every_batch_and_their_range() -> None:
    fast = a_prediction(speeds=(a_speed(), a_speed(32, limit="memory traffic")))
    table = speed_table([fast, a_prediction("googlenet")])
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["resnet18", "32 px, adam, fp32", "t4", size, "1,000 (667–1,500)", step, "60", limit]
        for size, step, limit in (("1,234", "1,230", "arithmetic"), ("32", "32", "memory traffic"))
    ]
    assert table.headers[-2] == "Epoch (s, predicted)"
    no_epoch = speed_table([a_prediction(speeds=(a_speed(epoch_seconds=None),))])
    assert "Epoch (s, predicted)" not in no_epoch.headers
    assert not speed_table([a_prediction()]).rows


def test_a_prediction_that_only_the_data_set_limits_says_so() -> None:
    assert prediction_text(a_prediction()) == "1,234 (1,170–1,298)"
    whole = a_prediction(max_batch=640, max_batch_low=640, max_batch_high=640)
    assert prediction_text(whole) == "≥ 640"
    assert prediction_text(None) == "–"

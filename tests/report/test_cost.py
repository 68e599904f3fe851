"""What an epoch costs, from predictions made by hand."""

import pytest

from bench.report.cost import cost_columns, cost_table
from tests.builders import a_prediction, a_speed

SPEEDS = (a_speed(1234, epoch_seconds=60.0), a_speed(32, epoch_seconds=600.0))
T4, L4 = (a_prediction(card=card, speeds=SPEEDS) for card in ("t4", "l4"))


def test_a_row_per_speed_with_ranges() -> None:
    table = cost_table([T4, L4, a_prediction(card="k80")], {"t4": 0.6})
    assert table.headers[4:] == (
        "Epoch (s, predicted)",
        "Money an epoch (predicted; price per hour as given)",
        "Energy an epoch (Wh, at most)",
    )
    rows = [[cell.text for cell in row] for row in table.rows]
    assert [row[2:4] for row in rows] == [
        *(["t4", "1,234"], ["t4", "32"]),
        *(["l4", "1,234"], ["l4", "32"]),
    ]
    assert rows[0][4:] == ["60 (40–90)", "0.01 (0.0067–0.015)", "1.8"]
    assert rows[2][5] == "–"


def test_without_prices_there_is_no_column_of_money() -> None:
    assert not any("Money" in header for header in cost_table([T4], {}).headers)


def test_columns_are_of_the_largest_batch_and_empty_where_nothing_is_known() -> None:
    columns = cost_columns(T4, {"t4": 0.6})
    assert columns["epoch_seconds"] == 60
    assert columns["epoch_money_high"] == pytest.approx(0.015)
    assert columns["epoch_joules_at_most"] == pytest.approx(70 * 90)
    assert set(cost_columns(a_prediction(), {}).values()) == {None}
    assert cost_columns(a_prediction(), {}).keys() == columns.keys()

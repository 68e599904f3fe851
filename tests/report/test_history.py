"""What is said of a history: sentences, tables, values, and a page in which text is text."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.compare.effects import Effect
from bench.analysis.history.changes import changes_of
from bench.analysis.history.news import news, reported
from bench.analysis.history.runs import Unusable, read_runs
from bench.analysis.history.series import moments_of, series_of
from bench.analysis.metrics import BY_NAME
from bench.errors import Refused
from bench.report.history import (
    History,
    amount,
    answer,
    as_json,
    changes_table,
    name_of,
    notes,
    reported_in,
    runs_table,
    series_table,
)
from bench.report.history_page import write_history
from tests.analysis.history.logs import a_day
from tests.report.render.test_html import EVIL, LOADING, Page

METRICS = [BY_NAME["epoch_seconds"], BY_NAME["final_test_accuracy"]]


def a_history(folder: Path, *factors: float, known: tuple[()] | None = ()) -> History:
    """A run a day; from the ninth on, if there are so many, on a machine twice as fast."""
    for day, factor in enumerate(factors, 1):
        fast = day > 8
        name = EVIL if fast else "Test CPU"
        a_day(folder, day, factor / (1 + fast), machine=1.0 + fast, device=name)
    return history_of(folder, known)


def history_of(folder: Path, known: tuple[()] | None = ()) -> History:
    runs, unusable = read_runs([folder], METRICS)
    moments = moments_of(runs, pooled=False)
    series = series_of(moments, METRICS)
    changes = changes_of(series)
    new = news(changes, moments, known)
    return History(
        tuple(moments), tuple(unusable), tuple(series), tuple(changes), tuple(new), known or ()
    )


SLOWER = (1, 1, 1, 1, 1.2, 1.2, 1.2, 1.2)


def test_a_regression_is_a_sentence(tmp_path: Path) -> None:
    history = a_history(tmp_path, *SLOWER)
    (said,) = history.regressions
    assert said.startswith("Epoch time of resnet18 rose by 20 % (")
    assert said.endswith(") between c00000000004 and c00000000005, confirmed with c00000000007.")
    assert answer(history) == [f"{said} New regression."]


def test_an_improvement_is_none(tmp_path: Path) -> None:
    history = a_history(tmp_path, *(1 / factor for factor in SLOWER))
    assert history.regressions == []
    (said,) = answer(history)
    assert said.startswith("Epoch time of resnet18 fell by 17 % (")
    assert said.endswith("New improvement.")


def test_what_is_known_or_not_there_is_said(tmp_path: Path) -> None:
    history = a_history(tmp_path, *SLOWER, known=None)
    assert history.regressions == []
    assert answer(history)[0].endswith("Regression, known before.")
    assert answer(a_history(tmp_path / "b", 1, 1)) == ["No lasting change beyond chance."]


@pytest.mark.parametrize(
    ("effect", "said"),
    [
        (Effect("ratio", "independent", 1, 1.06, 0.0583, 9, 9, 0.028), "6.0 % (3.1 to 9.0)"),
        (Effect("ratio", "independent", 1, 0.8, -0.2231, 9, 9, 0.1), "20 % (12 to 28)"),
        (Effect("ratio", "exact", 1, 2.0, 0.6931, 9, 9), "100 %"),
        (
            Effect("difference", "independent", 0.7, 0.68, -0.02, 9, 9, 0.01),
            "2.0 points (1.0 to 3.0)",
        ),
    ],
)
def test_by_how_much(effect: Effect, said: str) -> None:
    assert amount(effect) == said


def test_names() -> None:
    names = ("epoch_seconds", "step_milliseconds", "images_per_second", "final_test_accuracy")
    said = ["epoch time", "step time", "throughput", "test accuracy"]
    assert [name_of(BY_NAME[name]) for name in names] == said

    steps = [BY_NAME["step_milliseconds"], BY_NAME["step_p95_milliseconds"]]
    assert [name_of(step, steps) for step in steps] == ["step time", "step time (p95)"]


def test_metrics_of_one_name_keep_their_details(tmp_path: Path) -> None:
    history = a_history(tmp_path, 1, 1)
    metrics = [BY_NAME["final_test_accuracy"], BY_NAME["best_test_accuracy"]]
    runs, _ = read_runs([tmp_path], metrics)
    series = series_of(moments_of(runs, pooled=False), metrics)
    table = series_table(replace(history, series=tuple(series)), series)
    names = [row[1].text for row in table.rows]
    assert names == ["test accuracy (last epoch)", "test accuracy (best epoch)"]


def test_tables_have_both_ways(tmp_path: Path) -> None:
    history = a_history(tmp_path, *SLOWER, 1.2, 1.2)
    table = series_table(history, history.series)
    assert table.headers[-2:] == ("Newest, on the first's machine", "Changes")
    times, accuracy = ([cell.text for cell in row] for row in table.rows)
    assert times[:3] == ["resnet18", "epoch time", "10"]
    assert float(times[4].split()[0]) == pytest.approx(6, rel=0.01)
    assert float(times[5].split()[0]) == pytest.approx(12, rel=0.01)
    assert times[6] == "1"
    assert accuracy[5:] == ["–", "0"]
    (row,) = changes_table(history, history.changes).rows
    assert row[3].text == row[4].text
    assert float(row[3].text.split()[0]) == pytest.approx(1.2, rel=0.01)
    assert row[-1].text == "new regression"
    runs = runs_table(history).rows
    assert runs[8][3].text == f"device Test CPU (cpu) → {EVIL} (cpu)"
    assert len(runs) == 10


def test_few_runs_and_those_left_out_are_noted(tmp_path: Path) -> None:
    two = a_history(tmp_path, 1, 1)
    assert notes(two)[0].startswith("2 points: a change is told from chance by at least 3 before")
    left = History(two.moments, (Unusable("x", "it broke."),), two.series, (), ())
    assert notes(left)[1].startswith("1 run left out")
    assert runs_table(left).rows[-1][3].text == "left out: it broke."
    turns = a_history(tmp_path / "b", *[1] * 11)
    assert notes(turns) == []
    short = a_history(tmp_path / "c", *[1] * 5, *[1] * 2)
    assert short.series[0].tracks[0]
    assert notes(short) == []


def test_json_is_plain_and_remembers(tmp_path: Path) -> None:
    text = as_json(a_history(tmp_path, *SLOWER))
    values = json.loads(text)
    assert set(values) == {
        *("schema", "runs", "left_out", "series", "changes", "regressions", "reported"),
    }
    (change,) = values["changes"]
    assert (change["between"], change["kind"], change["new"]) == (
        ["c00000000004", "c00000000005"],
        "regression",
        True,
    )
    assert change["change_low"] < 1.2 < change["change_high"]
    point = values["series"][0]["points"][0]
    assert point["scaled"] == point["mean"]
    (known,) = reported_in(text, "history.json")
    assert (known.metric, known.up, len(known.runs)) == ("epoch_seconds", True, 3)


def test_what_was_reported_stays_so_although_its_runs_are_gone(tmp_path: Path) -> None:
    known = reported_in(as_json(a_history(tmp_path / "a", *SLOWER)), "x")
    later = history_of(a_day(tmp_path, 20))
    kept = History(later.moments, (), later.series, (), (), known)
    assert reported_in(as_json(kept), "x") == known


def test_a_new_change_close_to_a_known_one_is_remembered_too(tmp_path: Path) -> None:
    history = a_history(tmp_path, *SLOWER)
    (change,) = history.changes
    again = replace(change, confirmed=change.series.points[change.confirmed.at + 1])
    known, both = (reported(change, history.moments),), (change, again)
    assert news(both, history.moments, known) == [again]
    text = as_json(replace(history, changes=both, new=(again,), known=known))
    assert news(both, history.moments, reported_in(text, "x")) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 1}', '{"schema": 2}', '{"schema": 1, "reported": 3}']
)
def test_what_is_no_history_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=r"history\.json is"):
        reported_in(text, "history.json")


def test_the_page_stands_alone_and_text_is_text(tmp_path: Path) -> None:
    history = a_history(tmp_path / "runs", *SLOWER, 1.2, 1.2)
    left = History(
        history.moments, (Unusable(EVIL, EVIL),), history.series, history.changes, history.new
    )
    write_history(left, tmp_path / "out")
    page = Page((tmp_path / "out" / "history.html").read_text("utf-8"))
    assert page.open == []
    assert " ".join(EVIL.split()) in page.text
    assert len(page.all("script")) == 1
    assert "alert" not in page.scripts
    assert page.all("img") == []
    assert not [attributes for _, attributes in page.elements if LOADING & attributes.keys()]
    assert len(page.all("figure")) == 3
    written = {path.name for path in (tmp_path / "out" / "plots").iterdir()}
    assert written == {
        f"{name}.{kind}"
        for name in ("epoch_seconds", "epoch_seconds-scaled", "final_test_accuracy")
        for kind in ("png", "svg")
    }
    assert json.loads((tmp_path / "out" / "history.json").read_text("utf-8"))["left_out"]

"""What is said of two runs: the table, the answer, and the formats."""

import csv
import io
import json
from math import log
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.compare.effects import Effect
from bench.analysis.compare.pairwise import USUAL, Comparison, compare
from bench.analysis.compare.thresholds import parse_bound
from bench.analysis.formatting import against, change_text, in_sentence, p_text
from bench.analysis.metrics import BY_NAME
from bench.report.comparison import (
    answer,
    as_csv,
    as_json,
    as_markdown,
    broken,
    comparison_report,
    comparison_table,
)
from tests.analysis.compare.tables import Cells, a_side, trials

METRICS = [BY_NAME[name] for name in USUAL]
BASE = {
    "images_per_second": [100.0, 101.0, 99.5],
    "final_test_accuracy": [0.70, 0.71, 0.69],
    "peak_memory_bytes": [1e9, 1e9, 1e9],
}


@pytest.fixture
def compared(tmp_path: Path):
    """B's trials against the base."""

    def made(b: list[Cells], a: list[Cells] | None = None, **options: Any) -> Comparison:
        first = a_side(tmp_path, "a", a or trials(BASE))
        return compare(first, a_side(tmp_path, "b", b), METRICS, **options)

    return made


def changed(**columns: list[float]) -> list[Cells]:
    return trials(BASE | columns)


FASTER = {"images_per_second": [120.0, 121.0, 119.5]}
WORSE = {"final_test_accuracy": [0.60, 0.611, 0.59]}
UNSURE = {"final_test_accuracy": [0.75, 0.66, 0.72]}


def test_the_table_names_all_that_is_needed(compared) -> None:
    table = comparison_table(compared(changed(**FASTER)))
    assert table.headers == (
        "Model",
        "Metric",
        "A",
        "B",
        "B/A or B − A (95 %)",
        "Seeds",
        "p",
        "Verdict on B",
    )
    first = [cell.text for cell in table.rows[0]]
    assert first[:4] == ["resnet18", "images_per_second", "100 images/s", "120 images/s"]
    assert first[4].startswith("1.200 (1.1")
    assert first[5:] == ["3", "< 0.001", "faster"]
    assert [cell.best for cell in table.rows[0]] == [i == 3 for i in range(8)]
    assert [row[-1].text for row in table.rows[1:]] == ["equal", "equal", "equal"]


def test_columns_that_say_something_are_there(compared) -> None:
    b = trials(BASE, preset="smoke", batch_size=64, noise="load", calibration_gflops=55.0)
    a = trials(BASE, calibration_gflops=50.0)
    table = comparison_table(compared(b, a, across=["preset"]))
    assert table.headers[-4:] == ("Batch", "Machine", "Noisy", "Across")
    for row, machine in zip(table.rows, ["+10.0 %", "–", "–", "–"], strict=True):
        texts = [cell.text for cell in row[-4:]]
        assert texts == ["128 → 64", machine, "0, 3", "preset quick → smoke"]


@pytest.mark.parametrize(
    ("b", "said"),
    [
        (FASTER, "Use B ("),
        (FASTER, "resnet18's throughput is 1.200 times A's (1.1"),
        (FASTER, "The same: test accuracy of resnet18, peak memory of resnet18 and largest batch"),
        ({"images_per_second": [80.0, 81.0, 79.5]}, "Use A ("),
        (FASTER | WORSE, "It depends: for B, resnet18's throughput is"),
        (FASTER | WORSE, "; against it, resnet18's test accuracy is 10.0 points below A's"),
        (UNSURE, "Which to use cannot be told. Cannot"),
        (UNSURE, "Cannot be told: test accuracy of resnet18 ("),
        (FASTER | UNSURE, "), as far as can be told: "),
        ({}, "Use either: throughput of resnet18, test accuracy of resnet18, peak memory"),
        (FASTER, "corrected for 1 comparison."),
    ],
)
def test_the_answer(compared, b: dict[str, list[float]], said: str) -> None:
    assert said in " ".join(answer(compared(changed(**b))))


def test_many_lines_of_one_metric_are_a_range(compared) -> None:
    models = [f"m{i}" for i in range(3)]
    a = [row for model in models for row in trials(BASE, model=model)]
    b = [row for model in models for row in trials(BASE | FASTER, model=model)]
    assert "throughput is 1.200 to 1.200 against A's in 3 lines" in answer(compared(b, a))[0]


def test_models_that_do_not_agree_are_advised_one_by_one(compared) -> None:
    a = [*trials(BASE), *trials(BASE, model="b"), *trials(BASE, model="c")]
    b = [*trials(BASE | FASTER), *trials(BASE | WORSE, model="b"), *trials(BASE, model="c")]
    first, second, third, *_ = answer(compared(b, a))
    assert first.startswith("For resnet18, use B: throughput is 1.200 times")
    assert second.startswith("For b, use A: in B, test accuracy is 10.0 points below")
    assert third.startswith(
        "For c, use either: throughput, test accuracy, peak memory and largest batch are"
    )


def test_metrics_of_one_name_keep_their_details(tmp_path: Path) -> None:
    metrics = [BY_NAME["final_test_accuracy"], BY_NAME["best_test_accuracy"]]
    a = changed(best_test_accuracy=[0.72, 0.73, 0.71])
    b = changed(**WORSE, best_test_accuracy=[0.62, 0.631, 0.61])
    found = compare(a_side(tmp_path, "a", a), a_side(tmp_path, "b", b), metrics)
    said = answer(found)[0]
    assert "resnet18's test accuracy (last epoch) is 10.0 points below" in said
    assert "resnet18's test accuracy (best epoch) is 10.0 points below" in said


def test_what_is_crossed_is_in_every_line_and_in_the_answer(compared) -> None:
    b = trials(BASE | FASTER, device_name="New CPU")
    found = compared(b, across=["device"])
    crossed = "device Test CPU (cpu, 2 threads) → New CPU (cpu, 2 threads)"
    assert {line.across for line in found.lines} == {crossed}
    assert crossed in answer(found)[0]


def test_bounds_that_are_broken_are_named(compared) -> None:
    found = compared(changed(images_per_second=[80.0, 81.0, 79.5]))
    bounds = [parse_bound("images_per_second:-5%"), parse_bound("test_accuracy:-1pt")]
    (sentence,) = broken(found, bounds)
    assert sentence.startswith("--fail-on images_per_second:-5%: resnet18's throughput is 0.800 ")
    assert broken(found, [parse_bound("images_per_second:-25%")]) == []
    noisy = compared(changed(images_per_second=[60.0, 101.0, 79.5]))
    assert broken(noisy, bounds) == []


def test_csv_has_a_row_per_line_with_raw_values(compared) -> None:
    told = comparison_report(compared(changed(**FASTER)))
    rows = list(csv.DictReader(io.StringIO(as_csv(told))))
    assert len(rows) == 4
    speed = rows[0]
    assert speed["metric"] == "images_per_second"
    assert float(speed["change"]) == pytest.approx(1.2, abs=0.01)
    assert float(speed["change_low"]) < 1.2 < float(speed["change_high"])
    assert (speed["verdict"], speed["better"], speed["design"]) == ("faster", "b", "independent")
    assert rows[3]["p"] == ""


def test_json_is_one_document_of_plain_numbers(compared) -> None:
    told = comparison_report(compared(changed(**FASTER)))
    document = json.loads(as_json(told, {"broken": ["so"]}))
    assert set(document) == {"a", "b", "answer", "notes", "lines", "broken"}
    assert document["a"].endswith("a.csv")
    assert document["lines"][3]["p"] is None
    assert document["lines"][0]["seeds_a"] == 3


def test_markdown_keeps_outside_text_outside(compared) -> None:
    evil = "<script>|`x`"
    text = as_markdown(
        comparison_report(compared(trials(BASE, model=evil), trials(BASE, model=evil)))
    )
    assert "<script>" not in text
    assert text.startswith("# A against B\n")
    assert "Use either" in text


def ratio(a: float, b: float, room: float | None) -> Effect:
    return Effect("ratio", "paired", a, b, log(b / a), 3, 3, room, 0.1)


@pytest.mark.parametrize(
    ("found", "text", "words"),
    [
        (ratio(1, 2, None), "2.000", "2.000 times A's"),
        (ratio(1, 2, 0.1), "2.000 (1.810–2.210)", "2.000 times A's (1.810–2.210)"),
        (ratio(1, 1, None), "1.000", "equal to A's"),
        (ratio(1, 1, 20), "1.000 (0.000–4.9e+08)", "equal to A's"),
        (
            Effect("difference", "paired", 0.5, 0.52, 0.02, 3, 3, 0.01, 0.1),
            "+2.0 pt (+1.0 to +3.0)",
            "2.0 points above A's (± 1.0)",
        ),
        (
            Effect("difference", "too few", 0.5, 0.48, -0.02, 1, 1),
            "-2.0 pt",
            "2.0 points below A's",
        ),
    ],
)
def test_changes_as_text(found: Effect, text: str, words: str) -> None:
    assert change_text(found) == text
    assert against(found, "A's") == words


def test_names_and_probabilities() -> None:
    assert in_sentence(BY_NAME["final_test_accuracy"]) == "test accuracy"
    assert in_sentence(BY_NAME["gmacs"]) == "GMACs per image"
    assert [p_text(p) for p in (None, 0.0001, 0.0456)] == ["–", "< 0.001", "0.046"]

"""The project's references are whole, and rows made from runs are read as what was measured."""

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.analysis import references
from bench.analysis.compare.side import read_side
from bench.analysis.expected import expected
from bench.analysis.references import COLUMNS, Reference, known_references, read_references
from bench.errors import Refused
from bench.recipes import RECIPES
from models import REGISTRY
from tests.analysis.compare.tables import trials, write_table
from tests.benchmarks.reference_intervals import main, row_of
from tests.builders import a_run

SHIPPED = Path(references.__file__).with_suffix(".csv")
MACHINE: dict[str, Any] = {"packages": {"torch": "2.14.1"}}


def test_the_projects_own_are_whole() -> None:
    header = next(csv.reader(io.StringIO(SHIPPED.read_text("utf-8"))))
    assert tuple(header) == COLUMNS
    known = known_references()
    assert len({(one.conditions, one.settings, one.device) for one in known}) == len(known)
    for one in known:
        recipe, model, sha256, *counts = one.conditions
        assert recipe in RECIPES
        REGISTRY.get(model)
        assert len(bytes.fromhex(sha256)) == 32
        assert all(int(count) > 0 for count in (*counts, one.train_images, one.test_images))
        assert 0 < one.mean < 1
        assert (one.seeds > 1) == (one.deviation is not None)
        assert "" not in (one.data, one.device, one.torch, one.date, *one.settings)


@pytest.fixture
def read_back(tmp_path: Path) -> Callable[..., tuple[Reference, ...]]:
    def read(*rows: dict[str, str]) -> tuple[Reference, ...]:
        with (tmp_path / "references.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        return read_references(tmp_path / "references.csv")

    return read


def test_a_table_of_an_older_run_gives_a_row(tmp_path: Path, read_back: Callable[..., Any]) -> None:
    accuracies = trials({"final_test_accuracy": [0.70, 0.72, 0.74]})
    table = write_table(tmp_path / "models.csv", accuracies)
    (group,) = read_side(table).groups
    (known,) = read_back(row_of(group, "photographs", MACHINE, "2026-01-02"))
    assert known.conditions == ("constant", "resnet18", "ab" * 32, "32", "10", "128")
    assert (known.seeds, known.mean, known.deviation) == (3, pytest.approx(0.72), 0.02)
    assert (known.train_images, known.test_images) == (50_000, 10_000)
    assert (known.device, known.torch) == ("Test CPU, 2 threads", "2.14.1")
    (same,) = expected([group], [known])
    assert (same.missed, same.differences) == (False, ())
    with pytest.raises(Refused, match="give --date YYYY-MM-DD"):
        row_of(group, "photographs", MACHINE, "")


def test_a_log_gives_a_row_like_its_table(tmp_path: Path, read_back: Callable[..., Any]) -> None:
    run = a_run(tmp_path / "run", seeds=2, models=["resnet18"])
    run.models.to_csv(tmp_path / "models.csv", index=False)
    sides = (read_side(path) for path in (run.path, tmp_path / "models.csv"))
    logged, table = (row_of(side.groups[0], "x", MACHINE, "2026-01-02") for side in sides)
    assert logged == table
    (known,) = read_back(logged)
    assert known.date == "2026-01-02"


def test_one_seed_has_no_deviation(tmp_path: Path, read_back: Callable[..., Any]) -> None:
    (group,) = read_side(a_run(tmp_path / "run", models=["resnet18"]).path).groups
    (known,) = read_back(row_of(group, "x", MACHINE, ""))
    assert (known.seeds, known.deviation) == (1, None)
    assert expected([group], [known]) == []


def test_the_command_prints_the_rows_of_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path / "run", seeds=2).path
    monkeypatch.setattr(sys, "argv", ["reference_intervals.py", str(run), "--data", "shapes, 10"])
    assert main() == 2
    assert "environment.json" in capsys.readouterr().err
    (run / "environment.json").write_text(json.dumps(MACHINE))
    assert main() == 0
    made = csv.DictReader(io.StringIO(capsys.readouterr().out), COLUMNS, strict=True)
    assert [(row["model"], row["data"], row["date"]) for row in made] == [
        ("resnet18", "shapes, 10", "2026-01-02"),
        ("googlenet", "shapes, 10", "2026-01-02"),
    ]

"""The README keeps its promises: commands, columns, files, defaults."""

import re
from pathlib import Path

import pytest

from bench.analysis.metrics import METRICS
from bench.analysis.tables import EPOCH_COLUMNS, PREDICTION_COLUMNS, PROBE_COLUMNS, SWEEP_COLUMNS
from bench.config import DEFAULT_MEMORY_BUDGET, PRESETS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_has_the_two_commands_of_a_fresh_machine():
    assert "\npip install -e . && python run_bench.py --models resnet18 googlenet\n" in README
    assert '\npip install -e ".[test]" && pytest\n' in README


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_it_lists_every_column_of_models_csv_with_its_unit(metric):
    assert f"| `{metric.name}` | {metric.unit or '–'} | {metric.label} |" in README


@pytest.mark.parametrize(
    "column", [*EPOCH_COLUMNS, *PROBE_COLUMNS, *PREDICTION_COLUMNS, *SWEEP_COLUMNS]
)
def test_it_lists_the_columns_of_the_other_tables(column):
    assert f"`{column}`" in README


def test_every_file_it_links_to_is_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_it_states_the_presets_and_the_budget_as_they_are():
    budget = DEFAULT_MEMORY_BUDGET.replace("MiB", " MiB")
    assert f"{budget} by default" in README
    for preset in PRESETS:
        assert f"`{preset}`" in README

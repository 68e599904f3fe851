"""The example notebook runs from top to bottom, and is stored without outputs."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "compare.ipynb"
FEW_IMAGES = """
from bench.config import PRESETS
from bench.report.style import FORMATS

del FORMATS["png"]
PRESETS["smoke"].update(train_limit=64, test_limit=32)
MODELS = ("resnet18", "lenet")
"""
"""Runs before the cell that trains. The page has its pictures as SVG; PNGs take as long again."""


def test_it_is_stored_without_outputs():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"]] == []


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_runs_and_shows_its_results(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("ARCHBENCH_PRESET", "smoke")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = next(n for n, cell in enumerate(notebook.cells) if cell["id"] == "run")
    notebook.cells.insert(place, nbformat.v4.new_code_cell(FEW_IMAGES))
    folder = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=200, resources=folder).execute()
    outputs = {cell["id"]: cell.get("outputs", []) for cell in notebook.cells}

    line, *_, table = (o["data"] for o in outputs["run"] if o["output_type"] != "stream")
    assert line["text/plain"].startswith("2 of 2 trials done in ")
    assert "<th>resnet18</th>" in table["text/html"]
    pictures = [o for o in outputs["run"] if "image/png" in o.get("data", {})]
    assert len(pictures) == 1
    assert all("image/png" in outputs[name][0]["data"] for name in ("accuracy", "memory"))
    assert "<iframe" in outputs["report"][0]["data"]["text/html"]
    assert (tmp_path / "results" / "smoke" / "report.html").is_file()
    started = (tmp_path / "results" / "smoke" / "events.jsonl").read_text("utf-8")
    assert '"command":"(started in a notebook)"' in started.partition("\n")[0]

"""A run folder of every schema there was can be read, as the figures it was written with."""

from pathlib import Path

import pytest

from bench import load_run
from bench.records.records import SCHEMA
from bench.records.run_folder import LOG
from tests.report.undrawn import markdown_of

GOLDEN = Path(__file__).parent / "golden"


def test_there_is_one_of_every_schema() -> None:
    names = {f"schema-{number}" for number in range(1, SCHEMA + 1)}
    assert {path.name for path in GOLDEN.iterdir()} == names


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_it_is_read(schema: int, tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes((GOLDEN / f"schema-{schema}" / LOG).read_bytes())
    run = load_run(tmp_path)
    assert run.started.schema == schema
    assert [t.status for t in run.trials] == ["done", "done"]
    assert [len(t.epochs) for t in run.trials] == [3, 3]
    assert run.epochs.train_seconds.tolist() == [15.0, 10.0, 10.0, 25.0, 20.0, 20.0]
    assert "resnet18" in markdown_of(run)

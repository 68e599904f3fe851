"""What kept logits add to the tables, and that older runs have the tables that they had."""

from dataclasses import replace

import numpy as np
import pytest

from bench.analysis.classified import classified, left_out
from bench.analysis.tables import CLASS_COLUMNS, RunTables
from bench.records.records import DatasetFacts, Epoch
from bench.records.run import collect
from tests.answers import CLASSES, answering_records
from tests.builders import tables_of

COLUMNS = ["ece", "worst_class", "worst_class_accuracy"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunTables:
    folder = tmp_path_factory.mktemp("run")
    return tables_of(folder, answering_records(folder, {"a": 2.0, "b": 1.0}, seeds=2, images=400))


def test_models_csv(run: RunTables) -> None:
    models = run.models
    assert set(models.worst_class) == {"cat"}
    worst = run.classes.groupby(["model", "seed"], sort=False).accuracy.min()
    assert models.worst_class_accuracy.tolist() == worst.tolist()
    assert models.ece.between(0.01, 0.5).all()


def test_classes_csv(run: RunTables) -> None:
    classes = run.classes
    assert tuple(classes.columns[: len(CLASS_COLUMNS)]) == CLASS_COLUMNS
    assert classes["class"].tolist() == [*CLASSES] * 4
    assert set(classes.images) == {40}
    sums = classes.groupby(["model", "seed"], sort=False)[["right", "answered"]].sum()
    assert np.allclose(sums.right / 400, run.models.final_test_accuracy)
    assert set(sums.answered) == {400}
    assert (classes.accuracy_low <= classes.accuracy).all()
    assert (classes.accuracy <= classes.accuracy_high).all()
    assert set(classes[classes["class"] == "cat"].confused_with) == {"dog"}


def test_a_run_without_logits_has_the_tables_that_it_had(run: RunTables) -> None:
    records = answering_records(run.path, {"a": 2.0}, images=400)
    older = [replace(r, logits=None) if isinstance(r, Epoch) else r for r in records]
    tables = tables_of(run.path, older)
    assert not set(COLUMNS) & set(tables.models.columns)
    assert tables.classes.empty
    with_logits = run.models.columns.tolist()
    assert with_logits == [*tables.models.columns, *COLUMNS]
    assert run.epochs.columns.tolist() == tables.epochs.columns.tolist()


def test_logits_of_other_classes_than_the_runs_are_left_out(run: RunTables) -> None:
    records = answering_records(run.path, {"a": 2.0}, images=400)
    fewer = [
        replace(r, classes=r.classes[:9]) if isinstance(r, DatasetFacts) else r for r in records
    ]
    (trial,) = collect(run.path, fewer).trials
    assert classified(trial) is None
    assert list(left_out(trial.run).values()) == ["of another number of classes"]

"""A few hundred real photographs, where the environment variable ARCHBENCH_IMAGES names a folder of
them: CIFAR-10 unpacked as train/CLASS/* and test/CLASS/*."""

import os
from pathlib import Path

import pytest

from bench import Config, run

IMAGES = os.environ.get("ARCHBENCH_IMAGES", "")

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(not IMAGES, reason="ARCHBENCH_IMAGES names no folder of real images"),
]


def test_learns_from_photographs(tmp_path: Path) -> None:
    config = Config(
        models=("resnet18",),
        preset="smoke",
        device="cpu",
        dataset="folder",
        data_dir=Path(IMAGES),
        train_limit=400,
        test_limit=100,
        epochs=5,
        batch_size=(32,),
        max_batch=False,
        card=(),
        inspect=False,
        output=tmp_path / "run",
    )
    result = run(config)
    last = result.epochs.iloc[-1]
    assert len(result.epochs) == 5
    assert last.train_accuracy > 0.3
    assert last.train_loss < result.epochs.iloc[0].train_loss
    assert result.dataset.train_images == 400
    assert {path.name for path in (tmp_path / "run").glob("*.csv")} >= {
        "models.csv",
        "epochs.csv",
        "probes.csv",
        "layers.csv",
    }


def test_airbench94_learns_in_a_few_updates(tmp_path: Path) -> None:
    config = Config(
        models=("airbench94",),
        recipe="airbench94",
        preset="smoke",
        device="cpu",
        dataset="folder",
        data_dir=Path(IMAGES),
        train_limit=320,
        test_limit=100,
        epochs=3,
        batch_size=32,
        inspect=False,
        max_batch=False,
        card=(),
        output=tmp_path / "run",
    )
    [row] = run(config).models.to_dict("records")
    assert row["final_test_accuracy"] > 0.2
    assert row["tta_test_accuracy"] > 0.2

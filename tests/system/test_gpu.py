"""One small run on a real card."""

from pathlib import Path

import pytest
import torch

from bench import Config, run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card here"),
]


def test_a_smoke_run_on_the_card(tmp_path: Path) -> None:
    config = Config(
        models=("resnet18", "googlenet"),
        preset="smoke",
        device="cuda",
        dataset="shapes10",
        batch_size=("auto",),
        output=tmp_path / "run",
    )
    result = run(config)
    epochs = result.epochs
    assert result.device.kind == "cuda"
    assert list(epochs.model.value_counts()) == [2, 2]
    assert (epochs.images_per_second > 0).all()
    assert (epochs.peak_memory_bytes > 11_000_000 * 4).all()
    assert (epochs.train_loss > 0).all()
    assert result.probes.fits.any()

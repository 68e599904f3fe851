"""A sample of batch sizes that were measured on a real card: predictions lie in their brackets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("timm", reason="timm is not installed")
ROOT = Path(__file__).parents[2]

CODE = """
import sys
sys.path[:0] = [{root!r}, {root!r} + "/tests/benchmarks"]
import predicted_batches as benchmark

wanted = {models!r}
for bracket in benchmark.read_brackets():
    if bracket.model in wanted and bracket.fails is not None:
        found = benchmark.needs(bracket)
        usable = 21.9 * 2**30
        print(bracket.model, bracket.layout, found.satisfied(usable), found.error)
"""
MODELS = ("densenet121", "resnet50d", "vgg19", "vit_base_patch32_384")


@pytest.mark.slow
def test_predictions_lie_in_measured_brackets() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(root=str(ROOT), models=MODELS)],
        env=os.environ | {"TIMM_FUSED_ATTN": "0", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) >= 6, done.stderr
    assert [row for row in rows if row[2:] != ["True"]] == []

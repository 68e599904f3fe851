"""A sample of batch sizes that were measured on a real card: predictions lie in their brackets."""

import os
from importlib.util import find_spec

import pytest

from tests.benchmarks import predicted_batches as benchmark
from tests.forked import in_a_fork

MODELS = ("densenet121", "resnet50d", "vgg19", "vit_base_patch32_384")

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="a simulation needs a forked child"),
]


def predicted() -> list[tuple[str, bool, str]]:
    """Of every measured model and layout: whether it is in its bracket, and what went wrong."""
    from timm.layers import set_fused_attn

    set_fused_attn(False)
    brackets = [b for b in benchmark.read_brackets() if b.model in MODELS and b.fails is not None]
    found = [(b, benchmark.needs(b)) for b in brackets]
    return [(f"{b.model} {b.layout}", n.satisfied(21.9 * 2**30), n.error) for b, n in found]


def test_predictions_lie_in_measured_brackets() -> None:
    rows = in_a_fork(predicted)
    assert len(rows) >= 6
    assert [row for row in rows if row[1:] != [True, ""]] == []

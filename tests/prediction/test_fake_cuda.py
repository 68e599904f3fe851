"""What stands in for torch's own rules returns what torch derives, in a fraction of the time."""

from typing import Any

import pytest
import torch

from bench.prediction.fake_cuda import SHAPE_RULES
from bench.prediction.torch_private import FakeTensorMode

ATEN = torch.ops.aten
FORWARD, BACKWARD = ATEN.native_batch_norm.default, ATEN.native_batch_norm_backward.default


def seen(tensors: Any) -> list[Any]:
    return [t if t is None else (t.shape, t.stride(), t.dtype, t.device) for t in tensors]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_returns_what_torch_derives(
    training: bool, layout: torch.memory_format, dtype: torch.dtype, device: str
) -> None:
    with FakeTensorMode():
        images = torch.empty(3, 8, 4, 4, dtype=dtype, device=device).to(memory_format=layout)
        weight, bias, mean, variance = (torch.empty(8, device=device) for _ in range(4))
        given = (images, weight, bias, mean, variance, training, 0.1, 1e-5)
        _, *saved = derived = FORWARD(*given)
        assert seen(SHAPE_RULES[FORWARD](*given)) == seen(derived)
        for wanted in ([True, True, True], [True, False, True], [True, True, False]):
            grad = torch.empty(3, 8, 4, 4, dtype=dtype, device=device)
            given = (grad, images, weight, mean, variance, *saved, training, 1e-5, wanted)
            assert seen(SHAPE_RULES[BACKWARD](*given)) == seen(BACKWARD(*given))

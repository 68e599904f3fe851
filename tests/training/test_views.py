import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.training.views import SixViews


def test_the_views_and_their_weights_are_those_of_the_source() -> None:
    """`infer_mirror_translate` of `legacy/airbench94.py`:
    https://github.com/KellerJordan/cifar10-airbench."""
    torch.manual_seed(0)
    images, network = torch.randn(3, 3, 8, 8), nn.Sequential(nn.Flatten(), nn.Linear(192, 2))

    def mirrored(some: Tensor) -> Tensor:
        return 0.5 * network(some) + 0.5 * network(some.flip(-1))

    around = functional.pad(images, (1,) * 4, "reflect")
    shifted = [mirrored(around[:, :, k : k + 8, k : k + 8]) for k in (0, 2)]
    wanted = 0.5 * mirrored(images) + 0.5 * torch.stack(shifted).mean(0)
    assert torch.allclose(SixViews(network)(images), wanted, atol=1e-6)


def test_the_mode_is_that_of_the_network() -> None:
    network = nn.Sequential(nn.Dropout(), nn.Flatten())
    SixViews(network).eval()
    assert not network[0].training

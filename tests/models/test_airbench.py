"""airbench94's network, compared with figures counted by hand from its source."""

import pytest
import torch
from torch import nn

from bench.errors import Refused
from models import REGISTRY
from models.building.airbench import WHITENING_EPS, Airbench
from models.building.summary import describe
from models.zoo import resolve

WHITENING = 24 * 12 + 24
CONVOLUTIONS = 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
NORMS = 2 * (2 * 64 + 4 * 256)
HEAD = 256 * 10
MACS = (
    31**2 * (24 * 12 + 9 * 24 * 64)
    + 15**2 * 9 * (64 * 64 + 64 * 256)
    + 7**2 * 9 * 2 * 256 * 256
    + 3**2 * 9 * 256 * 256
    + HEAD
)
FACTS = REGISTRY.get("airbench94").facts


def test_parameters_and_operations_are_those_of_the_original() -> None:
    counted = describe(REGISTRY.get("airbench94"), 10, 32)
    assert counted.params == WHITENING + CONVOLUTIONS + NORMS + HEAD == 1_972_792
    assert counted.gmacs == pytest.approx(MACS / 1e9)
    flops = 9.9 * 48 * 1024 * 3 * 2e9 * counted.gmacs
    assert flops == pytest.approx(3.6e14, rel=0.05)  # what the source says of a training


def test_whitening_and_scales_do_not_train() -> None:
    frozen = sum(p.numel() for p in Airbench(10).parameters() if not p.requires_grad)
    assert frozen == 24 * 12 + NORMS // 2


def test_the_first_outputs_of_a_convolution_begin_as_its_inputs() -> None:
    images = torch.randn(2, 64, 7, 7)
    for layer in (part for part in Airbench(10).body.modules() if isinstance(part, nn.Conv2d)):
        inputs = images.repeat(1, 4, 1, 1)[:, : layer.in_channels]
        assert torch.allclose(layer(inputs)[:, : layer.in_channels], inputs, atol=1e-6)


def test_whitened_patches_have_identity_covariance() -> None:
    torch.manual_seed(0)
    # Neighbouring pixels and channels are alike, as in real images.
    images = torch.nn.functional.avg_pool2d(torch.randn(64, 3, 34, 34), 3, 1) * 4
    images[:, 1:] += images[:, :1]
    network = Airbench(10)
    network.initialise_from(images.split(20))
    outputs = network.whiten(images).detach().permute(1, 0, 2, 3).reshape(24, -1).double()
    moments = outputs @ outputs.T / outputs.shape[1]
    shares = moments.diag()[:12]  # value / (value + eps): all but 1
    assert torch.allclose(moments[:12, :12], torch.diag(shares), atol=1e-3)
    assert (1 - shares < WHITENING_EPS / 0.01).all()
    assert torch.equal(outputs[:12], -outputs[12:])
    assert not network.whiten.weight.requires_grad


def test_whitening_is_that_of_the_source() -> None:
    """`legacy/airbench94.py` in https://github.com/KellerJordan/cifar10-airbench, in its order."""
    images = torch.randn(30, 3, 32, 32, generator=torch.Generator().manual_seed(0)).cumsum(3) / 9
    patches = images.unfold(2, 2, 1).unfold(3, 2, 1).transpose(1, 3).reshape(-1, 12)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches), UPLO="U")
    wanted = vectors.T.flip(0) / (values.flip(0)[:, None] + 5e-4).sqrt()
    network = Airbench(10)
    network.initialise_from([images])
    found = network.whiten.weight.view(24, 12)[:12]
    signs = (found * wanted).sum(1, keepdim=True).sign()  # an eigenvector has none
    assert torch.allclose(found, signs * wanted, rtol=1e-2, atol=1e-2)


def test_sizes_that_it_cannot_take() -> None:
    for size in (25, 32, 48):
        assert Airbench(10)(torch.zeros(2, 3, FACTS.pixels(size), size)).shape == (2, 10)
    with pytest.raises(RuntimeError):
        Airbench(10)(torch.zeros(2, 3, 49, 49))
    with pytest.raises(
        Refused, match=r"^--image-size 224 is too large for airbench94, which takes"
    ):
        FACTS.pixels(224)
    assert (FACTS.nearest_pixels(224), FACTS.nearest_pixels(8)) == (48, 25)


def test_no_published_weights() -> None:
    with pytest.raises(Refused, match=r"no ImageNet weights for airbench94; leave it out\.$"):
        resolve("airbench94")[0].facts.check_pretrained()

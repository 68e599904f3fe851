import functools
import os
import subprocess
import sys
import urllib.error
from collections import namedtuple
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import WeightsEnum

import models.building.torchvision_models as builders
from bench.errors import Refused, TrialFailed
from bench.prediction.simulate import building
from bench.records.records import ModelDescribed
from models import REGISTRY
from models.building.heads import replace_heads
from models.building.network import Network, build_network
from models.building.summary import describe
from models.zoo import resolve

ROOT = Path(__file__).parents[2]
NAMES = tuple(REGISTRY)
PUBLISHED = {
    "resnet18": (11_689_512, 1.814),
    "resnet34": (21_797_672, 3.664),
    "resnet50": (25_557_032, 4.089),
    "resnet101": (44_549_160, 7.801),
    "resnet152": (60_192_808, 11.514),
    "googlenet": (13_004_888, 1.498),
    "googlenet:noaux": (6_624_904, 1.498),
    "inception_v3": (27_161_264, 5.713),
    "inception_v3:noaux": (23_834_568, 5.713),
    "densenet121": (7_978_856, 2.834),
    "densenet161": (28_681_000, 7.728),
    "densenet169": (14_149_480, 3.36),
    "densenet201": (20_013_928, 4.291),
    "alexnet": (61_100_840, 0.714),
    "vgg16": (138_357_544, 15.47),
    "alexnet:1000": (61_100_840, 0.714),
    "vgg16:1000": (138_357_544, 15.47),
}
STEMS = {
    "resnet18:cifar": (11_173_962, 0, 0.555),  # as kuangliu/pytorch-cifar has it
    "resnet34:cifar": (21_282_122, 0, 1.159),
    "resnet50:cifar": (23_520_842, 0, 1.298),
    "resnet101:cifar": (42_512_970, 0, 2.510),
    "resnet152:cifar": (58_156_618, 0, 3.722),
    "densenet121:cifar": (6_956_298 + 128, 0, 0.888),  # and a normalisation after the convolution
    "densenet161:cifar": (26_482_570, 0, 2.468),
    "densenet169:cifar": (12_493_450, 0, 1.060),
    "densenet201:cifar": (18_104_458, 0, 1.364),
    "googlenet:cifar": (9_841_470, 4_350_484, 1.337),
    "googlenet:cifar:noaux": (5_490_986, 0, 1.337),
}
"""With ten classes and the stem for small images: parameters, those in heads, GMACs at 32 px."""

TEN_CLASSES = {
    "resnet18": (11_181_642, 0),
    "googlenet": (9_960_638, 4_350_484),
    "googlenet:noaux": (5_610_154, 0),
    "inception_v3": (24_371_444, 2_565_386),
    "inception_v3:noaux": (21_806_058, 0),
    "densenet121": (6_964_106, 0),
    "lenet": (62_006, 0),
    "alexnet:1000": (61_100_840, 0),
}

DEEP = {"resnet101", "resnet152", "densenet161", "densenet169", "densenet201"}


def quick_first(names: Iterable[str]) -> list[Any]:
    """Names as parameters; those of deep networks, whose layers are those of others, take long."""
    return [
        pytest.param(name, marks=[pytest.mark.thorough] * (name.removesuffix(":cifar") in DEEP))
        for name in names
    ]


@functools.cache
def described(name: str) -> ModelDescribed:
    """An entry counted for ten classes at its native size."""
    entry = REGISTRY.get(name)
    return describe(entry, 10, entry.facts.native_size)


def on_meta(name: str, size: int) -> Tensor:
    """Logits of a training forward pass of two images on the meta device."""
    with torch.device("meta"), torch.no_grad():
        network = build_network(REGISTRY.get(name), 10)
        images, labels = torch.empty(2, 3, size, size), torch.zeros(2, dtype=torch.int64)
        return network.losses(images, labels).logits


def test_every_entry_is_checked_here() -> None:
    # airbench94 has tests of its own.
    assert set(NAMES) == PUBLISHED.keys() | STEMS.keys() | {"lenet", "airbench94"}


@pytest.mark.parametrize("name", quick_first(PUBLISHED))
def test_parameters_as_it_comes(name: str) -> None:
    stated = REGISTRY.get(name).facts.params_imagenet
    assert described(name).params_imagenet == PUBLISHED[name][0]
    assert stated == (None if name.endswith((":noaux", ":1000")) else PUBLISHED[name][0])


@pytest.mark.parametrize("name", quick_first(PUBLISHED))
def test_gmacs_are_the_published_ones(name: str) -> None:
    assert described(name).gmacs_native == pytest.approx(PUBLISHED[name][1], rel=0.01)
    assert REGISTRY.get(name).facts.gmacs == PUBLISHED[name][1]


@pytest.mark.slow
@pytest.mark.parametrize("name", quick_first(STEMS))
def test_a_stem_for_small_images(name: str) -> None:
    counted, (params, aux, gmacs) = described(name), STEMS[name]
    original = described(name.replace(":cifar", ""))
    first, *_ = counted.layers
    assert (first.output_shape[1:], first.params) == ((32, 32), 27 * first.output_shape[0])
    assert counted.params == params
    assert counted.params_aux == aux == original.params_aux
    assert counted.gmacs == pytest.approx(gmacs, rel=1e-3)
    facts = REGISTRY.get(name).facts
    assert (facts.native_size, facts.params_imagenet, facts.gmacs) == (32, None, None)
    with pytest.raises(Refused, match=f"no ImageNet weights for {name}; leave it out, or train"):
        facts.check_pretrained()


def test_a_variant_that_a_model_does_not_have() -> None:
    with pytest.raises(Refused, match="resnet18 has no variant 'cifr': there is resnet18:cifar"):
        resolve("resnet18:cifr")
    with pytest.raises(Refused, match="inception_v3 has no variant 'cifar': there is "):
        resolve("inception_v3:cifar")


@pytest.mark.parametrize("name", TEN_CLASSES)
def test_parameters_with_ten_classes(name: str) -> None:
    assert (described(name).params, described(name).params_aux) == TEN_CLASSES[name]


@pytest.mark.parametrize("name", quick_first(NAMES))
def test_smallest_size_can_be_trained_on(name: str) -> None:
    outputs = 1000 if name.endswith(":1000") else 10
    assert on_meta(name, REGISTRY.get(name).facts.smallest_size).shape == (2, outputs)


@pytest.mark.parametrize("name", [n for n in NAMES if REGISTRY.get(n).facts.smallest_size > 1])
def test_one_pixel_less_cannot(name: str) -> None:
    """On the CPU: on the meta device torch 2.6 convolves images smaller than the kernel."""
    size = REGISTRY.get(name).facts.smallest_size - 1
    with building():
        network = build_network(REGISTRY.get(name), 10)
    with pytest.raises((RuntimeError, ValueError)), torch.no_grad():
        network.losses(torch.zeros(2, 3, size, size), torch.zeros(2, dtype=torch.int64))


def test_two_auxiliary_losses_count_three_tenths_each() -> None:
    Outputs = namedtuple("Outputs", "logits aux_logits2 aux_logits1")
    images, labels = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])
    main, second, first = torch.rand(3, 4, 3)

    class Stub(nn.Module):
        def forward(self, images: Tensor) -> Any:
            return Outputs(main, second, first)

    losses = Network(Stub(), REGISTRY.get("googlenet").facts.aux_weights).losses(images, labels)
    l0, l1, l2 = (functional.cross_entropy(x, labels).item() for x in (main, first, second))
    assert losses.main.item() == pytest.approx(l0)
    assert {name: loss.item() for name, loss in losses.aux.items()} == pytest.approx(
        {"aux_logits1": l1, "aux_logits2": l2}
    )
    assert losses.total.item() == pytest.approx(l0 + 0.3 * l1 + 0.3 * l2)
    assert losses.logits is main


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("googlenet", {"aux_logits1": 0.3, "aux_logits2": 0.3}),
        ("googlenet:noaux", {}),
        ("inception_v3", {"aux_logits": 0.4}),
        ("inception_v3:noaux", {}),
        ("resnet18", {}),
    ],
)
def test_auxiliary_heads_and_weights(name: str, weights: dict[str, float]) -> None:
    entry = REGISTRY.get(name)
    assert entry.facts.aux_weights == weights
    with torch.device("meta"):
        size, labels = entry.facts.smallest_size, torch.zeros(2, dtype=torch.int64)
        losses = build_network(entry, 10).losses(torch.empty(2, 3, size + 31, size + 31), labels)
    assert set(losses.aux) == set(weights)


def test_googlenets_first_head_is_the_one_after_inception_4a() -> None:
    with torch.device("meta"):
        network = build_network(REGISTRY.get("googlenet"), 10)
        heads: dict[str, Any] = {}
        for name in ("aux1", "aux2"):
            part = network.module.get_submodule(name)
            part.register_forward_hook(lambda _m, _i, out, name=name: heads.update({name: out}))
        output = network.module(torch.empty(2, 3, 64, 64))
    assert output.aux_logits1 is heads["aux1"]
    assert output.aux_logits2 is heads["aux2"]


def test_inference_has_no_auxiliary_heads() -> None:
    network = build_network(REGISTRY.get("googlenet"), 10).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
        assert network.losses(torch.zeros(1, 3, 32, 32), torch.tensor([3])).aux == {}


class TestReplaceHeads:
    def test_every_last_layer(self) -> None:
        heads = (nn.Linear(7, 1000, bias=False), nn.Conv2d(2, 1000, 3))
        module = nn.Sequential(nn.Linear(4, 7), *heads)
        changed = replace_heads(module, 5)
        assert changed is module
        assert [tuple(p.shape) for p in module.parameters()] == [
            (7, 4),
            (7,),
            (5, 7),
            (5, 2, 3, 3),
            (5,),
        ]

    def test_a_thousand_classes_change_nothing(self) -> None:
        module = nn.Sequential(nn.Linear(4, 1000))
        layer = module[0]
        assert replace_heads(module, 1000)[0] is layer  # type: ignore[index]

    def test_nothing_to_replace(self) -> None:
        with pytest.raises(ValueError, match="no layer with 1,000 outputs"):
            replace_heads(nn.Linear(4, 999), 10)


class TestZoo:
    def test_an_alias_is_the_registered_entry(self) -> None:
        assert resolve("torchvision:resnet18") == [REGISTRY.get("resnet18")]

    def test_a_registered_wildcard(self) -> None:
        names = [entry.facts.name for entry in resolve("resnet*")]
        assert names == ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]

    def test_a_torchvision_wildcard(self) -> None:
        found = {entry.facts.name: entry.facts for entry in resolve("torchvision:mnasnet*")}
        assert set(found) == {f"torchvision:mnasnet{w}" for w in ("0_5", "0_75", "1_0", "1_3")}
        assert found["torchvision:mnasnet0_5"].params_imagenet == 2_218_512

    def test_a_torchvision_model_is_built_for_its_classes(self) -> None:
        [entry] = resolve("torchvision:squeezenet1_1")
        with torch.device("meta"):
            network = build_network(entry, 10)
            assert network(torch.empty(2, 3, 64, 64)).shape == (2, 10)

    def test_unknown_names_get_the_nearest(self) -> None:
        with pytest.raises(Refused, match=r"no classifier 'resnet19': did you mean .*resnet18"):
            resolve("torchvision:resnet19")
        with pytest.raises(Refused, match=r"unknown model 'resnet19': did you mean resnet18"):
            resolve("resnet19")

    def test_capitals_count_on_every_system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os.path, "normcase", str.lower)  # as on Windows
        with pytest.raises(Refused, match="no classifier 'RESNET18'"):
            resolve("torchvision:RESNET18")

    def test_no_detectors(self) -> None:
        with pytest.raises(Refused, match="no classifier"):
            resolve("torchvision:fasterrcnn_resnet50_fpn")

    def test_timm(self) -> None:
        pytest.importorskip("timm")
        [entry] = resolve("timm:test_resnet")
        assert (entry.facts.name, entry.facts.family) == ("timm:test_resnet", "timm")
        module = entry.build(10, False)
        assert module(torch.zeros(2, 3, 64, 64)).shape == (2, 10)
        with pytest.raises(Refused, match="timm has no classifier 'resnet1888'"):
            resolve("timm:resnet1888")

    def test_timm_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "timm", None)
        with pytest.raises(Refused, match=r"timm is not installed: pip install"):
            resolve("timm:resnet18")


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "densenet121",
        "googlenet",
        "inception_v3",
        "torchvision:squeezenet1_1",
        "googlenet:noaux",
        "inception_v3:noaux",
    ],
)
def test_weights_that_cannot_be_fetched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_args: Any, **_options: Any) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", unreachable)
    with pytest.raises(TrialFailed) as failed, torch.device("meta"):
        resolve(name)[0].build(10, True)
    known = name.removeprefix("torchvision:").removesuffix(":noaux")
    sentence = f"cannot fetch the pretrained weights of {known}: <urlopen error no route>."
    assert str(failed.value) == sentence


def test_weights_that_do_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builders, "get_model_weights", lambda name: [])
    with pytest.raises(TrialFailed, match="no pretrained weights for resnet18"):
        REGISTRY.get("resnet18").build(10, True)


def test_listing_models_imports_no_torch() -> None:
    code = (
        "import sys, models; assert len(models.REGISTRY) > 10; "
        "sys.exit(' '.join({'torch', 'torchvision', 'timm'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")

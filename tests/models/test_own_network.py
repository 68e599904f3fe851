"""Networks as users write them: what is found out about each, and why some cannot be trained."""

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent

import pytest
import torch

from bench.errors import Refused
from bench.own_code import Place
from bench.records.messages import OwnModel
from bench.records.records import ModelFacts
from models.building.network import build_network
from models.building.own_network import construct, examine
from models.building.summary import describe
from models.own import own_entry
from models.zoo import resolve
from tests.own_code import GOOD, working_in, write

HEAD = """
import torch
from collections import namedtuple
from torch import nn
from torch.nn import functional as F
"""

LENET = """
class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(400, 84), nn.Linear(84, num_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.{flat})))
"""

AUX = """
class Net(nn.Module):
    aux_weights = {"early": 0.3}

    def __init__(self, classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.early, self.fc = nn.Linear(4, classes), nn.Linear(4, classes)

    def forward(self, x):
        x = self.conv(x).mean((2, 3))
        if not self.training:
            return self.fc(x)
        return OUTPUT
"""

Examined = Callable[..., ModelFacts]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with working_in(tmp_path):
        yield tmp_path


@pytest.fixture
def examined(folder: Path) -> Examined:
    """Examines `Net` of a file with this code."""

    def examine_code(code: str, name: str = "Net", **options: object) -> ModelFacts:
        write(folder, mynet=HEAD + code)
        return examine(f"mynet.py:{name}", Place("mynet.py", name), **options)  # type: ignore[arg-type]

    return examine_code


def net(forward: str, init: str = "", base: str = "nn.Module") -> str:
    """A network of one linear layer, with other lines in its two methods."""
    return (
        f"class Net({base}):\n    def __init__(self, num_classes):\n        super().__init__()\n"
        f"        self.fc = nn.Linear(3, num_classes)\n{indent(init, ' ' * 8)}\n"
        f"    def forward(self, x):\n{indent(forward, ' ' * 8)}\n"
    )


def test_a_network_has_facts(examined: Examined) -> None:
    facts = examined(GOOD, image_sizes=(32, "native"))
    assert (facts.name, facts.family) == ("mynet.py:Net", "own")
    assert (facts.smallest_size, facts.native_size) == (1, 224)
    assert facts.aux_weights == {}
    assert facts.source_sha256 is not None
    assert len(facts.source_sha256) == 64


def test_the_smallest_size_is_found_by_trying(examined: Examined) -> None:
    facts = examined(LENET.format(flat="flatten(1)"))
    # 5×5 after two convolutions of 5 and two poolings: of 32 px at least, and of hardly more.
    assert (facts.smallest_size, facts.native_size) == (32, 32)


def test_a_network_may_say_its_native_size(examined: Examined) -> None:
    assert examined(GOOD + "\nNet.image_size = 48").native_size == 48


@pytest.mark.parametrize(
    "output", ["dict(logits=self.fc(x), early=self.early(x))", "Outputs(self.fc(x), self.early(x))"]
)
def test_auxiliary_heads_are_entries_of_a_dict_or_a_named_tuple(
    examined: Examined, output: str
) -> None:
    code = "Outputs = namedtuple('Outputs', 'logits early')\n" + AUX.replace("OUTPUT", output)
    facts = examined(code)
    assert facts.aux_weights == {"early": 0.3}
    entry = own_entry(OwnModel(facts, ("mynet.py", "Net")))
    losses = build_network(entry, 5).losses(torch.rand(2, 3, 8, 8), torch.tensor([0, 4]))
    assert losses.total.item() == pytest.approx(
        losses.main.item() + 0.3 * losses.aux["early"].item()
    )
    assert describe(entry, 5, 8).params_aux == 4 * 5 + 5


def test_a_network_is_described_and_built_for_any_number_of_classes(
    examined: Examined, folder: Path
) -> None:
    entry = own_entry(OwnModel(examined(GOOD), ("mynet.py", "Net")))
    described = describe(entry, 10, 16)
    # 3×3×3×4 + 4 in the convolution, 4 + 1 per class in the last layer.
    assert (described.params, described.params_imagenet) == (112 + 50, 112 + 5000)
    assert described.gmacs == pytest.approx((16 * 16 * 27 * 4 + 40) / 1e9)
    write(folder, mynet=HEAD + GOOD + "# changed")
    with pytest.raises(Refused, match=r"mynet\.py:Net was changed since the run began"):
        entry.build(10, False)
    with pytest.raises(Refused, match="has no published weights: leave out --pretrained"):
        entry.build(10, True)


def test_one_that_takes_no_number_of_classes_gets_another_last_layer(examined: Examined) -> None:
    facts = examined(LENET.format(flat="flatten(1)") + "def make(): return Net()", "make")
    module = construct(Place("mynet.py", "make"), 3)
    assert module.fc2.out_features == 3
    assert facts.name == "mynet.py:make"


def test_convolutions_as_wide_as_the_last_layer_stay(examined: Examined) -> None:
    code = LENET.format(flat="flatten(1)").replace("(3, 6, 5)", "(3, 10, 5)")
    code = code.replace("(6, 16, 5)", "(10, 16, 5)")
    examined(code + "def make(): return Net()", "make")
    module = construct(Place("mynet.py", "make"), 3)
    assert (module.conv1.out_channels, module.fc2.out_features) == (10, 3)


def test_a_last_layer_may_be_a_convolution(examined: Examined) -> None:
    examined("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 10, 1), nn.Conv2d(10, 10, 1)

    def forward(self, x):
        return self.head(self.body(x)).mean((2, 3))
""")
    module = construct(Place("mynet.py", "Net"), 3)
    assert (module.body.out_channels, module.head.out_channels) == (10, 3)


def test_the_number_of_classes_goes_to_the_argument_of_that_name(examined: Examined) -> None:
    examined(GOOD + "def make(depth=1, num_classes=1000): return Net(num_classes)", "make")
    assert construct(Place("mynet.py", "make"), 3).fc.out_features == 3


def test_values_may_be_read_while_it_is_built(examined: Examined) -> None:
    code = net("return self.fc(x.mean((2, 3))) * self.rate", "self.rate = torch.ones(1).item()")
    entry = own_entry(OwnModel(examined(code), ("mynet.py", "Net")))
    assert describe(entry, 10, 8).params == 40


def test_random_numbers_are_as_they_were(examined: Examined) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    examined(GOOD)
    assert torch.equal(torch.rand(1), expected)


def test_a_name_of_an_own_network_resolves_like_any_other(folder: Path) -> None:
    write(folder, mynet=GOOD)
    (entry,) = resolve("mynet.py:Net")
    assert build_network(entry, 4)(torch.rand(2, 3, 8, 8)).shape == (2, 4)


MEAN = "x = x.mean((2, 3))\n"
BAD = {
    "no module": ("def Net(n): return 3", "mynet.py:Net returns an int, not a torch.nn.Module."),
    "other arguments": (
        "def Net(width, depth): return nn.Linear(width, depth)",
        "mynet.py:Net needs width, depth: name a callable that needs no more than the number of",
    ),
    "error while built": (net(MEAN, "self.x = y"), "mynet.py, line 10: NameError: name 'y' is not"),
    "error in forward": (net("\nreturn y"), "mynet.py, line 13: NameError: name 'y' is not"),
    "no forward": (
        "class Net(nn.Module):\n    def __init__(self, n):\n        super().__init__()",
        'Module [Net] is missing the required "forward" function',
    ),
    "tuple": (
        net(MEAN + "return self.fc(x), x"),
        "mynet.py:Net returns a tuple: return logits, or",
    ),
    "dict without logits": (net(MEAN + "return {'main': self.fc(x)}"), "returns a dict: return"),
    "weights of no head": (
        net(MEAN + "return self.fc(x)", "self.aux_weights = {'aux': 0.3}"),
        "mynet.py:Net: aux must be in what forward returns in training and in aux_weights",
    ),
    "head of no weight": (
        net(MEAN + "y = self.fc(x)\nreturn {'logits': y, 'aux': y} if self.training else y"),
        "mynet.py:Net: aux must be in what forward returns in training and in aux_weights",
    ),
    "weights that are none": (
        net(MEAN + "return self.fc(x)", "self.aux_weights = [0.3]"),
        "aux_weights must be a dict from the name of each auxiliary head",
    ),
    "a number of classes of its own": (
        net(MEAN + "return self.fc(x)", "self.fc = nn.Linear(3, 10)"),
        "Net gives logits of shape (2, 10) for 2 images and 7 classes: they must be (2, 7)",
    ),
    "a map": (net("return self.fc(x.mean(2).transpose(1, 2))"), "gives logits of shape (2, 1, 7)"),
    "another shape each time": (
        net(MEAN + "self.n += 1\nreturn self.fc(x)[:, : 7 - self.n // 3]", "self.n = 0"),
        "mynet.py:Net gives logits of shape (",
    ),
    "not finite": (
        net(MEAN + "return self.fc(x) / 0"),
        "mynet.py:Net: its logits are not finite before any training: look for a division by zero",
    ),
    "dead": (
        net(MEAN + "return self.fc(x)", "self.spare = nn.Linear(3, 3)"),
        "mynet.py:Net: spare.weight, spare.bias got no gradient in a training step: use in forward",
    ),
    "cut off": (
        net(MEAN + "return self.fc(x).detach()"),
        "mynet.py:Net: fc.weight, fc.bias got no gradient",
    ),
    "frozen": (
        net(MEAN + "return self.fc(x)", "self.fc.requires_grad_(False)"),
        "mynet.py:Net has no parameters to train.",
    ),
    "lazy": (
        net(MEAN + "return self.fc(x)", "self.fc = nn.LazyLinear(num_classes)"),
        "mynet.py:Net has lazy layers (fc.weight, fc.bias): write out their sizes.",
    ),
    "tensors of the CPU": (
        net("return self.fc(x.mean((2, 3)) + torch.ones(1, 3, device='cpu'))"),
        "it must work on torch's meta device",
    ),
    "values read": (
        net("return self.fc(x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3)))"),
        "mynet.py, line 12: RuntimeError: Tensor.item() cannot be called on meta tensors",
    ),
    "view": (
        LENET.format(flat="view(x.size(0), -1)"),
        "line 16: RuntimeError: view size is not compatible with input tensor's size and stride",
    ),
    "no size": (
        net(MEAN + "return self.fc(x.repeat(1, 2))"),
        "mat1 and mat2 shapes cannot be multiplied (2x6 and 3x7) (mynet.py:Net with images of 32",
    ),
    "ends the program": (net("import sys\nsys.exit(1)"), "mynet.py, line 13: it ends the program"),
}


@pytest.mark.parametrize(("code", "sentence"), BAD.values(), ids=[n.replace(" ", "-") for n in BAD])
def test_what_cannot_be_trained_is_refused_in_a_sentence(
    examined: Examined, code: str, sentence: str
) -> None:
    with pytest.raises(Refused) as refused:
        examined(code)
    said = str(refused.value)
    assert sentence in said
    assert len(said.splitlines()) == 1


def test_a_size_that_it_must_take_is_refused_beforehand(examined: Examined) -> None:
    with pytest.raises(Refused, match=r"line 16: RuntimeError: .* with images of 64 px\)"):
        examined(LENET.format(flat="flatten(1)"), image_sizes=(32, 64))
    with pytest.raises(Refused, match=r"--image-size 16 is too small for mynet\.py:Net"):
        examined(LENET.format(flat="flatten(1)"), image_sizes=(16,))


def test_without_channels_last_a_view_may_be_taken(examined: Examined) -> None:
    code = LENET.format(flat="view(x.size(0), -1)")
    assert examined(code, channels_last=False).smallest_size == 32

from collections import OrderedDict, namedtuple
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench import recipes
from bench.data.loader import ResidentSplit, Transform
from bench.errors import TrialFailed
from bench.recipes import Recipe
from bench.training.networks import begin_epoch, initialise_from, open_network
from models.building.network import Network
from models.entry import Entry
from models.zoo import resolve
from tests.builders import a_setting, some_facts

Outputs = namedtuple("Outputs", "logits aux")
LABELS = torch.tensor([0, 1, 1])


class Stub(nn.Module):
    def forward(self, images: Tensor) -> Outputs:
        flat = images.flatten(1)
        return Outputs(flat[:, :2], flat[:, 2:4])


def losses(recipe: str) -> tuple[float, float, float]:
    entry = Entry(some_facts(aux_weights={"aux": 0.3}), lambda classes, pretrained: Stub())
    images = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    found = open_network(entry, 2, a_setting(recipe=recipe)).losses(images, LABELS)
    return found.total.item(), found.main.item(), found.aux["aux"].item()


@pytest.mark.parametrize(("recipe", "weight"), [("constant", 0.3), ("lecture", 1.0)])
def test_auxiliary_losses_weigh_what_the_recipe_says(recipe: str, weight: float) -> None:
    total, main, aux = losses(recipe)
    assert total == pytest.approx(main + weight * aux)


def test_labels_are_smoothed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(recipes.RECIPES, "smooth", Recipe("", "sgd", label_smoothing=0.2))
    images = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    logits = images.flatten(1)[:, :2]
    wanted = functional.cross_entropy(logits, LABELS, label_smoothing=0.2).item()
    assert losses("smooth")[1] == pytest.approx(wanted)


def test_published_weights_are_fetched_only_where_they_matter() -> None:
    asked = []

    def build(classes: int, pretrained: bool) -> nn.Module:
        asked.append(pretrained)
        return Stub()

    entry = Entry(some_facts(), build)
    for fetched in (True, False):
        open_network(entry, 2, a_setting(pretrained=True), fetched=fetched)
    assert asked == [True, False]


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("resnet18", {"fc"}),
        ("densenet121", {"classifier"}),
        ("googlenet", {"fc", "aux1.fc2", "aux2.fc2"}),
        ("torchvision:squeezenet1_1", {"classifier.1"}),
    ],
)
def test_a_frozen_body_keeps_weights_and_statistics(name: str, trained: set[str]) -> None:
    torch.manual_seed(0)
    [entry] = resolve(name)
    network = open_network(entry, 5, a_setting(freeze="body"))
    before = {n: v.clone() for n, v in network.module.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network.train()
    images = torch.randn(4, 3, 64, 64)
    network.losses(images, torch.tensor([0, 1, 2, 3])).total.backward()
    optimizer.step()
    after = network.module.state_dict()
    changed = {n.rpartition(".")[0] for n, v in after.items() if not torch.equal(v, before[n])}
    assert changed == trained
    assert network.training


def test_a_network_without_last_layers_cannot_be_frozen() -> None:
    entry = Entry(some_facts(), lambda classes, pretrained: Stub())
    with pytest.raises(TrialFailed, match="no last layer with 7 outputs to train; drop --freeze"):
        open_network(entry, 7, a_setting(freeze="body"))


def test_a_network_that_asks_for_training_images_gets_them_as_it_sees_them() -> None:
    class Whitened(Stub):
        def initialise_from(self, batches: Iterable[Tensor]) -> None:
            self.seen = torch.cat(list(batches))

    transform = Transform(2, (0.5,) * 3, (0.5,) * 3, torch.device("cpu"), True)
    values = torch.arange(200, dtype=torch.uint8).view(-1, 1, 1, 1).expand(200, 2, 2, 3)
    split = ResidentSplit(values, torch.zeros(200, dtype=torch.int64), transform)
    network, plain = Network(Whitened(), {}), Network(Stub(), {})
    random = torch.get_rng_state()
    for each in (network, plain):
        initialise_from(split, each)
    assert torch.equal(torch.get_rng_state(), random)
    seen = network.module.seen[:, 0, 0, 0]
    assert sorted(seen.tolist()) == pytest.approx([n / 127.5 - 1 for n in range(200)], abs=1e-6)
    assert seen.tolist() != sorted(seen.tolist())


def test_parameters_of_the_first_epochs_train_only_then() -> None:
    network = Network(nn.Sequential(OrderedDict(whiten=nn.Linear(2, 2), head=nn.Linear(2, 2))), {})
    recipe = Recipe("", "sgd", first_epochs={"whiten.bias": 3})
    trained = []
    for epoch in (1, 3, 4, 2):  # also where a trial is resumed
        begin_epoch(network, recipe, epoch)
        trained.append([p.requires_grad for p in network.parameters()])
    assert [each[1] for each in trained] == [True, True, False, True]
    assert all(each[0] and each[2] and each[3] for each in trained)

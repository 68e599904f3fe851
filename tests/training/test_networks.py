from collections import namedtuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench import recipes
from bench.recipes import Recipe
from bench.training.networks import open_network
from models.entry import Entry
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

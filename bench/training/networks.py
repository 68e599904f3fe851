"""A model as its setting says: built, initialised, with the losses of its recipe."""

import torch

from bench.data.loader import Split
from bench.recipes import RECIPES, Recipe
from bench.records.records import Setting
from bench.settings import label_smoothing_of
from models.building.network import Network, build_network
from models.entry import Entry


def open_network(entry: Entry, classes: int, setting: Setting, *, fetched: bool = True) -> Network:
    """A network on the CPU, in training mode.

    Args:
        entry: the model.
        classes: outputs of its last layer.
        setting: its recipe, whether its weights are published ones, and which of them train.
        fetched: off where weights do not matter, so that none are downloaded.

    Raises:
        TrialFailed: pretrained weights are not available.
    """
    recipe = RECIPES[setting.recipe]
    return build_network(
        entry,
        classes,
        pretrained=setting.pretrained and fetched,
        aux_weight=recipe.aux_weight,
        label_smoothing=label_smoothing_of(setting),
        summed=recipe.decoupled_with(setting.optimizer) is not None,
        frozen=setting.freeze == "body",
    )


INITIAL_IMAGES = 5000
"""At most this many training images are given to a network that initialises itself from them."""


def initialise_from(images: Split, network: Network) -> None:
    """Give a network that has a method `initialise_from` batches of training images, as it will see
    them: (batch, 3, size, size), on its device, of all classes and the same for every seed."""
    initialise = getattr(network.module, "initialise_from", None)
    if initialise is not None:
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        batches = images.ordered(chosen[:INITIAL_IMAGES], 500)
        initialise(pixels for pixels, _ in batches)


def begin_epoch(network: Network, recipe: Recipe, epoch: int) -> None:
    """Let the parameters train that the recipe trains in this epoch, counted from 1."""
    for name, epochs in recipe.first_epochs.items():
        network.module.get_parameter(name).requires_grad_(epoch <= epochs)

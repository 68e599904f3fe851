"""A model as its setting says: built, with the losses of its recipe."""

from bench.config import label_smoothing_of
from bench.recipes import RECIPES
from bench.records.records import Setting
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
        frozen=setting.freeze == "body",
    )

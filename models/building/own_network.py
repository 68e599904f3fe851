"""A network of the user's own: how it is built, and whether it can be trained, tried beforehand.

It is built by a call with the number of classes: as its argument `num_classes` (or `classes`,
`n_classes`) if it has one, else as the one argument that it requires. One that requires none is
called without, and its last layers are replaced, as those of torchvision's networks are.
"""

import contextlib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from bench.errors import Refused
from bench.own_code import Place, explained, importing, load
from bench.records.records import ModelFacts
from models.building.heads import IMAGENET_CLASSES, replace_last
from models.building.network import Network, outputs_by_name

FAMILY = "own"

CLASS_ARGUMENTS = ("num_classes", "classes", "n_classes")
"""Arguments that are the number of classes, whatever else a callable takes."""

CLASSES = 7
"""The number of classes that networks are tried with: one that few have by default."""

BATCH = 4
"""Images of a trial step."""

NATIVE = 224
"""The native size of a network that does not say: ImageNet's, if it takes that."""

LARGEST_TRIED = 384
"""The smallest size is looked for up to here, pixel by pixel."""

STEPS = 3
"""Steps in which a parameter must get a gradient once; some networks drop parts at random."""

_WRONG_SIZE = (RuntimeError, ValueError, AssertionError, ArithmeticError, IndexError)
"""What networks raise for images of a size that they cannot take, among other mistakes."""


def construct(place: Place, classes: int) -> nn.Module:
    """Build the network of a place for a number of classes.

    Its weights are made on the CPU, and then moved to torch's default device: code that reads a
    tensor's value while it builds works with none on the meta device.

    Raises:
        Refused: it cannot be called with a number of classes, or returns no module.
    """
    target = load(place).target
    with importing(place), torch.device("cpu"):
        module = _called(place, target, classes)
    device = torch.empty(0).device
    return module if device.type == "cpu" else module.to(device)


def _called(place: Place, target: Callable[..., Any], classes: int) -> nn.Module:
    keyword, others = _arguments(target)
    if len(others) > (keyword is None):
        raise Refused(
            f"{place.label} needs {', '.join(others)}: name a callable that needs no more than the "
            f"number of classes, such as `def net(num_classes): return {place.name}(…)`."
        )
    fixed = keyword is None and not others
    module = target(**{keyword: classes}) if keyword else target(*() if fixed else (classes,))
    if not isinstance(module, nn.Module):
        raise Refused(f"{place.label} returns {_kind(module)}, not a torch.nn.Module.")
    return replace_last(module, classes) if fixed else module


def _arguments(target: Callable[..., Any]) -> tuple[str | None, list[str]]:
    """The argument that is the number of classes by its name, and the others that are required."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except ValueError:  # of a callable that is not written in Python
        return None, ["classes"]
    keyword = next((p.name for p in parameters if p.name in CLASS_ARGUMENTS), None)
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in variable]
    return keyword, [name for name in required if name != keyword]


def examine(
    name: str, place: Place, image_sizes: Iterable[int | str] = (), *, channels_last: bool = True
) -> ModelFacts:
    """Try a network: its outputs and their number, the sizes that it takes, a training step.

    Args:
        name: what it is called in results.
        place: where it is.
        image_sizes: sizes that it must take, in pixels, or `native`.
        channels_last: the memory format of its images.

    Raises:
        Refused: it cannot be trained; the message says why, with the line in its file.
    """
    loaded = load(place)
    with explained(place), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trial = _Examination(name, place, CLASSES)
        smallest = trial.smallest_size()
        native = getattr(loaded.target, "image_size", NATIVE)
        if type(native) is not int or not trial.takes(native):
            native = smallest
        weights, hashed = trial.aux_weights, loaded.sha256
        facts = ModelFacts(name, FAMILY, native, smallest, weights, "", None, None, hashed)
        for size in image_sizes:
            trial.check_size(facts.pixels(size))
        trial.check_step(32 if trial.takes(32) else smallest, channels_last)
        for classes in (2, IMAGENET_CLASSES):
            _Examination(name, place, classes).check_size(smallest)
        return facts


class _Examination:
    """A network for a number of classes, on the meta device too, where a size costs nothing."""

    def __init__(self, name: str, place: Place, classes: int) -> None:
        self.name, self.place, self.classes = name, place, classes
        self.module = construct(place, classes)
        parameters = self.module.named_parameters()
        lazy = [n for n, p in parameters if isinstance(p, UninitializedParameter)]
        if lazy:
            raise Refused(f"{name} has lazy layers ({_listed(lazy)}): write out their sizes.")
        self.aux_weights = self._aux_weights()
        with torch.device("meta"):
            self.blank = construct(place, classes)

    def smallest_size(self) -> int:
        """The smallest side in pixels that it takes, in training and in inference."""
        sizes = range(1, LARGEST_TRIED + 1)
        smallest = next(filter(self.takes, sizes), None)
        return self._refuse_every_size() if smallest is None else smallest

    def takes(self, size: int) -> bool:
        """Whether it takes images of that size; raises what cannot be for their size."""
        try:
            self._pass(self.blank, size)
        except _WRONG_SIZE:
            return False
        return True

    def check_size(self, size: int) -> None:
        """Raises Refused if it does not take images of that size."""
        with explained(self.place, f" ({self.name} with images of {size} px)"):
            self._pass(self.blank, size)

    def check_step(self, size: int, channels_last: bool) -> None:
        """Raises Refused if a training step on the CPU leaves out a parameter, or does not work."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        network = Network(self.module, self.aux_weights).to(memory_format=layout).train()
        images = torch.rand(BATCH, 3, size, size).contiguous(memory_format=layout)
        labels = torch.arange(BATCH) % self.classes
        idle = {n: p for n, p in self.module.named_parameters() if p.requires_grad}
        if not idle:
            raise Refused(f"{self.name} has no parameters to train.")
        for _ in range(STEPS):
            self._check_finite(self._outputs(self.module, images))
            loss = network.losses(images, labels).total
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
            idle = {n: p for n, p in idle.items() if p.grad is None}
        if idle:
            raise Refused(
                f"{self.name}: {_listed(list(idle))} got no gradient in a training step: use in "
                "forward what __init__ makes, or remove it."
            )
        with torch.no_grad():
            self._check_finite(self._outputs(self.module.eval(), images))

    def _aux_weights(self) -> dict[str, float]:
        weights = getattr(self.module, "aux_weights", {})
        good = isinstance(weights, Mapping) and all(
            isinstance(head, str) and isinstance(w, (int, float)) and 0 < w < math.inf
            for head, w in weights.items()
        )
        if not good:
            raise Refused(
                f"{self.name}: aux_weights must be a dict from the name of each auxiliary head to "
                "its weight in the loss, a positive number."
            )
        return {head: float(weight) for head, weight in weights.items()}

    def _pass(self, module: nn.Module, size: int, device: str = "meta") -> None:
        with torch.no_grad():
            for training, batch in ((True, 2), (False, 1)):
                images = torch.zeros(batch, 3, size, size, device=device)
                self._outputs(module.train(training), images)

    def _refuse_every_size(self) -> NoReturn:
        for size in (32, NATIVE):
            with contextlib.suppress(*_WRONG_SIZE):
                self._pass(self.module, size, "cpu")
                needs = (
                    ": it must work on torch's meta device, on which its layers are counted: "
                    "create tensors with device=x.device, and read no values of tensors."
                )
                with explained(self.place, needs):
                    self._pass(self.blank, size)
        with explained(self.place, f" ({self.name} with images of 32 px; it takes no other size)"):
            self._pass(self.module, 32, "cpu")
        raise Refused(f"{self.name} takes images of no size up to {LARGEST_TRIED} px.")

    def _outputs(self, module: nn.Module, images: Tensor) -> Mapping[str, Tensor]:
        """Its outputs by name; Refused if they are not what training needs."""
        output = module(images)
        try:
            outputs = outputs_by_name(output)
        except TypeError:
            raise Refused(
                f"{self.name} returns {_kind(output)}: return logits, or a dict or named tuple "
                "with `logits` and an entry for each auxiliary head in its aux_weights."
            ) from None
        if not module.training:
            outputs = {"logits": outputs["logits"]}
        elif odd := outputs.keys() ^ {"logits", *self.aux_weights}:
            raise Refused(
                f"{self.name}: {_listed(sorted(odd))} must be in what forward returns in training "
                "and in aux_weights, which gives each auxiliary head its weight in the loss."
            )
        for head, values in outputs.items():
            self._check_shape(head, values, (len(images), self.classes))
        return outputs

    def _check_shape(self, head: str, values: object, shape: tuple[int, int]) -> None:
        found = tuple(values.shape) if isinstance(values, Tensor) else _kind(values)
        if found != shape:
            raise Refused(
                f"{self.name} gives {head} of shape {found} for {shape[0]} images and {shape[1]} "
                f"classes: they must be {shape}, for any number of either."
            )

    def _check_finite(self, outputs: Mapping[str, Tensor]) -> None:
        bad = [head for head, values in outputs.items() if not bool(values.isfinite().all())]
        if bad:
            raise Refused(
                f"{self.name}: its {_listed(bad)} are not finite before any training: look for a "
                "division by zero, a logarithm, or weights that are not initialised."
            )


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more

"""How fast the same model trains on the same images in four ways, in fp32 with Adam.

- plain: the lecture's loop. A DataLoader with two workers, each image resized by PIL, weights and
  images in torch's default layout, the loss fetched at every step.
- ours: an epoch as a trial has it; augmented: the same, cropped and flipped at random.
- floor: forward, backward and update on one batch that is already on the device, with our
  settings: what an epoch would take if data cost nothing.

Each belongs in a process of its own; the plain loop with the system's allocator as it comes.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bench.data import shapes10
from bench.data.loader import ResidentSplit, Transform
from bench.system.devices import Device
from bench.training.loop import train_pass
from bench.training.optimizers import open_optimizer
from bench.training.precision import Precision, open_precision
from bench.training.step_timer import StepTimer, timed
from models.building.network import Network, build_network
from models.zoo import resolve

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

Epoch = Callable[[], None]


def images_per_second(
    way: str, device: Device, model: str, size: int, *, images: int, batch: int
) -> float:
    """The rate of the second of two epochs of so many images, enlarged to `size` pixels a side; of
    whole batches in all ways. `way` is a key of `WAYS`."""
    epoch = WAYS[way](device, model, size, images, batch)
    epoch()
    _, took = timed(device, epoch)
    return images / took.seconds


def plain(device: Device, model: str, size: int, images: int, batch: int) -> Epoch:
    """The lecture's loop, with the arithmetic of the others."""
    open_precision("fp32", device.kind)
    network = build_network(resolve(model)[0], len(shapes10.CLASSES)).to(device.torch)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    # Workers that persist: the epochs here are short, and starting some would count too much.
    loader = DataLoader(
        _PlainImages(images, size),
        batch_size=batch,
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
    )

    def epoch() -> None:
        running = 0.0
        for pixels, target in loader:
            optimizer.zero_grad()
            loss = network.losses(pixels.to(device.torch), target.to(device.torch)).total
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            running += loss.item()

    return epoch


def ours(
    device: Device, model: str, size: int, images: int, batch: int, augment: str = "none"
) -> Epoch:
    """Our epoch."""
    precision, network, optimizer, transform = _our_settings(device, model, size)
    split = ResidentSplit(*_tensors(images), transform)
    order = torch.Generator().manual_seed(0)

    def epoch() -> None:
        timer = StepTimer(device, images // batch)
        batches = split.shuffled(batch, order, augment)
        train_pass(network, batches, optimizer, precision, timer).result()

    return epoch


def floor(device: Device, model: str, size: int, images: int, batch: int) -> Epoch:
    """Steps on one resident batch."""
    precision, network, optimizer, transform = _our_settings(device, model, size)
    pixels, labels = _tensors(batch)
    inputs, target = transform(pixels), labels.to(device.torch)

    def epoch() -> None:
        for _ in range(images // batch):
            precision.backward(network.losses(inputs, target).total)
            precision.step(optimizer)
            optimizer.zero_grad(set_to_none=True)

    return epoch


WAYS: dict[str, Callable[[Device, str, int, int, int], Epoch]] = {
    "plain": plain,
    "ours": ours,
    "augmented": partial(ours, augment="crop"),
    "floor": floor,
}
"""The ways by name, each with what prepares its epoch."""


class _PlainImages(Dataset[tuple[Tensor, int]]):
    def __init__(self, images: int, size: int) -> None:
        self.pixels, self.labels = shapes10.generate(images, seed=1)
        steps = [transforms.ToPILImage(), transforms.Resize(size), transforms.ToTensor()]
        self.prepare = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.prepare(self.pixels[index]), int(self.labels[index])


def _our_settings(
    device: Device, model: str, size: int
) -> tuple[Precision, Network, Optimizer, Transform]:
    precision = open_precision("fp32", device.kind)
    network = build_network(resolve(model)[0], len(shapes10.CLASSES))
    network.to(device.torch).to(memory_format=torch.channels_last)
    optimizer = open_optimizer("adam", network.parameters(), 1e-3)
    return precision, network, optimizer, Transform(size, MEAN, STD, device.torch, True)


def _tensors(count: int) -> tuple[Tensor, Tensor]:
    pixels, labels = shapes10.generate(count, seed=1)
    return torch.from_numpy(pixels), torch.from_numpy(labels)

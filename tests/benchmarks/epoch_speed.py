"""How fast is an epoch of ours, against the plain loop and against the floor?

    python tests/benchmarks/epoch_speed.py --model resnet18 --image-size 64 --rounds 5

Three ways to train the same model on the same images in fp32 with Adam, each in a process of its
own, interleaved round after round so that a machine that slows down slows all three:

- plain: the lecture's loop. A DataLoader with two workers, each image resized by PIL, weights and
  images in torch's default layout, the loss fetched at every step, the system's allocator as it
  comes.
- ours: an epoch as `bench.runner.worker.jobs` runs it.
- floor: forward, backward and update on one batch that is already on the device, with our
  settings: what an epoch would take if data cost nothing.

Prints images per second and the ratios, each the median over the rounds with its lowest and
highest. Run it on an otherwise idle machine; it asserts nothing.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

WAYS = ("plain", "ours", "floor")
ROOT = Path(__file__).parents[2]
BATCH = 128


def plain(model: str, size: int, images: int) -> float:
    """Images per second of the lecture's loop."""
    import torch
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    from bench.data import shapes10
    from models.building.network import build_network
    from models.zoo import resolve

    pixels, labels = shapes10.generate(images, seed=1)
    prepare = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.Resize(size),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        ]
    )

    class Images(Dataset):
        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return prepare(pixels[index]), int(labels[index])

    network = build_network(resolve(model)[0], len(shapes10.CLASSES))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = DataLoader(Images(), batch_size=BATCH, shuffle=True, num_workers=2)

    def epoch() -> None:
        running = 0.0
        for batch, target in loader:
            optimizer.zero_grad()
            loss = network.losses(batch, target).total
            loss.backward()
            optimizer.step()
            running += loss.item()

    return _rate(epoch, images)


def ours(model: str, size: int, images: int) -> float:
    """Images per second of our epoch."""
    import torch

    from bench.data.loader import ResidentSplit
    from bench.training.loop import train_pass
    from bench.training.step_timer import StepTimer

    device, precision, network, optimizer, transform = _our_settings(model, size)
    pixels, labels = _images(images)
    split = ResidentSplit(torch.from_numpy(pixels), torch.from_numpy(labels), transform)
    order = torch.Generator().manual_seed(0)

    def epoch() -> None:
        clock = StepTimer(device, len(split) // BATCH)
        train_pass(
            network, split.shuffled(BATCH, order, False), optimizer, precision, clock
        ).result()

    return _rate(epoch, images)


def floor(model: str, size: int, images: int) -> float:
    """Images per second of steps on one resident batch."""
    import torch

    _, precision, network, optimizer, transform = _our_settings(model, size)
    pixels, labels = _images(BATCH)
    batch, target = transform(torch.from_numpy(pixels)), torch.from_numpy(labels)

    def epoch() -> None:
        for _ in range(images // BATCH):
            loss = network.losses(batch, target).total
            precision.backward(loss)
            precision.step(optimizer)
            optimizer.zero_grad(set_to_none=True)

    return _rate(epoch, images)


def _our_settings(model: str, size: int):
    import torch

    from bench.data.loader import Transform
    from bench.system.devices import open_device
    from bench.training.optimizers import open_optimizer
    from bench.training.precision import open_precision
    from models.building.network import build_network
    from models.zoo import resolve

    device = open_device("cpu")
    network = build_network(resolve(model)[0], 10).to(memory_format=torch.channels_last)
    optimizer = open_optimizer("adam", network.parameters(), 1e-3)
    transform = Transform(size, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), device.torch, True)
    return device, open_precision("fp32", "cpu"), network, optimizer, transform


def _images(count: int):
    from bench.data import shapes10

    return shapes10.generate(count, seed=1)


def _rate(epoch, images: int) -> float:
    epoch()
    start = perf_counter()
    epoch()
    return images / (perf_counter() - start)


def in_process(way: str, options: argparse.Namespace) -> float:
    """One way, once, in a process of its own."""
    from bench.system.malloc import allocator_environment

    allocator = {} if way == "plain" else allocator_environment(limited=False)
    command = [sys.executable, __file__, "--way", way, "--model", options.model]
    command += ["--image-size", str(options.image_size), "--images", str(options.images)]
    environment = os.environ | allocator | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def rounds(options: argparse.Namespace) -> Iterator[dict[str, float]]:
    """Images per second of all ways, round by round, each round starting with another way."""
    for number in range(options.rounds):
        shift = number % len(WAYS)
        measured = {way: in_process(way, options) for way in WAYS[shift:] + WAYS[:shift]}
        print("  ".join(f"{way} {measured[way]:7.1f}" for way in WAYS), flush=True)
        yield measured


def spread(values: list[float]) -> str:
    """Median, lowest and highest."""
    return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    """Measure one way, or interleave all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", choices=WAYS)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if options.way:
        measure = {"plain": plain, "ours": ours, "floor": floor}[options.way]
        print(measure(options.model, options.image_size, options.images))
        return
    found = list(rounds(options))
    print(f"\n{options.model}, {options.image_size} px, batch {BATCH}, fp32; {len(found)} rounds")
    for way in WAYS:
        print(f"{way}: {spread([r[way] for r in found])} images/s")
    print(f"ours / plain: {spread([r['ours'] / r['plain'] for r in found])}")
    print(f"ours / floor: {spread([r['ours'] / r['floor'] for r in found])}")


if __name__ == "__main__":
    main()

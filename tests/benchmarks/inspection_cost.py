"""Does recording and looking at networks slow down what is timed?

    python tests/benchmarks/inspection_cost.py --pairs 60

One process trains two equal networks, an epoch of the one after an epoch of the other, in the order
on off, off on, on off, ...: "on" is an epoch as a trial runs it (every step marked, a sample of
them in parts, the processors and the card watched, its initial weights on disk for the inspection
that follows the last epoch), "off" the same steps and nothing else. Prints the ratio of the two
with Student's 95 % interval over the pairs, and the seconds that the inspection itself takes after
the last epoch, where nothing is timed. Run it on an otherwise idle machine; it asserts nothing.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from bench.analysis.intervals import estimate
from bench.data import shapes10
from bench.data.loader import ResidentSplit, Transform
from bench.records.messages import Conditions, TrainJob
from bench.records.records import DatasetFacts, Setting, Trial
from bench.system.devices import open_device
from bench.training.checkpoint import Position, Training
from bench.training.diagnostics import save_start
from bench.training.loop import Sums, train_pass
from bench.training.optimizers import open_optimizer
from bench.training.precision import open_precision
from bench.training.step_timer import timed
from bench.training.trainer import Trainer
from models.building.network import build_network
from models.zoo import resolve

BATCH, SIZE = 128, 32


class Silent:
    """A clock that nobody reads."""

    def start(self) -> None:
        """Nothing."""

    def part(self) -> None:
        """Nothing."""

    def again(self) -> None:
        """Nothing."""

    def step(self) -> None:
        """Nothing."""


def a_trainer(model: str, images: int, folder: Path) -> Trainer:
    """A trial of shapes on the CPU that is about to begin."""
    torch.manual_seed(0)
    device, precision = open_device("cpu"), open_precision("fp32", "cpu")
    transform = Transform(SIZE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), device.torch, True)
    pixels, labels = shapes10.generate(images, seed=1)
    train = ResidentSplit(torch.from_numpy(pixels), torch.from_numpy(labels), transform)
    test = ResidentSplit(torch.from_numpy(pixels[:2]), torch.from_numpy(labels[:2]), transform)
    network = build_network(resolve(model)[0], len(shapes10.CLASSES))
    network = network.to(memory_format=torch.channels_last)
    optimizer = open_optimizer("adam", network.parameters(), 1e-3)
    training = Training(network, optimizer, precision, torch.Generator().manual_seed(0))
    grey = (0.5, 0.5, 0.5)
    facts = DatasetFacts("shapes10", "", shapes10.CLASSES, images, 2, SIZE, grey, grey, "", True)
    conditions = Conditions("cpu", facts, None, 0)
    trial = Trial(model, 0, Setting(SIZE, "adam", 1e-3, "fp32"), str(BATCH), BATCH)
    files = [str(folder / name) for name in ("checkpoint.pt", "start.pt", "kernels.npz")]
    job = TrainJob(trial, 1, str(folder), conditions, files[0], files[1], files[2])
    return Trainer(job, train, test, device, training, lambda *said: None, lambda: False)


def with_everything(trainer: Trainer) -> float:
    """Seconds of an epoch as a trial times it."""
    return trainer.epoch(Position(), Sums()).train_seconds


def bare(trainer: Trainer) -> float:
    """Seconds of the same steps alone."""
    training = trainer.training
    batches = trainer.train_split.shuffled(BATCH, training.order, False)

    def train_all() -> None:
        network, optimizer = training.network, training.optimizer
        train_pass(network, batches, optimizer, training.precision, Silent()).result()

    return timed(trainer.device, train_all)[1].seconds


def main() -> None:
    """Train in turns and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--images", type=int, default=1280)
    parser.add_argument("--pairs", type=int, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        on, off = (a_trainer(asked.model, asked.images, Path(name)) for _ in range(2))
        save_start(Path(on.job.start), on.training.network)
        with_everything(on)
        bare(off)
        logs = []
        for pair in range(asked.pairs):
            seconds = {}
            for everything in (True, False) if pair % 2 == 0 else (False, True):
                seconds[everything] = with_everything(on) if everything else bare(off)
            logs.append(math.log(seconds[True] / seconds[False]))
        start = perf_counter()
        on._inspected(Path(on.job.kernels or ""))
        inspection = perf_counter() - start
    found = estimate(logs)
    low, high = (math.exp(found.mean + sign * (found.half_width or 0.0)) for sign in (-1, 1))
    middle = math.exp(sorted(logs)[len(logs) // 2])
    print(f"on / off: {math.exp(found.mean):.4f} (95 % interval {low:.4f} to {high:.4f}), ", end="")
    print(f"median {middle:.4f}, over {asked.pairs} pairs; inspection {inspection:.1f} s")


if __name__ == "__main__":
    main()

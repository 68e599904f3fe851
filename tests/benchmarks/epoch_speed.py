"""How fast is an epoch of ours, against the plain loop and against the floor?

    python tests/benchmarks/epoch_speed.py --model resnet18 --image-size 64 --rounds 5

The four ways are those of `bench.training.pace`, each in a process of its own, interleaved round
after round so that a machine that slows down slows all of them; the plain loop with the system's
allocator as it comes.

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

WAYS = ("plain", "ours", "augmented", "floor")
ROOT = Path(__file__).parents[2]
BATCH = 128


def measure(way: str, options: argparse.Namespace) -> float:
    """Images per second of one way."""
    from bench.system.devices import open_device
    from bench.training.pace import images_per_second

    return images_per_second(
        way,
        open_device("cpu"),
        options.model,
        options.image_size,
        images=options.images,
        batch=BATCH,
    )


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
        print(measure(options.way, options))
        return
    found = list(rounds(options))
    print(f"\n{options.model}, {options.image_size} px, batch {BATCH}, fp32; {len(found)} rounds")
    for way in WAYS:
        print(f"{way}: {spread([r[way] for r in found])} images/s")
    print(f"ours / plain: {spread([r['ours'] / r['plain'] for r in found])}")
    for way in ("ours", "augmented"):
        print(f"{way} / floor: {spread([r[way] / r['floor'] for r in found])}")


if __name__ == "__main__":
    main()

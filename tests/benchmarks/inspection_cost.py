"""Does looking at networks, and keeping records of their steps, slow down what is timed?

    python tests/benchmarks/inspection_cost.py --pairs 8

Runs of one model with everything on and with `--no-inspect`, each a process of its own, in the
order on off, off on, on off, ...: a machine that slows down favours neither. Prints the median
epoch of each run, the ratio of every pair, and their geometric mean with Student's 95 % interval.
Run it on an otherwise idle machine; it asserts nothing.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import Config, run
from bench.statistics import estimate, median


def epoch_seconds(inspect: bool, model: str, images: int, epochs: int) -> float:
    """The median epoch of one run, without its first."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            models=(model,),
            preset="smoke",
            dataset="shapes10",
            train_limit=images,
            test_limit=128,
            epochs=epochs,
            batch_size=(128,),
            fit=False,
            card=(),
            inspect=inspect,
            output=Path(folder) / "run",
        )
        (trial,) = run(config).trials
        if trial.status != "done":
            raise SystemExit(f"the run failed: {trial.ended and trial.ended.reason}")
        return median([epoch.train_seconds for epoch in trial.epochs[1:]])


def main() -> None:
    """Run the pairs and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--images", type=int, default=2560)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=8)
    asked = parser.parse_args()
    logs = []
    for pair in range(asked.pairs):
        seconds = {}
        for inspect in (True, False) if pair % 2 == 0 else (False, True):
            seconds[inspect] = epoch_seconds(inspect, asked.model, asked.images, asked.epochs)
        logs.append(math.log(seconds[True] / seconds[False]))
        print(
            f"pair {pair + 1}: on {seconds[True]:.3f} s, off {seconds[False]:.3f} s, "
            f"ratio {seconds[True] / seconds[False]:.4f}",
            flush=True,
        )
    found = estimate(logs)
    low, high = (math.exp(found.mean + sign * (found.half_width or 0.0)) for sign in (-1, 1))
    print(f"on / off: {math.exp(found.mean):.4f} (95 % interval {low:.4f} to {high:.4f})")


if __name__ == "__main__":
    main()

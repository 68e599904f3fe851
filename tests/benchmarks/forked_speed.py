"""Whether a forked worker trains as fast as a fresh one: the same trial in both, in turn.

`python tests/benchmarks/forked_speed.py [ROUNDS]` in the repository's root, on an idle machine.
What is compared is the median time of a step after the first epoch.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from scipy.stats import bootstrap

from bench import Config, run
from bench.runner import worker_process

IMAGES, EPOCHS = 2_000, 3
WAYS = ("forked", "fresh")


def step_seconds(way: str, output: Path) -> float:
    """The median step of a trial in a worker that starts in this way."""
    fork = worker_process.fork_worker
    if way == "fresh":
        worker_process.fork_worker = lambda environment, errors: None
    try:
        config = Config(
            models=("resnet18",),
            dataset="shapes10",
            preset="smoke",
            train_limit=IMAGES,
            test_limit=100,
            epochs=EPOCHS,
            batch_size=(128,),
            max_batch=False,
            inspect=False,
            card=(),
            output=output,
        )
        (trial,) = run(config).trials
    finally:
        worker_process.fork_worker = fork
    return median(s for epoch in trial.epochs[1:] for s in epoch.step_times)


def main() -> int:
    """Print both medians, and the ratio of forked to fresh with its 95 % interval."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for way in WAYS if number % 2 else reversed(WAYS):
                found[way].append(step_seconds(way, Path(folder) / f"{way}{number}"))
    ratios = np.log(found["forked"]) - np.log(found["fresh"])
    interval = bootstrap((ratios,), np.median, method="percentile").confidence_interval
    for way in WAYS:
        print(f"{way}: {1000 * median(found[way]):.1f} ms a step")
    low, middle, high = (float(np.exp(x)) for x in (interval.low, np.median(ratios), interval.high))
    print(f"forked / fresh: {middle:.4f} ({low:.4f} to {high:.4f}), {rounds} pairs")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How many probes a search on the CPU takes: four models, three memory limits each.

`python tests/benchmarks/search_probes.py [REPEATS]` in the repository's root; a round takes some
minutes. What counts is the number of probes, so the machine need not be idle.
"""

import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.runner.max_batch import MaxBatchOptions, Measured, measure_batches

CASES = [
    (model, 32, mebibytes)
    for model in ("resnet18", "googlenet", "densenet121")
    for mebibytes in (384, 512, 768)
] + [("inception_v3", 299, mebibytes) for mebibytes in (768, 1024, 1536)]
"""Model, image size in pixels, and memory limit in MiB."""


def search(model: str, side: int, mebibytes: int) -> Measured:
    """The largest batch and its probes."""
    options = MaxBatchOptions(
        models=(model,), image_size=(side,), device="cpu", memory_budget=f"{mebibytes}MiB"
    )
    (measured,), _ = measure_batches(options)
    return measured


def main() -> int:
    """Print a line for each search, and the median and the most of all."""
    counts: list[int] = []
    for repeat in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        for case in CASES:
            found = search(*case)
            counts.append(len(found.probes))
            tried = " ".join(f"{p.batch_size}{'' if p.fits else '!'}" for p in found.probes)
            answer = f"{found.largest_batch.max_batch} in {counts[-1]}"
            print(f"{repeat + 1}: {case[0]} {case[2]} MiB: {answer}: {tried}")
            sys.stdout.flush()
    print(f"{len(counts)} searches: median {median(counts)}, at most {max(counts)} probes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

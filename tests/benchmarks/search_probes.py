"""How many probes a search on the CPU takes: four models, three memory limits each.

`python tests/benchmarks/search_probes.py [REPEATS]` in the repository's root; a round takes some
minutes. What counts is the number of probes, so the machine need not be idle.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.config import make_setting
from bench.records.messages import Conditions, SearchJob
from bench.records.records import DatasetFacts, Probe
from bench.runner.batch_search import Prober
from models import REGISTRY

IMAGES = 50_000
GREY = (0.5, 0.5, 0.5)
DATA = DatasetFacts(
    "blank", "blank", tuple(map(str, range(10))), IMAGES, 10_000, 32, GREY, GREY, "", True
)
CASES = [
    (model, 32, mebibytes)
    for model in ("resnet18", "googlenet", "densenet121")
    for mebibytes in (384, 512, 768)
] + [("inception_v3", 299, mebibytes) for mebibytes in (768, 1024, 1536)]
"""Model, image size in pixels, and memory limit in MiB."""


def search(model: str, side: int, mebibytes: int) -> tuple[int, list[Probe]]:
    """The largest batch and its probes."""
    facts = REGISTRY.get(model).facts
    setting = make_setting(facts.pixels(side), family=facts.family)
    job = SearchJob(model, setting, Conditions("cpu", DATA, mebibytes << 20, 0))
    probes: list[Probe] = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with Prober(job, log, limited=True, on_probe=probes.append) as prober:
            return prober.search(IMAGES).max_batch, probes


def main() -> int:
    """Print a line for each search, and the median and the most of all."""
    counts: list[int] = []
    for repeat in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        for case in CASES:
            largest, probes = search(*case)
            counts.append(len(probes))
            tried = " ".join(f"{p.batch_size}{'' if p.fits else '!'}" for p in probes)
            print(f"{repeat + 1}: {case[0]} {case[2]} MiB: {largest} in {len(probes)}: {tried}")
            sys.stdout.flush()
    print(f"{len(counts)} searches: median {median(counts)}, at most {max(counts)} probes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

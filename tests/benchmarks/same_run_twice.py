"""How often two runs of the same thing are told apart, and whether a real slow-down is found.

`python tests/benchmarks/same_run_twice.py` in the repository's root. The same small run is made
`--runs` times; every neighbouring pair (1 with 2, 2 with 3, ...) is compared, and each line that is
called faster, slower, higher or lower is a false alarm. Then one more run is made in which each
training step takes `--slower` of its own time longer, in the worker itself, and is compared with
the run before it: that should be found. `--keep DIR` keeps the runs, and makes only those that are
not there yet.

Exit code 1 if more pairs than 5 % (within chance) had a false alarm, or the slow-down was not
found.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.analysis.compare.pairwise import USUAL, Comparison, compare
from bench.analysis.compare.side import TABLE, read_side
from bench.analysis.metrics import BY_NAME

ROOT = Path(__file__).parents[2]

SLOW = "ARCHBENCH_BENCHMARK_SLOWER"
"""Names the share by which the hook below makes a step slower; nothing in `bench` knows it."""

HOOK = '''
"""Found by every interpreter that has this folder on its path, workers among them."""
import builtins, os, sys, time
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder

SHARE = float(os.environ["ARCHBENCH_BENCHMARK_SLOWER"])
NAME = "bench.training.loop"


def slowed(step):
    def train_step(network, batch, optimizer, precision, clock, sums):
        start = time.perf_counter()
        step(network, batch, optimizer, precision, Quiet(clock), sums)
        end = start + (time.perf_counter() - start) * (1 + SHARE)
        # Work rather than sleep, as a slower step would: what watches the load sees no idling.
        while time.perf_counter() < end:
            pass
        clock.step()
    return train_step


class Quiet:
    """The clock, but for the end of a step, which comes after the delay."""
    def __init__(self, clock):
        self.clock = clock
    def start(self):
        self.clock.start()
    def part(self):
        self.clock.part()
    def step(self):
        pass


class Slowing(MetaPathFinder, Loader):
    """Loads the training loop as it is, and puts its step behind `slowed`."""
    def find_spec(self, name, path=None, target=None):
        if name != NAME:
            return None
        spec = PathFinder.find_spec(name, path, target)
        self.real, spec.loader = spec.loader, self
        return spec
    def create_module(self, spec):
        return self.real.create_module(spec)
    def exec_module(self, module):
        self.real.exec_module(module)
        module.train_step = slowed(module.train_step)
        print(f"train_step is slower by {SHARE:.0%}", file=sys.stderr)


sys.meta_path.insert(0, Slowing())
'''
"""A `sitecustomize.py`. The step of the real loop runs as it is, then time passes."""


@dataclass(frozen=True)
class Options:
    """What to run how often."""

    models: tuple[str, ...]
    seeds: int
    runs: int
    slower: float
    train_limit: int
    epochs: int
    device: str
    folder: Path


def main() -> int:
    """Make the runs, compare neighbours, then find the slow one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["resnet18"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--slower", type=float, default=0.10)
    parser.add_argument("--train-limit", type=int, default=384)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--keep", type=Path, help="a folder for the runs")
    given = vars(parser.parse_args())
    keep = given.pop("keep")
    with tempfile.TemporaryDirectory() as name:
        options = Options(**given | {"models": tuple(given["models"])}, folder=keep or Path(name))
        options.folder.mkdir(parents=True, exist_ok=True)
        return benchmark(options)


def benchmark(options: Options) -> int:
    """Print what was found; the exit code."""
    runs = [make_run(options, f"{number:02}") for number in range(1, options.runs + 1)]
    alarmed = sum(show(compared(a, b)) for a, b in pairwise(runs))
    pairs = len(runs) - 1
    print(f"\nfalse alarms: in {alarmed} of {pairs} pairs ({alarmed / max(1, pairs):.0%})")
    slow = make_run(options, "slow", options.slower)
    found = compared(runs[-1], slow)
    show(found)
    caught = any(line.verdict.word == "slower" for line in found.lines)
    print(f"a step slower by {options.slower:.0%}: {'found' if caught else 'NOT found'}")
    return int(not caught or alarmed > allowed(pairs))


def allowed(pairs: int) -> int:
    """The most false alarms that a true rate of 5 % has in 99 of 100 cases."""
    from scipy.stats import binom

    return int(binom.ppf(0.99, pairs, 0.05))


def make_run(options: Options, name: str, slower: float | None = None) -> Path:
    """A run folder of that name; one that is there and has its table is taken as it is."""
    folder = options.folder / name
    if (folder / TABLE).is_file():
        return folder
    command = [sys.executable, str(ROOT / "run_bench.py"), "--models", *options.models]
    command += ["--preset", "smoke", "--dataset", "shapes10"]
    command += ["--seeds", str(options.seeds), "--epochs", str(options.epochs)]
    command += [
        "--device",
        options.device,
        "--train-limit",
        str(options.train_limit),
        "--no-fit",
        "--no-inspect",
        "--card",
    ]
    command += ["--output", str(folder)]
    print(f"run {name} ...", flush=True)
    with tempfile.TemporaryDirectory() as hooks:
        ended = subprocess.run(
            command, env=environment(Path(hooks), slower), capture_output=True, text=True
        )
    if ended.returncode:
        raise SystemExit(f"run {name} ended with {ended.returncode}: {ended.stderr[-500:]}")
    if slower is not None and "train_step is slower" not in (folder / "workers.log").read_text():
        raise SystemExit("the slow-down did not reach the workers")
    return folder


def environment(hooks: Path, slower: float | None) -> dict[str, str]:
    """This process's environment; to slow down, with a folder on the path that does it."""
    if slower is None:
        return dict(os.environ)
    (hooks / "sitecustomize.py").write_text(HOOK)
    paths = [str(hooks), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {SLOW: str(slower), "PYTHONPATH": os.pathsep.join(paths)}


def compared(a: Path, b: Path) -> Comparison:
    """Two runs in the usual metrics, but for those that nobody measured."""
    return compare(read_side(a), read_side(b), [BY_NAME[name] for name in USUAL])


def show(found: Comparison) -> bool:
    """Print the lines of a comparison; whether one of them tells the two apart."""
    print(f"{Path(found.a).name} against {Path(found.b).name}")
    for line in found.lines:
        print(
            f"  {line.label:12} {line.metric.name:20} {line.effect.change:8.4f} "
            f"± {line.effect.half_width or 0:.4f}  {line.verdict.text}"
        )
    return any(line.verdict.apart for line in found.lines)


if __name__ == "__main__":
    sys.exit(main())

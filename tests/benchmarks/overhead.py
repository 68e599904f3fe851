"""What measuring costs: the seconds of whole commands, by phase.

`python tests/benchmarks/overhead.py` in the repository's root, on an idle machine, or with some of
`smoke`, `quick`, `trials` (2 against 22 tiny trials) and `thousand` (a thousand trials of one step
each, which take ten minutes). A phase is explained in `bench/report/sections/run_time.py`;
`report` is what the command takes beyond the phases that its log knows: starting, and the report.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import load_run
from bench.report.sections.run_time import MEASUREMENT

ROOT = Path(__file__).parents[2]
TINY = "--models resnet18 --dataset shapes10 --train-limit 32 --test-limit 16 --batch-size 32"
TINY += " --epochs 1 --no-max-batch --no-inspect --card --device cpu --preset smoke --seeds "
COMMANDS = {
    "smoke": "--models resnet18 googlenet --preset smoke",
    "quick": "--models resnet18 googlenet --preset quick --dataset shapes10",
    "2 trials": f"{TINY}2",
    "22 trials": f"{TINY}22",
    "1,000 trials": f"{TINY}1000",
}
ASKED = {"trials": ["2 trials", "22 trials"], "thousand": ["1,000 trials"]}


def timed(words: str) -> tuple[float, dict[str, float], int]:
    """Seconds of a command, its phases, and the most resident bytes of its process."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        command = [sys.executable, str(ROOT / "run_bench.py"), *words.split()]
        start, most = perf_counter(), 0
        process = psutil.Popen(
            [*command, "--output", str(output)],
            stdout=subprocess.DEVNULL,
            env=os.environ | {"ARCHBENCH_CACHE": str(Path(folder) / "cache")},
        )
        while process.poll() is None:
            try:
                most = max(most, process.memory_info().rss)
                process.wait(1)
            except (psutil.Error, subprocess.TimeoutExpired):
                continue
        seconds = perf_counter() - start
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        return seconds, load_run(output).phase_seconds, most


def main() -> int:
    """Print a line for each command, and what one more trial costs."""
    asked = sys.argv[1:] or ["smoke", "quick", "trials"]
    found: dict[str, tuple[float, float]] = {}
    for name in [name for word in asked for name in ASKED.get(word, [word])]:
        seconds, phases, most = timed(COMMANDS[name])
        measured = sum(phases.get(phase, 0.0) for phase in MEASUREMENT)
        found[name] = seconds, measured
        phases |= {"report": seconds - sum(phases.values())}
        print(
            f"{name}: {seconds:.1f} s, of which training and evaluation {measured:.1f} s; the rest "
            f"is {100 * (seconds - measured) / measured:.0f} % of those; its process took "
            f"{most / 2**20:.0f} MiB at most"
        )
        parts = sorted(phases.items(), key=lambda part: -part[1])
        print("  " + ", ".join(f"{phase} {value:.2f}" for phase, value in parts), flush=True)
    if {"2 trials", "22 trials"} <= found.keys():
        (few, few_measured), (many, many_measured) = found["2 trials"], found["22 trials"]
        each, trained = (many - few) / 20, (many_measured - few_measured) / 20
        print(f"each further trial: {each:.2f} s, {trained:.2f} s of it training and evaluation")
    return 0


if __name__ == "__main__":
    sys.exit(main())

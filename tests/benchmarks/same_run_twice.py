"""How often does `compare` raise a false alarm on this machine, and does it find a real slow-down?

    python tests/benchmarks/same_run_twice.py --runs 20 --seeds 5

Runs the smoke preset so many times, each run with the same models, seeds and images, and compares
every run with the next: whatever is called better or worse is a false alarm. Then one run more with
every training step made a tenth longer (it sleeps; the patch lives in a `sitecustomize` that only
that run's workers see, so that nothing of it is in the harness), which must be called slower.
Prints a line per comparison. Run it on an otherwise idle machine; it asserts nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

PATCH = '''
import importlib.abc
import importlib.util
import sys
import time

SLOWER = {slower}


class Slow(importlib.abc.MetaPathFinder):
    """Wraps the training step when its module is imported."""

    def find_spec(self, name, path, target=None):
        if name != "bench.train.loop":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            step = module.train_step

            def slow(*arguments, **options):
                start = time.perf_counter()
                step(*arguments, **options)
                time.sleep(SLOWER * (time.perf_counter() - start))

            module.train_step = slow

        spec.loader.exec_module = exec_module
        return spec


if "bench.worker" in sys.orig_argv:
    sys.meta_path.insert(0, Slow())
'''


def run(folder: Path, asked: argparse.Namespace, patch: Path | None = None) -> None:
    """One smoke run into a folder, unless it is there."""
    if folder.exists():
        return
    command = [sys.executable, str(ROOT / "run_bench.py"), "--preset", "smoke", "--no-fit"]
    command += ["--models", *asked.models, "--seeds", str(asked.seeds), "--dataset", "shapes10"]
    command += ["--batch-size", str(asked.batch_size), "--no-inspect", "--output", str(folder)]
    paths = [str(patch), str(ROOT)] if patch else [str(ROOT)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    subprocess.run(command, env=environment, check=True, capture_output=True)


def compare(a: Path, b: Path) -> list[dict[str, Any]]:
    """The lines of a comparison."""
    command = [sys.executable, "-m", "bench", "compare", str(a), str(b), "--format", "json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    lines: list[dict[str, Any]] = json.loads(done.stdout)
    return lines


def show(name: str, lines: list[dict[str, Any]]) -> int:
    """Print the speeds of a comparison; returns how many lines are called better or worse."""
    for line in lines:
        if line["metric"] == "images_per_second":
            interval = f"{line['low']:.3f} to {line['high']:.3f}" if line["low"] else "no interval"
            machine = f"{line['machine_ratio']:.3f}" if line["machine_ratio"] else "unknown"
            print(
                f"{name} {line['model']}: {line['change']:.3f} ({interval}), machine {machine}, "
                f"{line['noisy_trials']} noisy: {line['verdict']} ({line['why']})",
                flush=True,
            )
    alarms = [line for line in lines if line["answer"] in ("better", "worse")]
    for line in alarms:
        print(f"  called {line['verdict']}: {line['model']} {line['metric']}", flush=True)
    return len(alarms)


def main() -> None:
    """Make the runs and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=["resnet18"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--slower", type=float, default=0.10)
    parser.add_argument("--output", type=Path, help="keep the runs in this folder; compares again")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        kept = asked.output or Path(scratch)
        folders = [kept / f"run{number}" for number in range(asked.runs)]
        false, questions = 0, 0
        for number, folder in enumerate(folders):
            run(folder, asked)
            if number:
                lines = compare(folders[number - 1], folder)
                questions += len(lines)
                false += bool(show(f"{number}:{number + 1}", lines))
        print(f"false alarms: {false} of {len(folders) - 1} comparisons ({questions} questions)")
        patch = Path(scratch) / "patch"
        patch.mkdir()
        (patch / "sitecustomize.py").write_text(PATCH.replace("{slower}", str(asked.slower)))
        slow = kept / "slow"
        run(slow, asked, patch)
        found = show(f"steps {asked.slower:.0%} longer,", compare(folders[-1], slow))
        print(f"slow-down {'found' if found else 'NOT found'}")


if __name__ == "__main__":
    main()

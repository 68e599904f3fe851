"""Kill a small real run at a random moment, resume it, again and again until it is done.

`python tests/killing.py 100` does so a hundred times by hand and prints what came of it, for the
seeds from 0 or from a second number on; the short form is a test. Worker, parent or both are killed
with SIGKILL; the outcome must be the uninterrupted run's, to the last bit, and what was in the log
must still be there.
"""

import contextlib
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from PIL import Image

from bench import load_run
from bench.errors import Refused

ROOT = Path(__file__).parents[1]
CURVES = ["model", "seed", "epoch", "train_loss", "train_accuracy"]
CURVES += ["validation_loss", "validation_accuracy"]
FINAL = ["model", "seed", "final_test_loss", "final_test_accuracy"]
MEASURED = re.compile('"event":"(Epoch|FinalTest)"')
MODELS = ("googlenet",)  # its dropout needs the random state, its auxiliary heads their sums
EPOCHS = 3
UNREPORTED = f"""
import runpy, sys, types
sys.path.insert(0, {str(ROOT)!r})
write = sys.modules["bench.report.write"] = types.ModuleType("bench.report.write")
write.write_report = lambda run: None
runpy.run_path({str(ROOT / "run_bench.py")!r}, run_name="__main__")
"""
RUN_BENCH = (sys.executable, "-c", UNREPORTED)
"""The command without its report and what draws that, which take as long as the run; nothing here
looks at it."""


@dataclass(frozen=True)
class Outcome:
    """How often it was killed, and what was wrong at the end; "" if nothing was."""

    kills: int
    wrong: str


def make_images(folder: Path, train: int = 24, test: int = 8, noise: float = 60) -> Path:
    """Two classes of noise around two greys, so many training and test images of each."""
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("test", test)):
        for label, level in (("dark", 60), ("light", 190)):
            (folder / part / label).mkdir(parents=True)
            for number in range(count):
                pixels = rng.normal(level, noise, (16, 16, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / label / f"{number:03}.png")
    return folder


def command(images: Path, output: Path, models: Sequence[str] = MODELS) -> list[str]:
    """The run that is killed."""
    words = [*RUN_BENCH, "--models", *models, "--no-fit"]
    words += ["--preset", "smoke", "--dataset", "folder", "--data-dir", str(images)]
    words += ["--train-limit", "all", "--test-limit", "all", "--batch-size", "16"]
    words += f"--epochs {EPOCHS} --seeds 2 --recipe onecycle --augment cutout".split()
    words += ["--validation", "16", "--card", "--device", "cpu"]
    return [*words, "--output", str(output)]


def resume_command(output: Path) -> list[str]:
    """What goes on with it."""
    return [*RUN_BENCH, "--resume", str(output)]


def curves(output: Path) -> pd.DataFrame:
    """What must not depend on interruptions."""
    run = load_run(output)
    return run.epochs[CURVES].merge(run.models[FINAL], on=["model", "seed"])


def uninterrupted(images: Path, output: Path) -> tuple[pd.DataFrame, float]:
    """The curves of a run that nobody kills, and how many seconds it took."""
    start = time.monotonic()
    subprocess.run(command(images, output), check=True, capture_output=True)
    return curves(output), time.monotonic() - start


def kill_until_done(
    images: Path, output: Path, truth: pd.DataFrame, seconds: float, seed: int, most: int = 6
) -> Outcome:
    """Start, kill at random moments at most so many times, resume; compare in the end."""
    chance, kills, rounds = random.Random(seed), 0, 0
    while True:
        begun = _begun(output)
        before = _measured(output) if begun else []
        words = resume_command(output) if begun else command(images, output)
        process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if kills < most:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0, seconds * 1.1))
            if process.poll() is None:
                kills += 1
                _kill(process, chance.choice(["worker", "parent", "both"]))
        try:
            _, errors = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.kill()
            return Outcome(kills, "it did not end")
        if begun and before != _measured(output)[: len(before)]:
            return Outcome(kills, "what was measured has changed")
        if process.returncode == 0:
            break
        if "Traceback" in errors:
            return Outcome(kills, f"a traceback: {errors[-500:]}")
        rounds += 1
        if rounds > 2 * most + 4:
            return Outcome(kills, "it goes on for ever")
        if kills >= most and process.returncode not in (0, 1, -9):
            return Outcome(kills, f"exit code {process.returncode}: {errors[-500:]}")
        if not _begun(output):
            _empty(output)
    if not curves(output).equals(truth):
        return Outcome(kills, "the curves differ from the uninterrupted run's")
    statuses = set(load_run(output).models.status)
    left = list((output / "checkpoints").glob("*"))
    if statuses != {"done"} or left:
        return Outcome(kills, f"statuses {statuses}, checkpoints left {left}")
    return Outcome(kills, "")


def _begun(output: Path) -> bool:
    """Whether there is a run to resume."""
    try:
        run = load_run(output)
        return bool(run.dataset and run.device)
    except Refused:
        return False


def _measured(output: Path) -> list[str]:
    """Every epoch and final test in the log, times included, in their order there."""
    lines = (output / "events.jsonl").read_text().splitlines()
    return [line for line in lines if MEASURED.search(line) and line.endswith("}")]


def _kill(process: "subprocess.Popen[str]", target: str) -> None:
    with contextlib.suppress(psutil.Error):
        workers = psutil.Process(process.pid).children(recursive=True)
        victims = workers if target in ("worker", "both") else []
        for victim in victims:
            with contextlib.suppress(psutil.Error):
                victim.kill()
        if target in ("parent", "both") or not workers:
            process.kill()


def _empty(output: Path) -> None:
    """A run that was killed before it began leaves nothing worth keeping."""
    import shutil

    shutil.rmtree(output, ignore_errors=True)


def main() -> int:
    """Do it as often as the command line says."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as folder:
        images = make_images(Path(folder) / "images")
        truth, seconds = uninterrupted(images, Path(folder) / "truth")
        print(f"uninterrupted: {seconds:.1f} s")
        good = kills = 0
        for seed in range(first, first + times):
            output = Path(folder) / f"run{seed}"
            outcome = kill_until_done(images, output, truth, seconds, seed)
            good, kills = good + (not outcome.wrong), kills + outcome.kills
            print(
                f"{seed}: {outcome.kills} kills, {outcome.wrong or 'as uninterrupted'}", flush=True
            )
        print(f"{good} of {times} ended as the uninterrupted run, after {kills} kills in all")
    return 0 if good == times else 1


if __name__ == "__main__":
    sys.exit(main())

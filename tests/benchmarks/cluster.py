"""A local Ray cluster, by hand: many tiny trials, or one thing after another killed.

`python tests/benchmarks/cluster.py trials [SEEDS]` trains two tiny models with so many seeds on
four nodes, and says how long that took, how busy the slots were and what the driver needs for a
trial.
`python tests/benchmarks/cluster.py kills [TIMES] [FIRST]` kills the driver, an actor, a worker or a
node of a run at a random moment, resumes it if need be, and compares what came of it with a run
that nobody disturbed. Both need the extra `cluster`, and processors with nothing else to do.
"""

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import load_run
from bench.analysis.slots import busy_share, spans_of
from bench.errors import Refused

ROOT = Path(__file__).parents[2]
CURVES = ["model", "seed", "epoch", "train_loss", "test_loss"]
TINY = "--preset smoke --dataset shapes10 --device cpu --no-max-batch --no-inspect --card"
KILLED = ("driver", "actor", "worker", "node")
RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"}


def start(words: list[str]) -> psutil.Popen:
    """A command, without its output."""
    return psutil.Popen(words, stdout=subprocess.DEVNULL)


def cluster_of(nodes: int) -> tuple[Any, list[Any]]:
    """A cluster of so many nodes of one processor each, and its nodes but the first."""
    os.environ |= RAY | {"OMP_NUM_THREADS": "1"}  # before Ray is imported
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    return cluster, [cluster.add_node(num_cpus=1) for _ in range(nodes - 1)]


def command(output: Path, words: str, *more: str) -> list[str]:
    """A run of the harness."""
    head = [sys.executable, str(ROOT / "run_bench.py"), *words.split()]
    return [*head, *TINY.split(), "--output", str(output), *more]


def of_cluster(cluster: Any) -> list[str]:
    """The options that use it."""
    return ["--ray-address", cluster.address, "--node-timeout", "15"]


def curves(output: Path) -> list[tuple[Any, ...]]:
    """What must not depend on who died."""
    frame = load_run(output).epochs[CURVES].drop_duplicates(["model", "seed", "epoch"], keep="last")
    return sorted(frame.itertuples(index=False, name=None))


def trials(seeds: int) -> None:
    """Many trials of one step each on four slots."""
    words = f"--models lenet alexnet --epochs 1 --train-limit 32 --test-limit 16 --seeds {seeds}"
    words += " --image-size 64 --batch-size 32"
    with tempfile.TemporaryDirectory() as folder:
        cluster, _ = cluster_of(4)
        output, began = Path(folder) / "run", time.monotonic()
        driver = start(command(output, words, *of_cluster(cluster)))
        used = 0.0
        while driver.poll() is None:
            with contextlib.suppress(psutil.Error):
                used = sum(driver.cpu_times()[:2])
            time.sleep(0.5)
        seconds = time.monotonic() - began
        cluster.shutdown()
        run = load_run(output)
        spans = spans_of(run)
        done = sum(trial.status == "done" for trial in run.trials)
        training, log = max(span.end for span in spans), output / "events.jsonl"
        print(
            f"{done} of {2 * seeds} trials done in {seconds:.0f} s, {training:.0f} s of them "
            f"training; the slots were busy {busy_share(spans, 4):.0%} of that; the driver used "
            f"{used:.0f} s of a processor, {1e3 * used / done:.0f} ms a trial; the log has "
            f"{log.stat().st_size / done / 1e3:.1f} kB a trial"
        )


def kills(times: int, first: int) -> int:
    """Kill something, so many times; the number of runs that were not as undisturbed."""
    words = "--models lenet resnet18:cifar --epochs 3 --train-limit 96 --test-limit 32 --seeds 3"
    words += " --batch-size 32"
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        subprocess.run(
            command(Path(folder) / "truth", words), check=True, stdout=subprocess.DEVNULL
        )
        truth, seconds = curves(Path(folder) / "truth"), time.monotonic() - start
        for number in range(first, first + times):
            what, result = _disturbed(Path(folder) / f"run{number}", words, number, seconds)
            ok = result == truth
            wrong += not ok
            print(f"{number}: {what}: {'as undisturbed' if ok else f'WRONG: {result}'}", flush=True)
    print(f"{times - wrong} of {times} ended as the undisturbed run")
    return wrong


def _disturbed(output: Path, words: str, seed: int, seconds: float) -> tuple[str, Any]:
    chance = random.Random(seed)
    what = KILLED[seed % len(KILLED)]
    cluster, others = cluster_of(3)
    try:
        driver = start(command(output, words, *of_cluster(cluster)))
        time.sleep(chance.uniform(0.5, 1.0) * seconds)
        _kill(what, driver, cluster, others, chance)
        code = driver.wait(300)
        for _ in range(3):
            if code == 0:
                break
            again = [sys.executable, str(ROOT / "run_bench.py"), "--resume", str(output)]
            code = subprocess.run(
                [*again, *of_cluster(cluster)], stdout=subprocess.DEVNULL
            ).returncode
        try:
            return what, curves(output) if code == 0 else f"exit code {code}"
        except Refused as error:
            return what, str(error)
    finally:
        cluster.shutdown()


def _kill(what: str, driver: Any, cluster: Any, others: list[Any], chance: random.Random) -> None:
    if what == "driver":
        driver.kill()
    elif what == "node":
        cluster.remove_node(chance.choice(others), allow_graceful=False)
    else:
        actors = [p for p in psutil.process_iter() if "ray::SlotActor" in " ".join(_line(p))]
        if what == "worker":
            actors = [child for actor in actors for child in actor.children(recursive=True)]
        if actors:
            chance.choice(actors).kill()


def _line(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


if __name__ == "__main__":
    asked, *numbers = sys.argv[1:] or ["trials"]
    if asked == "trials":
        trials(*map(int, numbers or [100]))
    else:
        sys.exit(bool(kills(*map(int, [*numbers, *[30, 0][len(numbers) :]]))))

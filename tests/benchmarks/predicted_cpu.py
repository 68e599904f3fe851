"""How well training speed on the CPU is predicted: simulated steps against steps of real networks.

`python tests/benchmarks/predicted_cpu.py` reads the measured steps of `cpu_training_speed.csv`,
simulates each, and prints errors of images/s: constants are fitted on every second model and judged
on the others, and the other way round.

`--measure FILE` makes such a table on this machine: the job `speed` of a self-check, a process with
one thread per model and image size, round after round. Steps, product and copy are in seconds of
processor time. `--table FILE` reads it in place of the first; `--fit` prints a row for
`bench/prediction/constants.csv`, fitted on all of it.

The first table: a core of an AMD EPYC (Zen 3, AVX2, 32 MiB of last-level cache), torch 2.14,
float32, channels-last memory, Adam, 10 classes; the best of two rounds, beside other work.
"""

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from itertools import product
from pathlib import Path
from statistics import median
from time import process_time
from unittest import mock

import msgspec
from predicted_speed import HEADER, Measured, Prepared, fitted, line

from bench.prediction.cpu import cpu_work
from bench.prediction.speed import Constants, fit_for
from bench.records.kernel_trace import KernelTrace
from bench.records.messages import SelfCheckJob, SimulateJob
from bench.records.records import Setting
from bench.settings import make_setting
from bench.system.malloc import allocator_environment

HERE = Path(__file__).parent
MODELS = (
    *("alexnet", "densenet121", "googlenet", "lenet", "resnet18", "resnet50"),
    *("torchvision:efficientnet_b0", "torchvision:mnasnet1_0", "torchvision:mobilenet_v2"),
    *("torchvision:regnet_y_400mf", "torchvision:resnext50_32x4d"),
    *("torchvision:shufflenet_v2_x1_0", "torchvision:squeezenet1_1", "torchvision:vgg11"),
)
BATCHES = {32: 64, 224: 8}
"""Images of a step by their side in pixels."""

START = Constants(0.6, 0.6, 0.2, 0.2, 0.4, 0.8, 0.8, 0.8, 0.8, 20.0)
MOST, HELD = (8.0, 200.0), 0.1
"""Shares of the bandwidth may be above 1, for caches are faster than the memory behind them."""


@dataclass(frozen=True)
class Step:
    """One row: seconds of a training step, and what the processor computes and moves a second."""

    model: str
    image_size: int
    batch_size: int
    step_seconds: float
    flops: float
    bandwidth: float

    @property
    def setting(self) -> Setting:
        """How it was trained."""
        return make_setting(self.image_size, optimizer="adam", precision="fp32")

    @property
    def row(self) -> Measured:
        """The same as a row of other tables."""
        rate = self.batch_size / self.step_seconds
        return Measured("cpu", self.model, "nhwc", "fp32", self.image_size, self.batch_size, rate)


def read_steps(path: Path) -> list[Step]:
    """A table."""
    with path.open(newline="") as file:
        return [
            Step(
                row["model"],
                int(row["image_size"]),
                int(row["batch_size"]),
                float(row["step_seconds"]),
                float(row["flops"]),
                float(row["bandwidth"]),
            )
            for row in csv.DictReader(file)
        ]


def measure(rounds: int) -> list[Step]:
    """Steps of every model here: the best of the rounds, each of which has the median of five."""
    found: dict[tuple[str, int], list[Step]] = {}
    for number, model, side in product(range(rounds), MODELS, BATCHES):
        if number == 0 or (model, side) in found:
            step = measured(model, side)
            if step is not None:
                found.setdefault((model, side), []).append(step)
                print(number + 1, *astuple(step), flush=True)
    return [
        replace(
            steps[0],
            step_seconds=min(step.step_seconds for step in steps),
            flops=max(step.flops for step in steps),
            bandwidth=max(step.bandwidth for step in steps),
        )
        for steps in found.values()
    ]


def measured(model: str, side: int) -> Step | None:
    """A step in a process of its own, or None if the model does not take such images."""
    environment = os.environ | allocator_environment(limited=False)
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, __file__, "--case", model, str(side)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{model} at {side} px: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return msgspec.json.decode(done.stdout, type=Step)


def case(model: str, side: int) -> Step:
    """A step of this process, in its processor time: what else the machine does hardly counts."""
    from bench.runner.worker.selfcheck_jobs import measure as checked
    from bench.system.devices.cpu import CpuDevice

    setting = make_setting(side, optimizer="adam", precision="fp32")
    job = SelfCheckJob("speed", "cpu", model, setting, BATCHES[side])
    with mock.patch.object(CpuDevice, "mark", side_effect=process_time):
        figures = checked(job).values

    def of(name: str) -> float:
        return median(f.value for f in figures if (f.quantity, f.source) == (name, "measured"))

    names = ("step_seconds", "peak_flops", "peak_bandwidth")
    return Step(model, side, BATCHES[side], *map(of, names))


def simulated(steps: Sequence[Step]) -> dict[Step, KernelTrace]:
    """The kernels of each step."""
    from bench.runner.worker.jobs import simulate_all

    job = SimulateJob(tuple((s.model, s.setting) for s in steps), 10, None, device="cpu")
    traces = (answer.kernels for answer in simulate_all(job))
    return {step: trace for step, trace in zip(steps, traces, strict=True) if trace is not None}


def report(steps: dict[Step, Prepared], constants: Constants) -> None:
    """Errors of models that were held out, and of the constants as they stand."""
    models = sorted({step.model for step in steps})
    held_out: dict[Step, Constants] = {}
    for half in (models[::2], models[1::2]):
        others = fitted([p for s, p in steps.items() if s.model not in half], **HOW)
        held_out |= {step: others for step in steps if step.model in half}
    print(HEADER)
    print_line("every second model held out", steps, held_out)
    for side in BATCHES:
        chosen = {step: made for step, made in held_out.items() if step.image_size == side}
        print_line(f"- at {side} px", steps, chosen)
    print_line("constants.csv", steps, dict.fromkeys(steps, constants))
    for step, made in held_out.items():
        print_line(f"  {step.model.rpartition(':')[2]} {step.image_size} px", steps, {step: made})


HOW = {"start": START, "most": MOST, "held": HELD}


def print_line(name: str, steps: dict[Step, Prepared], constants: dict[Step, Constants]) -> None:
    """Errors of images a second."""
    made = [
        (step.row, step.batch_size / work.seconds(constants[step], rates, bandwidth))
        for step, (work, rates, bandwidth, _) in steps.items()
        if step in constants
    ]
    print(line(name, made))


def write_steps(steps: Iterable[Step], path: Path) -> None:
    """A table, with as many digits as mean something."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow([field.name for field in fields(Step)])
        for step in steps:
            rows.writerow([*astuple(step)[:3], *(f"{value:.4g}" for value in astuple(step)[3:])])


def main() -> int:
    """Measure, or simulate, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=HERE / "cpu_training_speed.csv")
    parser.add_argument("--measure", type=Path, help="write a table of this machine, and no more")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--fit", action="store_true", help="print a row for constants.csv")
    options = parser.parse_args()
    if options.case:
        print(msgspec.json.encode(case(options.case[0], int(options.case[1]))).decode())
        return 0
    if options.measure:
        write_steps(measure(options.rounds), options.measure)
        return 0
    traces = simulated(read_steps(options.table))
    prepared: dict[Step, Prepared] = {
        s: (cpu_work(t.kernels, s.batch_size), (s.flops,) * 3, s.bandwidth, s.step_seconds)
        for s, t in traces.items()
    }
    report(prepared, fit_for("cpu", channels_last=True).constants)
    if options.fit:
        figures = astuple(fitted(list(prepared.values()), **HOW))
        print(",".join(["cpu", "nhwc", *(f"{value:.4f}" for value in figures)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

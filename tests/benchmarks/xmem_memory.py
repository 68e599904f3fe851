"""How well peak memory is predicted: simulated steps against runs measured on two cards.

`python tests/benchmarks/xmem_memory.py` simulates every run of `xmem_measured_sample.csv` and
prints, by model and by optimizer, the relative error of the predicted peak beside those of xMem,
DNNMem and SchedTune for the same runs, and how many of the runs repeated under a cap on torch's
memory end as the replay says. It takes about two seconds for each kind of run; `--models 'ResNet*'`
takes a part.

The measurements, and the columns of the other estimators, are a sample of the public artifact of
the xMem paper (https://arxiv.org/abs/2510.21048, MIT licence): torch 2.6 with CUDA 12.4 on an
RTX 3060 and an RTX 4060, full precision, contiguous, CIFAR-10 at 86 px, optimizers at torch's
defaults (kernels, too: foreach; SGD without momentum), four steps and no evaluation. The measured
peak is the card's memory in use at most, less what was in use before.
"""

import argparse
import csv
import fnmatch
import functools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
SIDE = 86
OTHERS = {"xMem": "xmem", "DNNMem": "dnnmem", "SchedTune": "schedtune"}
NAMES = {
    "ConvNeXtBase": "convnext_base",
    "ConvNeXtTiny": "convnext_tiny",
    "MnasNet": "mnasnet1_0",
    "MobeNetV3Large": "mobilenet_v3_large",
    "MobeNetV3Small": "mobilenet_v3_small",
    "MobileNetV2": "mobilenet_v2",
    "RegNetX400MF": "regnet_x_400mf",
    "RegNetY400MF": "regnet_y_400mf",
}
"""Models whose names are not torchvision's in capitals."""
TEN_CLASSES = ("mnasnet1_0", "mobilenet_v3_large", "mobilenet_v3_small")


@dataclass(frozen=True)
class Run:
    """One row: a run, and the same run under caps on what torch may reserve."""

    model: str
    optimizer: str
    batch_size: int
    card_bytes: int
    peak_bytes: int
    ran_out: bool
    zero_grad: int
    """When gradients are zeroed: 0 before the batch is loaded, 1 after the forward pass, 2 after
    the update."""
    caps: tuple[tuple[int, bool], ...]
    """Bytes, and whether the run ran out under them."""
    others: dict[str, float]
    """Relative errors of the other estimators."""


def read_runs() -> list[Run]:
    """Every measured run."""
    with (HERE / "xmem_measured_sample.csv").open(newline="") as file:
        return [_run(row) for row in csv.DictReader(file)]


def _run(row: dict[str, str]) -> Run:
    return Run(
        row["model"],
        row["optimizer"],
        int(row["batch_size"]),
        int(row["total_gpu_memory_bytes"]),
        int(row["measured_peak_bytes"]),
        row["oom_uncapped"] == "true",
        int(row["zero_grad_mode"] or 1),
        tuple(
            (int(row[f"cap_{cap}_bytes"]), row[f"cap_{cap}_oom"] == "true")
            for cap in (1, 3)
            if row[f"cap_{cap}_oom"]
        ),
        {name: float(row[f"{column}_rel_error"]) for name, column in OTHERS.items()},
    )


@functools.cache
def measured_step(model: str, optimizer: str, zero_grad: int, count: int):
    """The trace of so many training steps as they were measured, for any batch size."""
    import torch
    import torchvision
    from torch.nn.functional import cross_entropy

    from bench.prediction.simulate import MemoryTrace, building, trace

    name = NAMES.get(model, model.lower())
    classes = 10 if name in TEN_CLASSES else 1000
    with building():
        network = torchvision.models.get_model(name, num_classes=classes).train()

    def steps(module: torch.nn.Module, memory: MemoryTrace, batch_size: int) -> None:
        how = getattr(torch.optim, optimizer)(module.parameters(), lr=0.001, foreach=True)
        for _ in range(count):
            if zero_grad == 0:
                how.zero_grad()
            images = torch.empty(batch_size, 3, SIDE, SIDE, device="cuda")
            labels = torch.zeros(batch_size, dtype=torch.int64, device="cuda")
            outputs = module(images)
            loss = cross_entropy(outputs, labels)
            if zero_grad == 1:
                how.zero_grad()
            loss.backward()
            how.step()
            if zero_grad == 2:
                how.zero_grad()

    return trace(network, steps, channels_last=False, classes=classes)


@dataclass(frozen=True)
class Judged:
    """A run and what the simulation said of it."""

    run: Run
    completes: bool
    """Whether it would complete on the whole card, less the reserve."""
    peak_bytes: int
    """The most that torch would reserve there; where it would not complete, what it would need."""
    capped: tuple[bool, ...]
    """Whether it would complete under each cap."""

    @property
    def error(self) -> float:
        """Relative error of the peak; negative where it is too low."""
        return self.peak_bytes / self.run.peak_bytes - 1

    @property
    def right(self) -> tuple[bool, ...]:
        """Of each cap: whether the run ended as was said."""
        return tuple(
            said is not ran_out
            for said, (_, ran_out) in zip(self.capped, self.run.caps, strict=True)
        )


def judge(run: Run, steps: int = 2) -> Judged:
    """Simulate so many steps of a run, and replay them on its card and under its caps."""
    from bench.prediction.caching_allocator import completes, needed_bytes, replay
    from bench.prediction.cards import DEFAULT_RESERVE_BYTES

    batch = run.batch_size
    trace = measured_step(run.model, run.optimizer, run.zero_grad, steps)
    usable = run.card_bytes - DEFAULT_RESERVE_BYTES
    fits = completes(trace, batch, usable)
    peak = replay(trace, batch, usable).peak_reserved if fits else needed_bytes(trace, batch).enough
    return Judged(run, fits, peak, tuple(completes(trace, batch, cap) for cap, _ in run.caps))


def spread(errors: Iterable[float]) -> str:
    """The median of absolute errors, and what nine of ten do not exceed."""
    ordered = sorted(abs(error) for error in errors)
    return f"{median(ordered):.1%} {ordered[-(-9 * len(ordered) // 10) - 1]:.1%}"


def report(judged: Sequence[Judged]) -> None:
    """Print the tables."""
    peaks = [j for j in judged if not j.run.ran_out]
    print(f"relative error of the peak, median and 90 %: {len(peaks)} runs that did not run out")
    print(f"{'':16}{'runs':>5}{'here':>14}" + "".join(f"{name:>16}" for name in OTHERS))
    groups = {"all": peaks}
    for column in ("optimizer", "model"):
        for value in sorted({getattr(j.run, column) for j in peaks}):
            groups[value] = [j for j in peaks if getattr(j.run, column) == value]
    for name, group in groups.items():
        others = "".join(f"{spread(j.run.others[o] for j in group):>16}" for o in OTHERS)
        print(f"{name:16}{len(group):5}{spread(j.error for j in group):>14}{others}")
    right = [end for j in judged for end in j.right]
    whole = sum(j.completes is not j.run.ran_out for j in judged)
    print(f"\nruns under a cap that end as the replay says: {sum(right)} of {len(right)}")
    for j in judged:
        for said, good, (cap, _) in zip(j.capped, j.right, j.run.caps, strict=True):
            if not good:
                end = "completes, but ran out" if said else "runs out, but completed"
                print(f"  {_name(j.run)} in {cap / 2**20:,.0f} MiB: {end}")
    print(f"runs on the whole card, less the reserve: {whole} of {len(judged)}")
    for j in judged:
        if j.completes is j.run.ran_out:
            end = "completes, but ran out" if j.completes else "runs out, but completed"
            print(f"  {_name(j.run)}: {end}")
    print("\npeaks that are off by more than 5 %, and the least cap that the run completed under:")
    for j in sorted(peaks, key=lambda j: j.error):
        if abs(j.error) > 0.05:
            ran = [cap / j.run.peak_bytes for cap, ran_out in j.run.caps if not ran_out]
            least = f"{min(ran):.0%} of its peak" if ran else "none"
            print(f"  {_name(j.run):32}{j.error:+7.1%}  {least}")


def _name(run: Run) -> str:
    return f"{run.model} {run.optimizer} {run.batch_size}"


def main() -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="*", help="wildcard")
    parser.add_argument("--steps", type=int, default=2, help="2, as in every prediction")
    options = parser.parse_args()
    runs = [run for run in read_runs() if fnmatch.fnmatch(run.model, options.models)]
    judged = []
    for run in runs:
        judged.append(judge(run, options.steps))
        print(f"{len(judged)}/{len(runs)} {_name(run):32}", end="\r", file=sys.stderr)
    report(judged)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How well batch sizes are predicted: simulated steps against brackets measured on a real card.

`python tests/benchmarks/predicted_batches.py` simulates every model of
`rtx3090_measured_batches.csv` and prints, by family, how many brackets are satisfied: the predicted
largest batch is at least the one that ran and below the next larger one, which did not. It takes
about two seconds for each row; `--models 'resnet*'` takes a part.

The measurements are facts published with timm's results (July 2022): an RTX 3090, PyTorch 1.12,
CUDA 11.3, float16 autocast, SGD with Nesterov momentum, 1,000 classes. How much of the card its
tensors could use is not known, so one figure per layout is fitted on half of the models (by a hash
of the name) and judged on the other half.

"""

import argparse
import csv
import fnmatch
import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

HERE = Path(__file__).parent
GIB = 2**30

_NOT_CONVOLUTIONAL = (
    "beit cait coat convit crossvit deit edgenext eva gmixer gmlp halonet jx lambda levit maxvit"
    " mixer mobilevit mobilevitv nest pit poolformer pvt resmlp sebotnet sequencer swin swinv"
    " tnt twins vit visformer volo xcit"
)
NOT_CONVOLUTIONAL = frozenset(_NOT_CONVOLUTIONAL.split())
"""Families with attention or MLPs over patches."""


@dataclass(frozen=True)
class Bracket:
    """One row of the measurements: `fits` images ran and `fails` did not (None: 512 ran)."""

    model: str
    layout: str
    image_size: int
    fits: int
    fails: int | None

    @property
    def family(self) -> str:
        """The name up to its first digit or underscore."""
        end = next((i for i, c in enumerate(self.model) if c.isdigit() or c == "_"), None)
        return self.model[:end]

    @property
    def convolutional(self) -> bool:
        """Whether the model is a network of convolutions."""
        return self.family not in NOT_CONVOLUTIONAL

    @property
    def tuned(self) -> bool:
        """Whether it belongs to the half that the usable memory is fitted on."""
        return hashlib.sha256(self.model.encode()).digest()[0] % 2 == 0


@dataclass(frozen=True)
class Needs:
    """What a bracket's two batch sizes need, in bytes; or why that cannot be told."""

    bracket: Bracket
    fits_bytes: int
    fails_bytes: int | None
    seconds: float
    error: str = ""

    def satisfied(self, capacity: float) -> bool:
        """Whether a prediction for that capacity lies within the bracket."""
        return self.fits_bytes <= capacity and (
            self.fails_bytes is None or capacity < self.fails_bytes
        )

    def off(self, capacity: float) -> float:
        """By which share of the capacity it is outside the bracket, 0 within."""
        if self.fits_bytes > capacity:
            return self.fits_bytes / capacity - 1
        if self.fails_bytes is not None and self.fails_bytes <= capacity:
            return 1 - self.fails_bytes / capacity
        return 0.0


def read_brackets() -> list[Bracket]:
    """Every measured row."""
    with (HERE / "rtx3090_measured_batches.csv").open(newline="") as file:
        return [
            Bracket(
                row["model"],
                row["layout"],
                int(row["image_size"]),
                int(row["fits_batch"]),
                int(row["fails_batch"]) if row["fails_batch"] else None,
            )
            for row in csv.DictReader(file)
        ]


def needs(bracket: Bracket) -> Needs:
    """Simulate the step as it was measured, and replay it at the bracket's batch sizes."""
    start = perf_counter()
    try:
        from bench.prediction.caching_allocator import needed_bytes

        trace = measured_step(bracket)
        fits = needed_bytes(trace, bracket.fits).enough
        fails = None if bracket.fails is None else needed_bytes(trace, bracket.fails).enough
    except Exception as error:
        return Needs(bracket, 0, None, perf_counter() - start, f"{type(error).__name__}: {error}")
    return Needs(bracket, fits, fails, perf_counter() - start)


def measured_step(bracket: Bracket):
    """The trace of timm's benchmark step of 2022 for a bracket's model and layout."""
    import timm
    import torch
    from torch.nn.functional import cross_entropy

    from bench.prediction import fake_cuda
    from bench.prediction.simulate import MemoryTrace, building, trace

    channels_last = bracket.layout == "nhwc"
    with building():
        network = timm.create_model(bracket.model).train()

    def steps(module: torch.nn.Module, memory: MemoryTrace, batch_size: int) -> None:
        shape = (batch_size, 3, bracket.image_size, bracket.image_size)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        memory.category = "data"
        images = torch.empty(shape, device="cuda").contiguous(memory_format=layout)
        labels = torch.zeros(batch_size, dtype=torch.int64, device="cuda")
        parameters = [p for p in module.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(parameters, 1e-4, momentum=0.9, nesterov=True, foreach=False)
        memory.watch(optimizer)
        for _ in range(2):
            optimizer.zero_grad(set_to_none=False)
            memory.category = "activations"
            with fake_cuda.autocast(torch.float16):
                output = module(images)
                output = output[0] if isinstance(output, tuple) else output
                loss = cross_entropy(output, labels)
                memory.category = "temporaries"
                loss.backward()
            memory.settle()
            optimizer.step()
            memory.settle()

    return trace(network, steps, channels_last=channels_last, classes=1000)


def best_capacity(found: Sequence[Needs]) -> float:
    """The capacity that satisfies the most brackets; the middle one of several."""
    edges = sorted({n.fits_bytes for n in found} | {n.fails_bytes for n in found if n.fails_bytes})
    scores = [(sum(n.satisfied(edge) for n in found), edge) for edge in edges]
    best = max(score for score, _ in scores)
    winners = [edge for score, edge in scores if score == best]
    return winners[len(winners) // 2]


def share(found: Iterable[Needs], capacity: float) -> str:
    """How many of the brackets are satisfied."""
    found = list(found)
    good = sum(n.satisfied(capacity) for n in found)
    return f"{good}/{len(found)} ({good / len(found):.0%})" if found else "–"


def report(found: list[Needs]) -> None:
    """Print the tables."""
    bad = [n for n in found if n.error]
    for layout in ("nchw", "nhwc"):
        # A row without an upper end, for 512 images ran, says little.
        rows = [n for n in found if not n.error and n.bracket.layout == layout]
        good = [n for n in rows if n.fails_bytes is not None]
        if not good:
            continue
        capacity = best_capacity([n for n in good if n.bracket.tuned] or good)
        print(f"\n{layout}: usable {capacity / GIB:.2f} GiB, fitted on the tuned half")
        print(f"{'':24}{'tuned':>16}{'held out':>16}{'all':>16}")
        groups = {"all": good}
        groups["convolutional"] = [n for n in good if n.bracket.convolutional]
        groups["attention or MLP"] = [n for n in good if not n.bracket.convolutional]
        for family in sorted({n.bracket.family for n in good}):
            groups[family] = [n for n in good if n.bracket.family == family]
        for name, group in groups.items():
            tuned = share((n for n in group if n.bracket.tuned), capacity)
            held = share((n for n in group if not n.bracket.tuned), capacity)
            print(f"{name:24}{tuned:>16}{held:>16}{share(group, capacity):>16}")
        for error in (0.01, 0.02, 0.05):
            within = sum(n.off(capacity) <= error for n in good) / len(good)
            print(f"within {error:.0%} of the usable memory of their bracket: {within:.1%}")
        print("outside their bracket, by how much of the usable memory:")
        outside = [(n, n.off(capacity)) for n in good if not n.satisfied(capacity)]
        for n, off in sorted(outside, key=lambda pair: -pair[1]):
            kind = "held out" if not n.bracket.tuned else "tuned"
            low = "predicted too small" if n.fits_bytes > capacity else "predicted too large"
            print(f"  {n.bracket.model:40}{off:7.1%}  {low}, {kind}")
    seconds = sorted(n.seconds for n in found)
    if seconds:
        print(f"\nseconds a row: median {seconds[len(seconds) // 2]:.2f}, most {seconds[-1]:.2f}")
    for n in bad:
        print(f"not simulated: {n.bracket.model} {n.bracket.layout}: {n.error[:120]}")


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def main() -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="*", help="wildcard")
    parser.add_argument("--layout", choices=["nchw", "nhwc"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--every", type=int, default=1, help="take only every N-th model")
    parser.add_argument("--output", type=Path, help="CSV of what each bracket needs")
    options = parser.parse_args()
    os.environ["TIMM_FUSED_ATTN"] = "0"  # torch 1.12 had no fused attention
    import timm

    brackets = [b for b in read_brackets() if fnmatch.fnmatch(b.model, options.models)]
    names = sorted({b.model for b in brackets})[:: options.every]
    brackets = [b for b in brackets if b.model in names and options.layout in (None, b.layout)]
    unknown = sorted({b.model for b in brackets if not timm.is_model(b.model)})
    print(f"{len(brackets)} brackets; {len(unknown)} models are not in timm {timm.__version__}")
    brackets = [b for b in brackets if b.model not in unknown]
    context = get_context("fork")
    with ProcessPoolExecutor(options.jobs, mp_context=context, initializer=_one_thread) as pool:
        found = []
        for n in pool.map(needs, brackets):
            found.append(n)
            print(f"{len(found)}/{len(brackets)} {n.bracket.model}", end="\r", file=sys.stderr)
    if options.output:
        with options.output.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["model", "layout", "fits_bytes", "fails_bytes", "seconds", "error"])
            for n in found:
                b = n.bracket
                writer.writerow(
                    [b.model, b.layout, n.fits_bytes, n.fails_bytes, round(n.seconds, 2), n.error]
                )
    report(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())

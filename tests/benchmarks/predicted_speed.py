"""How well training speed is predicted: simulated steps against images a second on real cards.

`python tests/benchmarks/predicted_speed.py` traces every model of `rtx3090_training_speed.csv` in
both layouts, about two seconds each, and prints errors of images/s:

- on the RTX 3090, by cross-validation: constants are fitted on one half of the models (by a hash of
  the name) and judged on the other, and the other way round;
- by family of networks, and of the ranking of models; with `--folds family`, constants are fitted
  on all families but the one that is judged;
- on the other cards of `other_cards_training_speed.csv`, whose constants are those of the RTX 3090.

`--every 8` takes every eighth model; `--traces FILE` keeps traces there from run to run; `--fit`
prints rows for `bench/prediction/constants.csv`, fitted on all models of the table. A table of your
own, with the same columns, takes the place of the first with `--table`, and its card with `--card`.

The first table is of timm's published training results (July 2022): an RTX 3090, PyTorch 1.12, fp16
autocast, SGD with Nesterov momentum; of its models, those whose name's SHA-256 begins with an odd
byte. The second has what others published: Lambda's GPU benchmarks (ResNet-50, PyTorch containers),
jcjohnson/cnn-benchmarks (Torch), ryujaehun/pytorch-gpu-benchmark, TensorFlow's benchmarks of 2017,
and C. Northcutt's (PyTorch); `amp` is fp16 autocast, and their `fp32` is TF32 from Ampere on.
"""

import argparse
import csv
import fnmatch
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np

from bench.prediction.cards import Card, Peaks, find_card
from bench.prediction.speed import Constants, Workload, fit_for, predict_speed, rates_of
from bench.records.kernel_trace import Kernel, KernelTrace
from bench.records.records import Setting

HERE = Path(__file__).parent
SGD_1_12 = (6, 60)
"""Kernels per tensor and bytes per parameter of the update in PyTorch 1.12: SGD with Nesterov
momentum, a loop over tensors, with gradients zeroed and accumulated."""

START = Constants(0.6, 0.6, 0.2, 0.2, 0.4, 0.5, 0.5, 0.7, 0.7, 2.0)

_WHITEPAPER = "NVIDIA's whitepapers of Pascal, Turing, Ampere and Hopper"
OTHERS = {
    "p100": Peaks(10.6e12, 732e9, source=f"SXM2; {_WHITEPAPER}"),
    "k80": Peaks(4.37e12, 240e9, source="one of its two chips; NVIDIA's board specification"),
    "titanrtx": Peaks(16.3e12, 672e9, fp16=130.5e12, source=_WHITEPAPER),
    "a6000": Peaks(38.7e12, 768e9, 77.4e12, 154.8e12, source=_WHITEPAPER),
    "h100-pcie": Peaks(51.2e12, 2039e9, 378.2e12, 756.4e12, source=_WHITEPAPER),
}
"""Cards of the second table that `cards.csv` has not, or not in that form."""

NAMES = {
    "v100": "v100-16gb",
    "a100": "a100-40gb",
    "a100-80": "a100-80gb",
    "a10": "a10g",
    "rtx8000": "rtx8000-48gb",
    "h100-sxm": "h100-80gb",
}
"""Cards of the second table by their names in `cards.csv`."""


@dataclass(frozen=True)
class Measured:
    """One row of a table: images a second of a model's training step on a card."""

    card: str
    model: str
    layout: str
    precision: str
    image_size: int
    batch: int
    images_per_second: float
    optimizer: tuple[int, int] = SGD_1_12
    source: str = ""

    @property
    def family(self) -> str:
        """The name up to its first digit or underscore."""
        end = next((i for i, c in enumerate(self.model) if c.isdigit() or c == "_"), None)
        return self.model[:end]

    @property
    def half(self) -> int:
        """Which half of the table it belongs to, by the name alone."""
        return hashlib.sha256(self.model.encode()).digest()[1] % 2

    @property
    def shape(self) -> tuple[str, str, str, int]:
        """What its trace depends on."""
        return self.model, self.layout, self.precision, self.image_size


@dataclass(frozen=True)
class Traced:
    """The forward and backward kernels of a shape, or why there are none."""

    shape: tuple[str, str, str, int]
    trace: KernelTrace
    parameters: int
    tensors: int
    seconds: float
    error: str = ""


def read_table(path: Path, card: str = "rtx3090") -> list[Measured]:
    """A table of training speeds of one card, in fp16."""
    with path.open(newline="") as file:
        return [
            Measured(
                card,
                row["model"],
                row["layout"],
                "fp16",
                int(row["image_size"]),
                int(row["batch"]),
                float(row["images_per_second"]),
            )
            for row in csv.DictReader(file)
        ]


def read_others() -> list[Measured]:
    """The table of other cards, but for what has no peaks here, or is half precision throughout."""
    rows = []
    with (HERE / "other_cards_training_speed.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            peaks = peaks_of(row["card"])
            if peaks is None or row["precision"] == "half":
                continue
            full = "fp32" if peaks.tf32 is None else "tf32"
            update = row["optimizer_kernels_per_tensor"], row["optimizer_bytes_per_parameter"]
            rows.append(
                Measured(
                    row["card"],
                    row["model"],
                    row["layout"],
                    "fp16" if row["precision"] == "amp" else full,
                    299 if row["model"] == "inception_v3" else 224,
                    int(row["batch"]),
                    float(row["images_per_second"]),
                    (int(update[0]), int(update[1])),
                    row["source"],
                )
            )
    return rows


def peaks_of(card: str) -> Peaks | None:
    """A card's peaks by its name in either table; None if there are none."""
    if card in OTHERS:
        return OTHERS[card]
    try:
        return find_card(NAMES.get(card, card)).peaks
    except Exception:
        return None


def traced(shape: tuple[str, str, str, int]) -> Traced:
    """Trace forward and backward pass of a model as it was measured."""
    start = perf_counter()
    try:
        trace, sizes = _trace(*shape)
        return Traced(shape, trace, sum(sizes), len(sizes), perf_counter() - start)
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        return Traced(shape, KernelTrace(()), 0, 0, perf_counter() - start, reason)


def _trace(model: str, layout: str, precision: str, side: int) -> tuple[KernelTrace, list[int]]:
    import timm
    import torch
    import torchvision
    from torch.nn.functional import cross_entropy

    from bench.prediction import fake_cuda
    from bench.prediction.kernels import KernelRecorder
    from bench.prediction.simulate import MemoryTrace, building, trace

    channels_last = layout == "nhwc"
    with building():
        name = {"xception": "legacy_xception"}.get(model, model)
        if timm.is_model(name):
            network = timm.create_model(name)
            config = network.pretrained_cfg
            if config.get("fixed_input_size") and config["input_size"][-1] != side:
                network = timm.create_model(name, img_size=side)
        else:
            options = {"init_weights": False} if model in ("googlenet", "inception_v3") else {}
            network = torchvision.models.get_model(model, **options)
    network.train()

    def steps(module: torch.nn.Module, memory: MemoryTrace, batch_size: int) -> None:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        images = torch.empty((batch_size, 3, side, side), device="cuda")
        images = images.contiguous(memory_format=layout)
        labels = torch.zeros(batch_size, dtype=torch.int64, device="cuda")
        with fake_cuda.autocast(torch.float16 if precision == "fp16" else None):
            output = module(images)
            output = output[0] if isinstance(output, tuple) else output
            loss = cross_entropy(output, labels)
            loss.backward()

    recorder = KernelRecorder()
    trace(network, steps, channels_last=channels_last, classes=1000, kernels=recorder)
    return recorder.trace(), [p.numel() for p in network.parameters() if p.requires_grad]


@dataclass(frozen=True)
class Case:
    """A measured row with its kernels, the update included."""

    row: Measured
    kernels: tuple[Kernel, ...]

    @property
    def work(self) -> Workload:
        """Its kernels at its batch."""
        last = self.row.layout == "nhwc"
        return Workload(self.kernels, self.row.batch, channels_last=last)

    @property
    def grouped(self) -> bool:
        """Whether it has convolutions of groups that are not depthwise."""
        return any(kernel.kind == "grouped convolution" for kernel in self.kernels)


def cases(rows: Iterable[Measured], traces: dict[tuple[str, str, str, int], Traced]) -> list[Case]:
    """Rows that could be traced."""
    made = []
    for row in rows:
        found = traces.get(row.shape)
        if found is None or found.error:
            continue
        launches, each = row.optimizer[0] * found.tensors, row.optimizer[1] * found.parameters
        update = Kernel("optimizer", False, 0, 0, each // launches, 0, count=launches)
        made.append(Case(row, (*found.trace.kernels, update)))
    return made


def predicted(case: Case, constants: Constants) -> float:
    """Images a second."""
    peaks = peaks_of(case.row.card)
    assert peaks is not None
    rates = rates_of(peaks, case.row.precision)
    assert rates is not None
    return case.row.batch / case.work.seconds(constants, rates, peaks.bandwidth)


Prepared = tuple[Workload, Sequence[float], float, float]
"""A step's kernels, rates and bandwidth of the device, and the seconds that it took."""


def fit(given: Sequence[Case]) -> Constants:
    """The constants of one card."""
    prepared: list[Prepared] = []
    for case in given:
        peaks = peaks_of(case.row.card)
        rates = rates_of(peaks, case.row.precision) if peaks else None
        assert peaks is not None
        assert rates is not None
        seconds = case.row.batch / case.row.images_per_second
        prepared.append((case.work, rates, peaks.bandwidth, seconds))
    return fitted(prepared)


def fitted(
    prepared: Sequence[Prepared],
    start: Constants = START,
    *,
    most: tuple[float, float] = (1.6, 20.0),
    held: float = 0.0,
) -> Constants:
    """The constants that make the logarithms of times agree best, outliers counting little; shares
    and microseconds are at most so many. Where few steps are known, constants are `held` near those
    to start from: a step that is off by 1 counts as much as one that is off by 1 / held."""
    from scipy.optimize import least_squares

    logs_start = np.log(np.array(astuple(start)))

    def residuals(logs: np.ndarray) -> np.ndarray:
        constants = Constants(*np.exp(logs))
        return np.array(
            [
                np.log(work.seconds(constants, rates, bandwidth) / seconds)
                for work, rates, bandwidth, seconds in prepared
            ]
            + list(held * (logs - logs_start))
        )

    low, high = np.log([0.005] * 9 + [0.2]), np.log([most[0]] * 9 + [most[1]])
    best = None
    for scale in (1.0, 0.5):
        begin = np.clip(logs_start + np.log(scale), low + 1e-3, high - 1e-3)
        found = least_squares(
            residuals, begin, bounds=(low, high), loss="soft_l1", f_scale=0.1, diff_step=1e-3
        )
        best = found if best is None or found.cost < best.cost else best
    return Constants(*(float(value) for value in np.exp(best.x)))


def line(name: str, made: Sequence[tuple[Measured, float]]) -> str:
    """Errors of images/s: median, 90th percentile, bias, shares within factors, ranking."""
    from scipy.stats import spearmanr

    if not made:
        return f"{name[:34]:34}    0"
    true = np.array([row.images_per_second for row, _ in made])
    guess = np.array([value for _, value in made])
    error, ratio = np.abs(guess / true - 1), np.abs(np.log(guess / true))
    within = "".join(f"{(ratio <= np.log(f)).mean():9.1%}" for f in (1.3, 1.5, 2.0))
    i, j = np.triu_indices(len(true), 1)
    far = np.abs(np.log(true[i] / true[j])) > np.log(1.2)
    order = ((guess[i] > guess[j]) == (true[i] > true[j]))[far]
    rank = f"{spearmanr(guess, true)[0]:9.3f}{order.mean():8.1%}" if far.any() else ""
    bias = np.exp(np.median(np.log(guess / true)))
    return (
        f"{name[:34]:34}{len(made):>5}{np.median(error):8.1%}{np.quantile(error, 0.9):8.1%}"
        f"{bias:8.2f}{within}{rank}"
    )


HEADER = (
    f"{'':34}{'n':>5}{'median':>8}{'p90':>8}{'bias':>8}{'x/÷1.3':>9}{'x/÷1.5':>9}{'x/÷2':>9}"
    f"{'Spearman':>9}{'pairs':>8}"
)


FOLDS: dict[str, Callable[[Measured], object]] = {
    "half": lambda row: row.half,
    "family": lambda row: row.family,
}
"""What is left out of the fit that it is judged on."""


def report_table(given: Sequence[Case], fold: str) -> None:
    """The cross-validated table of one card, by layout and family."""
    for layout in ("nchw", "nhwc"):
        of_layout = [case for case in given if case.row.layout == layout]
        if len(of_layout) < 20:
            continue
        made: list[tuple[Case, float]] = []
        out = FOLDS[fold]
        for left in sorted({out(case.row) for case in of_layout}):
            constants = fit([case for case in of_layout if out(case.row) != left])
            judged = [case for case in of_layout if out(case.row) == left]
            made += [(case, predicted(case, constants)) for case in judged]
        groups: dict[str, Callable[[Case], bool]] = {
            f"all, each {fold} held out": lambda case: True,
            "without grouped convolutions": lambda case: not case.grouped,
            "with grouped convolutions": lambda case: case.grouped,
        }
        print(f"\n{layout}\n{HEADER}")
        for name, chosen in groups.items():
            print(line(name, [(case.row, value) for case, value in made if chosen(case)]))
        naive = [(case.row, 1 / _operations(case)) for case in of_layout]
        scale = np.median([row.images_per_second / value for row, value in naive])
        print(line("arithmetic alone", [(row, value * scale) for row, value in naive]))
        for family in sorted({case.row.family for case in of_layout}):
            of_family = [(case.row, value) for case, value in made if case.row.family == family]
            if len(of_family) >= 4:
                print(line(f"  {family}", of_family))


def report_others(given: Sequence[Case]) -> None:
    """The table of other cards, by source and card."""
    made = [(case.row, predicted(case, _carried(case))) for case in given]
    print(f"\nother cards, with the constants of the RTX 3090\n{HEADER}")
    print(line("fp16", [(r, v) for r, v in made if r.precision == "fp16"]))
    large = [(r, v) for r, v in made if r.precision != "fp16" and "ryuj" not in r.source]
    print(line("fp32 or TF32", large))
    print(line("- without VGG", [(r, v) for r, v in large if r.family != "vgg"]))
    print(line("- VGG alone", [(r, v) for r, v in large if r.family == "vgg"]))
    for key in sorted({(r.source, r.card, r.precision) for r, _ in made}):
        chosen = [(r, v) for r, v in made if (r.source, r.card, r.precision) == key]
        print(line(f"  {key[1]} {key[2]}, {key[0]}", chosen))


def report_ranges(given: Sequence[Case]) -> None:
    """How often the truth lies in the range that users see, by its factor; with the constants of
    `constants.csv`, so on the RTX 3090 on models that they were fitted on."""
    held: dict[str, list[bool]] = {}
    for case in given:
        row = case.row
        last = row.layout == "nhwc"
        found = predict_speed(
            KernelTrace(case.kernels),
            setting=Setting(row.image_size, "sgd", 1e-3, row.precision, channels_last=last),
            card=Card(row.card, row.card, 0, "", peaks=peaks_of(row.card)),
            batch_size=row.batch,
        )
        assert found is not None
        low, high = found.images_per_second_range
        slow_host = found.slowest_seconds > 1.001 * found.factor * found.step_seconds
        name = "a host may hold it up" if slow_host else f"x/÷{found.factor:.1f}"
        held.setdefault(name, []).append(low <= row.images_per_second <= high)
    print("\nwithin the range that is shown")
    for name, hits in sorted(held.items()):
        print(f"{name:34}{len(hits):>5}{np.mean(hits):8.1%}")


def _carried(case: Case) -> Constants:
    return fit_for("rtx3090", case.row.layout == "nhwc").constants


def _operations(case: Case) -> float:
    return sum(k.count * (k.image_flops + k.fixed_flops / case.row.batch) for k in case.kernels)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def main() -> int:
    """Trace, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="*", help="wildcard")
    parser.add_argument("--every", type=int, default=1, help="take only every N-th model")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--traces", type=Path, help="file that keeps traces (JSON lines)")
    parser.add_argument("--table", type=Path, default=HERE / "rtx3090_training_speed.csv")
    parser.add_argument("--card", default="rtx3090", help="the table's card")
    parser.add_argument("--folds", choices=FOLDS, default="half", help="what is held out at once")
    parser.add_argument("--fit", action="store_true", help="print rows for constants.csv")
    options = parser.parse_args()
    os.environ["TIMM_FUSED_ATTN"] = "0"  # torch 1.12 had no fused attention
    table = read_table(options.table, options.card)
    names = sorted({r.model for r in table if fnmatch.fnmatch(r.model, options.models)})
    table = [r for r in table if r.model in names[:: options.every]]
    others = [r for r in read_others() if fnmatch.fnmatch(r.model, options.models)]

    decoder, known = msgspec.json.Decoder(Traced), []
    if options.traces and options.traces.exists():
        known = [decoder.decode(text) for text in options.traces.read_bytes().splitlines()]
    traces = {found.shape: found for found in known}
    missing = [s for s in dict.fromkeys(r.shape for r in (*table, *others)) if s not in traces]
    context = get_context("fork")
    with ProcessPoolExecutor(options.jobs, mp_context=context, initializer=_one_thread) as pool:
        for number, found in enumerate(pool.map(traced, missing), 1):
            traces[found.shape] = found
            print(f"{number}/{len(missing)} {found.shape[0]}", end="\r", file=sys.stderr)
            if options.traces:
                with options.traces.open("ab") as file:
                    file.write(msgspec.json.encode(found) + b"\n")
    chosen = [traces[row.shape] for row in (*table, *others)]
    taken = [found.seconds for found in chosen]
    print(f"seconds a trace: median {np.median(taken):.2f}, most {max(taken):.2f}")
    unknown = sorted({name for found in chosen for name in found.trace.unknown})
    print(f"operators without a rule: {', '.join(unknown) or 'none'}")
    for found in {found.shape: found for found in chosen if found.error}.values():
        print(f"not traced: {found.shape}: {found.error}")
    report_table(cases(table, traces), options.folds)
    report_others(cases(others, traces))
    report_ranges(cases((*table, *others), traces))
    if options.fit:
        print(",".join(["card", "layout", *(f.name for f in fields(Constants))]))
        for layout in ("nhwc", "nchw"):
            constants = fit([c for c in cases(table, traces) if c.row.layout == layout])
            figures = (f"{value:.4f}" for value in astuple(constants))
            print(",".join([options.card, layout, *figures]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

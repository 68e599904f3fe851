"""Whether this tool keeps its promises on a machine: checks, each judged from measurements alone.

A check is a function below with what is promised and how that is judged. It gets what its
experiment measured, and says whether the promise was kept (None: there is nothing to judge) and
what was found.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from statistics import median
from typing import Literal

from bench.analysis.compare.effects import effect
from bench.analysis.compare.pairwise import correct
from bench.analysis.compare.verdicts import FEWEST_SEEDS, judge
from bench.analysis.metrics import BY_NAME
from bench.records.files import csv_text
from bench.records.measurement import Measurement
from bench.units import counted

Outcome = Literal["pass", "broken promise", "not run here", "out of time"]

LOSS_ERROR = {"fp32": 1e-3, "tf32": 1e-2, "fp16": 1e-2, "bf16": 8e-2}
"""How far a loss may be from float64's, as a share: twenty times what rounding a number to that
precision changes it by (2^-11 for tf32 and fp16, 2^-8 for bf16), and for fp32 far more than the
1.4e-5 that an update of ResNet-18 makes of it on a CPU, because cards have faster convolutions that
round more."""

MEMORY_ERROR = {"cuda": 0.05, "cpu": 0.015}
"""The relative error that a step's predicted memory is said to have: on a card that of the ranges
of `max-batch`, on the CPU that of the tensors alone."""

PROCESS_BYTES = {"cuda": 0, "cpu": 2**20}
"""By how much the memory of a probe differs from process to process: on a card not at all, on the
CPU by what a heap is fragmented."""

MISSES = 0.1
"""The share of predicted ranges that may miss what is measured."""

PEAKS = ("peak_flops", "peak_bandwidth")
"""Quantities that a step is predicted from."""

LEAK = 0.01
"""By how much a probe's peak may be above that of the same probe before."""

SAMPLING = 0.01
"""The share of the time that asking NVML may take."""

PAIRS = 2
"""Pairs of equal runs that are compared. One in twenty is told apart by chance alone, both in one
case of 400."""


@dataclass(frozen=True)
class Evidence:
    """What is known for the checks of one experiment: its figures, the kind of device; why it was
    not run, if it was not; what failed, in sentences; how many parts of it there was no time
    for."""

    figures: tuple[Measurement, ...] = ()
    device: str = "cpu"
    not_run: str | None = None
    failed: tuple[str, ...] = ()
    late: int = 0

    def of(self, quantity: str, **traits: object) -> list[Measurement]:
        """The figures of a quantity that have these traits."""
        return [
            figure
            for figure in self.figures
            if figure.quantity == quantity
            and all(getattr(figure, name) == value for name, value in traits.items())
        ]

    def cases(self) -> dict[str, "Evidence"]:
        """The same for each model, image size and precision alone, by its name."""
        by_case: dict[tuple[str, int | None, str], list[Measurement]] = {}
        for figure in self.figures:
            by_case.setdefault(figure.case, []).append(figure)
        return {
            " ".join((model, f"{size} px", precision)): Evidence(tuple(figures), self.device)
            for (model, size, precision), figures in by_case.items()
        }


Judged = tuple[bool | None, str]
"""Whether a promise was kept, None if nothing can be judged, and what was found."""


@dataclass(frozen=True)
class Check:
    """A promise: the experiment that tests it, what is promised, how that is judged, and the kind
    of card that it is made for alone."""

    id: str
    experiment: str
    promised: str
    judged_by: str
    judge: Callable[[Evidence], Judged]
    only: str | None = None


@dataclass(frozen=True)
class Checked:
    """A promise, and what came of it."""

    check: Check
    found: str
    verdict: Outcome


CHECKS: dict[str, Check] = {}
"""Every check by its id, in the order of the table."""

Judge = Callable[[Evidence], Judged]


def check(
    experiment: str, promised: str, judged_by: str, only: str | None = None
) -> Callable[[Judge], Judge]:
    """Register a check under the name of its function."""

    def register(judge: Judge) -> Judge:
        name = judge.__name__
        CHECKS[name] = Check(name, experiment, promised, judged_by, judge, only)
        return judge

    return register


def judge_all(evidence: Mapping[str, Evidence], device: str) -> list[Checked]:
    """Every check, judged by the evidence of its experiment on that kind of device; failures of an
    experiment count for the first of its checks."""
    experiments: set[str] = set()
    checked = []
    for one in CHECKS.values():
        first = one.experiment not in experiments
        experiments.add(one.experiment)
        checked.append(_checked(one, evidence.get(one.experiment, Evidence(device=device)), first))
    return checked


def _checked(one: Check, evidence: Evidence, first: bool) -> Checked:
    if one.only and one.only != evidence.device:
        return Checked(one, f"only on {one.only.upper()} cards", "not run here")
    if evidence.not_run is not None:
        return Checked(one, evidence.not_run, "not run here")
    kept, found = one.judge(evidence) if evidence.figures else (None, "nothing was measured")
    if first and evidence.failed:
        return Checked(one, "; ".join(evidence.failed), "broken promise")
    if kept is None:
        return Checked(one, found, "out of time" if evidence.late else "not run here")
    if evidence.late:
        found += f"; {counted(evidence.late, 'part')} out of time"
    return Checked(one, found, "pass" if kept else "broken promise")


COLUMNS = ("check", "promised", "judged_by", "found", "verdict")


def checks_csv(checked: Iterable[Checked]) -> str:
    """The text of `checks.csv`, a row per promise."""
    rows = (
        (one.check.id, one.check.promised, one.check.judged_by, one.found, one.verdict)
        for one in checked
    )
    return csv_text(COLUMNS, rows)


SPEED_COLUMNS = (
    *("device", "model", "image_size", "precision", "batch_size", "step_seconds"),
    *("predicted_step_seconds", "predicted_low", "predicted_high", *PEAKS),
)


def speeds_csv(measurements: Iterable[Measurement], device: str) -> str:
    """The text of `speeds.csv`, which predictions of speed can be fitted on: a row per step that
    was predicted and measured on a device."""
    speed, rows = Evidence(tuple(one for one in measurements if one.experiment == "speed")), []
    for case in speed.cases().values():
        if (step := _step(case)) is not None:
            first, peaks = case.figures[0], (_value(case, name) for name in PEAKS)
            rows.append((device, *first.case, first.batch_size, *step, *peaks))
    return csv_text(SPEED_COLUMNS, rows)


def broken(checked: Iterable[Checked]) -> bool:
    """Whether any promise is broken."""
    return any(one.verdict == "broken promise" for one in checked)


@check(
    "step",
    "A training step on this device computes what it should, on tensors that are all there.",
    "The losses before and after an update against the same step in float64 on the CPU, within "
    + ", ".join(f"{share * 100:g}% ({name})" for name, share in LOSS_ERROR.items())
    + "; no tensor elsewhere; the update changes the loss.",
)
def training_step(evidence: Evidence) -> Judged:
    """Each precision against float64."""
    bad, errors = [], []
    cases = evidence.cases()
    for name, case in cases.items():
        precision = case.figures[0].precision
        ours, exact = (
            {f.repeat: f.value for f in case.of("loss", variant=variant)}
            for variant in ("", "float64")
        )
        if any(f.value for f in case.of("stray_tensors")):
            bad.append(f"{name} has tensors elsewhere")
        elif not ours or ours.keys() != exact.keys() or not all(map(isfinite, ours.values())):
            bad.append(f"{name} has no finite loss")
        elif len(set(ours.values())) < len(ours):
            bad.append(f"{name} is not changed by its update")
        else:
            error = max(abs(ours[n] / exact[n] - 1) for n in ours)
            errors.append(f"{precision} off by {error:.1g}")
            if error > LOSS_ERROR[precision]:
                bad.append(f"{name} is off by {error:.2%}")
    return not bad, "; ".join(bad) or f"losses {', '.join(errors)} of float64's"


@check(
    "batches",
    "The largest batch trains, and one image more runs out of memory.",
    "Both tried twice, in a process other than the search's; on the CPU, where processes differ, "
    f"what is within {PROCESS_BYTES['cpu'] >> 20} MiB of the limit may go either way.",
)
def largest_batch(evidence: Evidence) -> Judged:
    """Both sides of every answer."""
    bad, answers = [], []
    for name, case in evidence.cases().items():
        size = _value(case, "max_batch", source="measured")
        if not size:
            continue
        at, above = (
            [bool(f.value) for f in case.of("fits", batch_size=n)] for n in (size, size + 1)
        )
        if len(at) < 2:
            continue
        if (not all(at) or any(above)) and _is_close(case, size if not all(at) else size + 1):
            answers.append(f"{name} {size:,.0f} (a little more or less)")
        elif not all(at):
            bad.append(f"{name}: {size:,.0f} failed in {at.count(False)} of {len(at)}")
        elif any(above):
            bad.append(f"{name}: {size + 1:,.0f} ran in {above.count(True)} of {len(above)}")
        else:
            capped = "" if above else " (all images)"
            answers.append(f"{name} {size:,.0f}{capped}")
    return _of_cases(bad, answers)


def _is_close(case: Evidence, size: float) -> bool:
    """Whether a batch size that ran somewhere was so close to the limit that it may as well fail,
    or the other way round."""
    limit = _value(case, "limit_bytes")
    peaks = [f.value for f in case.of("peak_bytes", batch_size=size)]
    margin = PROCESS_BYTES[case.device]
    return limit is not None and bool(peaks) and limit - max(peaks) < margin


@check(
    "batches",
    "The range of a predicted largest batch has the measured one in it.",
    f"In at least {1 - MISSES:.0%} of the cases.",
    only="cuda",
)
def predicted_batch(evidence: Evidence) -> Judged:
    """Predicted ranges against searches."""
    missed: list[str] = []
    held: list[str] = []
    for name, case in evidence.cases().items():
        measured = _value(case, "max_batch", source="measured")
        low, high = (_value(case, f"max_batch_{end}") for end in ("low", "high"))
        if measured and low is not None and high is not None:
            text = f"{name}: {measured:,.0f}, predicted {low:,.0f} to {high:,.0f}"
            (held if low <= measured <= high else missed).append(text)
    if not missed and not held:
        return None, "nothing could be predicted"
    count = len(missed) + len(held)
    found = f"{len(held)} of {count} ranges hold"
    return len(missed) <= MISSES * count, "; ".join([found, *missed])


@check(
    "batches",
    "A probe leaves no memory behind.",
    f"The peak of the same probe again, after others, is at most {LEAK:.0%} higher.",
)
def left_memory(evidence: Evidence) -> Judged:
    """The first probe of a size against the last."""
    bad, growths = [], []
    for name, case in evidence.cases().items():
        size = _value(case, "max_batch", source="measured")
        peaks = [f.value for f in case.of("peak_bytes", batch_size=size, variant="")]
        if size and len(peaks) > 1 and peaks[0]:
            growths.append(peaks[-1] / peaks[0] - 1)
            if growths[-1] > LEAK:
                bad.append(f"{name}: {growths[-1]:+.1%}")
    if not growths:
        return None, "no peaks were measured"
    return not bad, "; ".join(bad) or f"peaks changed by {max(growths):+.2%} at most"


@check(
    "memory",
    "The predicted peak memory of a training step is that of a real one.",
    f"On a card, the middle one of all errors is at most {MEMORY_ERROR['cuda']:.0%}; on the CPU, "
    f"tensors in fp32 are within {MEMORY_ERROR['cpu']:.1%} and a workspace of oneDNN's.",
)
def predicted_memory(evidence: Evidence) -> Judged:
    """Predicted peaks of tensors against measured ones."""
    allowed, bad, errors, workspaces = MEMORY_ERROR[evidence.device], [], [], [0.0]
    for name, case in evidence.cases().items():
        for real in case.of("tensor_bytes", source="measured"):
            predicted = _value(case, "tensor_bytes", source="predicted", batch_size=real.batch_size)
            if predicted is None or not real.value:
                continue
            short = real.value - predicted
            workspace = _value(case, "workspace_bytes") or 0.0
            workspaces.append(workspace / real.value)
            errors.append(-short / real.value)
            if not -allowed * real.value <= short <= allowed * real.value + workspace:
                bad.append(f"{name}, batch {real.batch_size}: {errors[-1]:+.1%}")
    if not errors:
        return None, "nothing could be predicted"
    found = f"{counted(len(errors), 'peak')}, off by {median(map(abs, errors)):.1%} in the middle"
    if max(workspaces):
        found += f", where a workspace may explain up to {max(workspaces):.0%}"
    # Single networks are known to be off on cards, whose libraries take what no simulation sees.
    kept = median(map(abs, errors)) <= allowed if evidence.device == "cuda" else not bad
    return kept, "; ".join([found, *bad])


@check(
    "speed",
    "A training step takes as long as its prediction says.",
    "The median of measured steps is in the predicted range, in at least "
    f"{1 - MISSES:.0%} of the cases, and of few in all but one.",
)
def predicted_step(evidence: Evidence) -> Judged:
    """Predicted ranges of a step's seconds against measured steps."""
    steps = {name: step for name, case in evidence.cases().items() if (step := _step(case))}
    if not steps:
        return None, "nothing could be predicted"
    missed = [
        f"{name}: {1e3 * seconds:,.3g} ms, predicted {1e3 * low:,.3g} to {1e3 * high:,.3g}"
        for name, (seconds, _, low, high) in steps.items()
        if not low <= seconds <= high
    ]
    ratios = [predicted / seconds for seconds, predicted, _, _ in steps.values()]
    found = (
        f"{len(steps) - len(missed)} of {len(steps)} ranges hold; predicted over measured "
        f"{min(ratios):.2f} to {max(ratios):.2f}"
    )
    return len(missed) <= max(MISSES * len(steps), len(steps) > 2), "; ".join([found, *missed])


@check(
    "pace",
    "An epoch here is not slower than the plain loop (DataLoader, PIL, a wait at every step).",
    "Interleaved, a process each; slower means slower beyond chance, as `compare` has it.",
)
def epoch_speed(evidence: Evidence) -> Judged:
    """Ours against plain; bare steps are told beside."""
    rates = {
        way: {f.repeat: f.value for f in evidence.of("images_per_second", variant=way)}
        for way in ("plain", "ours", "floor")
    }
    plain, ours, floor = rates.values()
    if len(plain.keys() & ours.keys()) < FEWEST_SEEDS:
        return None, f"fewer than {FEWEST_SEEDS} rounds were measured"
    metric = BY_NAME["images_per_second"]
    seen = replace(effect(metric, plain, ours, paired=True), unit="round")
    (p,) = correct([seen])
    verdict = judge(metric, seen, p)
    bare = [ours[n] / floor[n] for n in ours.keys() & floor.keys()]
    beside = f", {median(bare):.2f} times bare steps" if bare else ""
    found = f"{seen.change:.2f} times the plain loop in {seen.seeds_a} rounds ({verdict.text})"
    return verdict.kind != "worse", found + beside


@check(
    "runs",
    "Two runs of the same thing are not told apart.",
    f"{PAIRS} pairs of runs through `compare`; broken if it tells more than one of them apart, as "
    "one in twenty is by chance.",
)
def same_twice(evidence: Evidence) -> Judged:
    """Pairs that the engine tells apart."""
    apart = [figure.value > 0 for figure in evidence.of("told_apart")]
    if len(apart) < PAIRS:
        return None, f"fewer than {PAIRS} pairs were run"
    ratios = [f"{figure.value:.3f}" for figure in evidence.of("speed_ratio")]
    speeds = f"; speeds B/A {', '.join(ratios)}" if ratios else ""
    return sum(apart) <= 1, f"{sum(apart)} of {len(apart)} pairs told apart{speeds}"


@check(
    "repeat",
    "The same seed gives the same losses, with --deterministic.",
    "Training and test losses of every epoch of two runs, bit for bit.",
)
def determinism(evidence: Evidence) -> Judged:
    """Losses of two runs by epoch."""
    first, second = (
        {(f.case, f.quantity, f.repeat): f.value for f in evidence.figures if f.variant == variant}
        for variant in ("first", "second")
    )
    if not first or not second:
        return None, "there are no two runs"
    if first.keys() != second.keys():
        return False, "the two runs have not the same epochs"
    different = [name for name in first if first[name] != second[name]]
    if different:
        _, quantity, epoch = different[0]
        return False, (
            f"{len(different)} of {len(first)} losses differ, first {quantity} of epoch {epoch}"
        )
    return True, f"{len(first)} losses are the same"


@check(
    "telemetry",
    "Asking NVML costs next to nothing.",
    f"The median seconds of a sample are at most {SAMPLING:.0%} of the time between two.",
    only="cuda",
)
def sampling_cost(evidence: Evidence) -> Judged:
    """Seconds of a sample against the interval."""
    seconds = [f.value for f in evidence.of("sample_seconds")]
    interval = _value(evidence, "sampling_interval")
    if not seconds or not interval:
        return None, "no samples were timed"
    share = median(seconds) / interval
    return share <= SAMPLING, f"{median(seconds) * 1e3:.2g} ms a sample, {share:.2%} of the time"


@check(
    "telemetry",
    "The card's clock is seen while it trains, and what slows it down.",
    "As many samples as the time has intervals, but one, with a clock above 0.",
    only="cuda",
)
def clocks(evidence: Evidence) -> Judged:
    """What NVML said during training."""
    seconds, interval = (_value(evidence, n) for n in ("sampled_seconds", "sampling_interval"))
    clock, samples = _value(evidence, "sm_clock_mhz"), _value(evidence, "samples")
    if seconds is None or not interval:
        return None, "NVML says nothing of this card"
    if not clock or samples is None or samples < seconds / interval - 1:
        return False, f"{samples or 0:.0f} samples in {seconds:.0f} s, clock {clock or 0:.0f} MHz"
    slowed = [f.variant for f in evidence.of("throttled") if f.value]
    power, heat = (_value(evidence, name) for name in ("power_watts", "temperature_celsius"))
    return True, (
        f"{clock:,.0f} MHz, {power or 0:.0f} W, {heat or 0:.0f} °C; "
        f"slowed down by: {', '.join(slowed) or 'nothing'}"
    )


@check(
    "cards",
    "Two processes train a network together as one does with their batch.",
    f"Losses of LeNet in fp32 after every epoch, within {LOSS_ERROR['fp32']:.1%}; each process has "
    "a card and NCCL joins them, or half of the CPU's threads and gloo.",
)
def several_cards(evidence: Evidence) -> Judged:
    """Losses of two processes against those of one."""
    one, two = (
        {(f.quantity, f.repeat): f.value for f in evidence.figures if f.variant == variant}
        for variant in ("alone", "together")
    )
    if not one or not two:
        return None, "there are no two trials"
    if one.keys() != two.keys():
        return False, "the two trials have not the same epochs"
    errors = [abs(two[key] / one[key] - 1) for key in one]
    kept = all(error <= LOSS_ERROR["fp32"] for error in errors)
    return kept, f"{len(errors)} losses, off by {max(errors):.1g} at most"


def _step(case: Evidence) -> tuple[float, float, float, float] | None:
    """Seconds of a step: the median measured, and the prediction with its range."""
    measured = [figure.value for figure in case.of("step_seconds", source="measured")]
    names = ("step_seconds", "step_seconds_low", "step_seconds_high")
    predicted, low, high = (_value(case, name, source="predicted") for name in names)
    if not measured or predicted is None or low is None or high is None:
        return None
    return median(measured), predicted, low, high


def _value(evidence: Evidence, quantity: str, **traits: object) -> float | None:
    """The first figure of a quantity; None if there is none."""
    return next((figure.value for figure in evidence.of(quantity, **traits)), None)


def _of_cases(bad: Sequence[str], good: Sequence[str]) -> Judged:
    if not bad and not good:
        return None, "no answer could be tried"
    return not bad, "; ".join(bad or good)

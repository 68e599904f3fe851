"""Two sides compared, line by line: a model under one setting, in one metric.

Accuracies and losses are paired by their seed, for the same seed means the same initial weights and
the same order of the images. Times are not: the trials of two runs are not interleaved, so that
what a machine does to one run it does not do to the other.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bench.analysis.compare.effects import Effect, effect, holm, scale_of
from bench.analysis.compare.matching import Across, Matched, Pair, match
from bench.analysis.compare.side import Side
from bench.analysis.compare.verdicts import SPEEDS, USUAL_MARGINS, Margins, Verdict, judge
from bench.analysis.metrics import Metric
from bench.analysis.trial_group import TrialGroup, Values, labelled
from bench.errors import Refused
from bench.units import counted

USUAL = ("images_per_second", "final_test_accuracy", "peak_memory_bytes", "max_batch")
"""The metrics that answer which model to use."""

_LEARNED = ("ece", "best_epoch", "best_validation_epoch")


@dataclass(frozen=True)
class Line:
    """B against A: one model under one setting in one metric.

    `label` names model and setting as far as they vary between lines; `p` is corrected for the
    number of comparisons, None where chance has no part. `machine` is how fast the machine itself
    was for B over how fast it was for A, by the calibration beside the trials, None if there was
    none; `across` says what differs on purpose, and `among` which metrics are compared.
    """

    label: str
    pair: Pair
    metric: Metric
    effect: Effect
    p: float | None
    verdict: Verdict
    machine: float | None
    across: str
    among: tuple[Metric, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two sides by name, their lines, what a reader must know of them, how many of the lines chance
    has a part in, which groups of a have none in b, and which have one that lacks a metric (`lost`,
    with what a pair is called)."""

    a: str
    b: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    comparisons: int
    margins: Margins
    only_a: tuple[str, ...] = ()
    lost: tuple[tuple[str, Metric], ...] = ()


def compare(
    a: Side,
    b: Side,
    metrics: Sequence[Metric],
    *,
    across: Collection[Across] = (),
    margins: Margins = USUAL_MARGINS,
    wanted: Collection[str] = (),
) -> Comparison:
    """What b differs in from a (the old one in a regression test); what no pair has is left out.

    `across` is what may differ between them, `margins` what counts as the same, `wanted` are names
    of metrics without which there is no answer.

    Raises:
        Refused: they are not comparable, or have not what is wanted.
    """
    matched = match(a, b, across)
    named = labelled([pair.a for pair in matched.pairs])
    compared, lost = [], []
    for group, pair in zip(named, matched.pairs, strict=True):
        for metric in metrics:
            if known(metric, pair.a, pair.b):
                before, after = (side.values(metric.name) for side in (pair.a, pair.b))
                seen = effect(metric, before, after, paired=learned(metric))
                compared.append((group.label, pair, metric, seen))
            elif pair.a.values(metric.name) and not pair.b.values(metric.name):
                lost.append((group.label, metric))
    missing = [m for m in metrics if m not in {metric for _, _, metric, _ in compared}]
    for metric in missing:
        if metric.name in wanted or len(missing) == len(metrics):
            raise Refused(f"{metric.name} is not known of both {a.name} and {b.name}.")
    lost = [(label, metric) for label, metric in lost if metric not in missing]
    corrected = correct([seen for *_, seen in compared])
    comparisons = sum(p is not None for p in corrected)
    count = max(1, comparisons)
    lines, among = [], tuple(metric for metric in metrics if metric not in missing)
    for (label, pair, metric, seen), p in zip(compared, corrected, strict=True):
        alike = timed_alike(pair.a, pair.b)
        machine = speed_ratio(pair.a.machine, pair.b.machine) if alike else None
        drift = None if _other_device(pair.across) else machine
        verdict = judge(metric, seen, p, comparisons=count, margins=margins, machine=drift)
        lines.append(Line(label, pair, metric, seen, p, verdict, machine, pair.across, among))
    notes = _notes(a, b, matched, missing)
    notes += [f"{metric.name} of {label} is known of {a.name} alone." for label, metric in lost]
    notes += _untimed_machine(lines)
    alone = tuple(group.label for group in labelled(matched.only_a))
    return Comparison(
        a.name,
        b.name,
        tuple(lines),
        tuple(notes),
        comparisons,
        margins,
        alone,
        tuple(lost),
    )


def learned(metric: Metric) -> bool:
    """Whether a metric is what training came to, rather than what it took."""
    return metric.name in _LEARNED or "accuracy" in metric.name or "loss" in metric.name


def known(metric: Metric, *groups: TrialGroup) -> bool:
    """Whether all of the groups have a value of a metric; Refused if one has one that is no number,
    or none that a ratio can be taken of."""
    for group in groups:
        values = group.values(metric.name).values()
        if not values:
            return False
        if scale_of(metric) == "ratio" and min(values) <= 0:
            raise Refused(
                f"{group.rows[0].where}: {metric.name} is {min(values):g}, and has no ratio; "
                "leave that metric out."
            )
    return True


def correct(effects: Sequence[Effect]) -> list[float | None]:
    """The probability of each effect after correction for all of them; None where there is none."""
    corrected = iter(holm([effect.p for effect in effects if effect.p is not None]))
    return [None if effect.p is None else next(corrected) for effect in effects]


def timed_alike(a: TrialGroup, b: TrialGroup) -> bool:
    """Whether the matrix product beside the trials of both was the same: it has the precision of
    the trial, and as many processes share the machine."""
    return all(a.traits[name] == b.traits[name] for name in ("precision", "nproc_per_node"))


def speed_ratio(a: Values, b: Values) -> float | None:
    """How fast the machine was beside b's trials, over how fast it was beside a's: the ratio of
    geometric means, None if either is not known."""
    if not a or not b:
        return None
    before, after = (math.fsum(map(math.log, v.values())) / len(v) for v in (a, b))
    return math.exp(after - before)


def _notes(a: Side, b: Side, matched: Matched, missing: Sequence[Metric]) -> list[str]:
    """What a reader must know of what was compared, in sentences."""
    notes = []
    for side, alone in ((a, matched.only_a), (b, matched.only_b)):
        notes += side_notes(side)
        if alone:
            notes.append(
                f"Only in {side.name}: {', '.join(group.label for group in labelled(alone))}."
            )
    for pair in matched.pairs:
        if pair.a.batch_sizes != pair.b.batch_sizes:
            notes.append(
                f"{pair.a.model} was trained with batch {pair.a.batch_sizes} in {a.name} and "
                f"{pair.b.batch_sizes} in {b.name}, which changes speed, memory and accuracy."
            )
        sources = [group.texts("source_sha256") for group in (pair.a, pair.b)]
        if pair.a.model == pair.b.model and all(map(any, sources)) and sources[0] != sources[1]:
            notes.append(f"{pair.a.model} is from another file, or another state of it, in each.")
    if missing:
        notes.append(f"Not known of both: {', '.join(metric.name for metric in missing)}.")
    return notes


def _other_device(across: str) -> bool:
    """Whether that is among what differs on purpose."""
    return any(part.startswith("device ") for part in across.split("; "))


def _untimed_machine(lines: Sequence[Line]) -> list[str]:
    """What a claim of speed between two runs leaves open, where nothing says how the machine was
    meanwhile: seeds repeat the training, not the state of the machine."""
    claims = [line for line in lines if line.verdict.apart and line.metric.unit in SPEEDS]
    if all(line.machine is not None or _other_device(line.across) for line in claims):
        return []
    return [
        "The machine's own speed was not timed, or not timed alike, beside these trials: that it "
        "changed from one run to the other is not ruled out."
    ]


def side_notes(side: Side) -> list[str]:
    """Trials of a side that do not count, or count with a doubt."""
    noisy = sum(group.noisy for group in side.groups)
    counts = {
        "not done, so not counted": side.left_out,
        "marked as noisy; counted all the same": noisy,
    }
    return [f"{counted(n, 'trial')} of {side.name} {what}." for what, n in counts.items() if n]

"""The lines of a comparison of two runs: a metric of a match, with its effect and its verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.compare.bounds import Bound
from bench.compare.effects import Effect, effect, exactly, holm
from bench.compare.matching import Match
from bench.compare.sides import Row
from bench.compare.verdicts import SIGNIFICANT, Margins, Verdict, is_points, is_speed, judge
from bench.metrics import BY_NAME, Metric

METRICS = ("images_per_second", "final_test_accuracy", "peak_memory_bytes", "max_batch")
"""What is compared where nothing else was asked for."""

COUNTS = ("params", "gmacs", "max_batch", "weight_bytes", "updates", "best_epoch", "published")
"""How the names of metrics begin that no chance moves: one seed says all."""

PAIRED = ("accuracy", "loss", "best_epoch")
"""Parts of the names of metrics that the seed decides: initial weights and order of images are the
same on both sides, so that they are compared seed by seed. Times of two runs are not: they were not
taken side by side."""


@dataclass(frozen=True)
class Line:
    """One question and its answer. `p` is corrected for all lines of the comparison, `machine` is
    the log of the machine's speed at B over that at A, `noisy` how many trials were marked."""

    label: str
    metric: Metric
    a: float
    b: float
    n_a: int
    n_b: int
    effect: Effect
    p: float | None
    verdict: Verdict
    machine: float | None
    noisy: int
    crossed: tuple[str, ...]
    note: str


def compare(matches: Sequence[Match], metrics: Sequence[Metric], margins: Margins) -> list[Line]:
    """A line for every match and metric that both sides know, corrected for their number."""
    asked = [
        (one, metric, a, b)
        for one in matches
        for metric in metrics
        for a, b in (_values(one, metric),)
        if a and b
    ]
    effects = [effect_of(metric, a, b) for _, metric, a, b in asked]
    # What nothing moves by chance is no question of chance.
    ps = holm([None if e.exact else e.p for e in effects])
    lines = []
    for (one, metric, a, b), found, p in zip(asked, effects, ps, strict=True):
        machine = machine_change(one.a, one.b) if is_speed(metric) else None
        verdict = judge(found, p, metric, margins, machine)
        lines.append(
            Line(
                one.label,
                metric,
                fmean(a.values()),
                fmean(b.values()),
                len(a),
                len(b),
                found,
                p,
                verdict,
                machine,
                sum(_is_noisy(row) for row in (*one.a, *one.b)),
                one.crossed,
                one.note,
            )
        )
    return lines


def effect_of(metric: Metric, a: dict[int, float], b: dict[int, float]) -> Effect:
    """B against A, values by seed; in pairs where the seed decides and is the same."""
    logs = not is_points(metric) and min(*a.values(), *b.values()) > 0
    if metric.name.startswith(COUNTS):
        return exactly(fmean(a.values()), fmean(b.values()), logs=logs)
    shared = sorted(a.keys() & b.keys())
    if any(part in metric.name for part in PAIRED) and len(shared) == len(a) == len(b):
        return effect([a[s] for s in shared], [b[s] for s in shared], paired=True, logs=logs)
    return effect(list(a.values()), list(b.values()), paired=False, logs=logs)


def broken(line: Line, bounds: Sequence[Bound]) -> Bound | None:
    """The bound that a line breaks: by a change beyond it that is no noise. The bound rules, also
    where the change is within what otherwise counts as the same."""
    surely = line.effect.exact or (line.p is not None and line.p < SIGNIFICANT)
    surely = surely and line.verdict.answer != "cannot tell"
    mine = [b for b in bounds if b.metric == line.metric and b.broken_by(line.effect.change)]
    return mine[0] if surely and mine else None


def machine_change(a: Sequence[Row], b: Sequence[Row]) -> float | None:
    """Log of the fixed matrix product's speed at B over that at A; None if it was not timed."""
    speeds = [[v for row in rows if (v := row.number("calibration_gflops"))] for rows in (a, b)]
    if not all(speeds):
        return None
    return math.log(fmean(speeds[1]) / fmean(speeds[0]))


def metrics_of(names: Sequence[str]) -> list[Metric]:
    """Metrics by their names; they must exist."""
    return [BY_NAME[name] for name in names]


def _values(one: Match, metric: Metric) -> tuple[dict[int, float], dict[int, float]]:
    x, y = (
        {
            int(row.number("seed") or 0): v
            for row in rows
            if (v := row.number(metric.name)) is not None
        }
        for rows in (one.a, one.b)
    )
    return x, y


def _is_noisy(row: Row) -> bool:
    return bool(row.values.get("noise"))

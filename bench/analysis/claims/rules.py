"""How a claim is judged: a rule is a function of a line or two, and a row of `RULES`.

Means are judged by their 95 % intervals, so an accuracy of one seed cannot be told; a statement
about a curve is judged in every seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise

from bench.analysis.claims.reader import Claim
from bench.analysis.claims.verdicts import (
    Answer,
    CannotTell,
    Verdict,
    difference,
    every,
    falling,
    in_seeds,
    placed,
    positive,
    quotient,
)
from bench.analysis.formatting import MISSING, percent, shown, times
from bench.analysis.intervals import Estimate, estimate
from bench.analysis.time_to_accuracy import reached
from bench.analysis.trial_group import Series
from bench.records.records import Epoch
from bench.records.run import Run

_EXACT = ("param", "gmacs", "max_batch", "batch_size", "updates", "weight_bytes")
"""How the names of metrics begin that are counts: one seed says all."""

TIMING_NOISE = 0.03
"""Of a time measured once: half the width of what counts as the same."""


@dataclass(frozen=True)
class Evidence:
    """What a rule may look at: the run, all its series, and those that the claim names."""

    run: Run
    found: tuple[Series, ...]
    subjects: tuple[Series, ...]


Rule = Callable[[Claim, Evidence], Verdict]


def _about(claim: Claim, evidence: Evidence) -> Verdict:
    (one,) = evidence.subjects
    if claim.at is not None and any(len(t.epochs) != claim.at for t in one.counted):
        raise CannotTell(f"the run has {len(one.counted[0].epochs)} epochs, not {claim.at}")
    metric = claim.metric[0]
    return _within(_value(one, metric), claim, _text(one, metric))


def _ratio(claim: Claim, evidence: Evidence) -> Verdict:
    first, second = (_value(one, claim.metric[0]) for one in evidence.subjects)
    found = quotient(first, second)
    names = " / ".join(one.label for one in evidence.subjects)
    return _within(found, claim, f"{times(found.mean)} ({names})")


def _more(claim: Claim, evidence: Evidence) -> Verdict:
    (a, b), metric = evidence.subjects, claim.metric[0]
    return positive(difference(_value(a, metric), _value(b, metric)), _pair(a, b, metric))


def _same(claim: Claim, evidence: Evidence) -> Verdict:
    (a, b), metric = evidence.subjects, claim.metric[0]
    gap = difference(_value(a, metric), _value(b, metric))
    around = f"a difference of {shown(metric, claim.tolerance)}"
    return placed(gap, -claim.tolerance, claim.tolerance, _pair(a, b, metric), around)


def _at_epoch(claim: Claim, evidence: Evidence) -> Verdict:
    (one,), epoch = evidence.subjects, claim.at or 1
    curve = one.curve(_of_epoch(claim.metric[0]))
    if len(curve) < epoch:
        raise CannotTell(f"the run has {len(curve)} epochs")
    found = curve[epoch - 1]
    text = shown(claim.metric[0], found.mean, found.half_width)
    if found.n < 2:
        return Verdict("cannot tell", "too few seeds: one has no interval", text)
    return _within(found, claim, text)


def _stays_within(claim: Claim, evidence: Evidence) -> Verdict:
    curves = [curve[1:] for curve in _curves(claim, evidence, at_least=2)]
    low, high = min(map(min, curves)), max(map(max, curves))
    metric = claim.metric[0]
    text = f"{shown(metric, low)} to {shown(metric, high)}"
    center, room = claim.threshold or 0.0, claim.tolerance
    return in_seeds(center - room <= low and high <= center + room, len(curves), text)


def _falls(claim: Claim, evidence: Evidence) -> Verdict:
    curves = _curves(claim, evidence, at_least=2)
    rises = sum(b >= a for curve in curves for a, b in pairwise(curve))
    steps = sum(len(curve) - 1 for curve in curves)
    return in_seeds(rises == 0, len(curves), f"falls at {steps - rises} of {steps} epochs")


def _not_monotone(claim: Claim, evidence: Evidence) -> Verdict:
    curves = _curves(claim, evidence, at_least=3)
    bent = sum(
        any(b < a for a, b in pairwise(curve)) and any(b > a for a, b in pairwise(curve))
        for curve in curves
    )
    return in_seeds(bent == len(curves), len(curves), f"rises and falls in {bent} of {len(curves)}")


def _falls_with_batch(claim: Claim, evidence: Evidence) -> Verdict:
    ladders = _ladders(evidence)
    if not ladders:
        raise CannotTell("not run: one model at several batch sizes")
    metric, texts, answers = claim.metric[0], [], []
    for ladder in ladders:
        values = [_value(one, metric) for one in ladder]
        sizes = "/".join(str(one.trials[0].trial.batch_size) for one in ladder)
        texts.append(
            f"{ladder[0].model} at batch {sizes}: "
            + ", ".join(_text(one, metric) for one in ladder)
        )
        answers += [falling(a, b, claim.tolerance) for a, b in pairwise(values)]
    return every(answers, "; ".join(texts), "neighbouring sizes are too near each other")


def _sooner(claim: Claim, evidence: Evidence) -> Verdict:
    a, b = evidence.subjects
    bests = [[max(e.test_accuracy for e in t.epochs) for t in one.trained] for one in (a, b)]
    if not all(bests):
        raise CannotTell("not trained")
    target = min(map(min, bests))
    seconds = [_seconds_to(one, target) for one in (a, b)]
    text = f"to {percent(target)}, which every seed reaches: " + ", ".join(
        f"{one.label} {shown('total_seconds', s.mean, s.half_width)}"
        for one, s in zip((a, b), seconds, strict=True)
    )
    if min(s.n for s in seconds) < 2:
        return Verdict("cannot tell", "too few seeds: chance moves the epoch", text)
    return positive(difference(seconds[1], seconds[0]), text)


def _rank_falls(claim: Claim, evidence: Evidence) -> Verdict:
    x, y = claim.metric
    points, text = _points(evidence, x, y)
    pairs = [sorted(pair, key=lambda p: p[1]) for pair in combinations(points, 2)]
    against = [(a, b) for a, b in pairs if a[1] < b[1] and a[2] < b[2]]
    text += f", so in {len(pairs) - len(against)} of {len(pairs)} pairs"
    if not against:
        return Verdict("holds", "so in every pair", text)
    a, b = max(against, key=lambda pair: pair[1][1] / pair[0][1] * pair[1][2] / pair[0][2])
    reason = f"{a[0]} has less of both than {b[0]}: {a[1]:,.0f} against {b[1]:,.0f}, and "
    return Verdict("does not hold", reason + f"{a[2]:,.0f} against {b[2]:,.0f}", text)


def _layer_at_least(claim: Claim, evidence: Evidence) -> Verdict:
    found = layer_change(evidence.run, evidence.subjects[0].model, claim.at or 1, claim.metric[0])
    return _layer(claim, found, found is not None and found >= (claim.threshold or 0.0))


def _layer_at_most(claim: Claim, evidence: Evidence) -> Verdict:
    found = layer_change(evidence.run, evidence.subjects[0].model, claim.at or 1, claim.metric[0])
    return _layer(claim, found, found is not None and found <= (claim.threshold or 0.0))


RULES: dict[str, Rule] = {
    "about": _about,
    "ratio": _ratio,
    "more": _more,
    "same": _same,
    "at_epoch": _at_epoch,
    "stays_within": _stays_within,
    "falls": _falls,
    "not_monotone": _not_monotone,
    "falls_with_batch": _falls_with_batch,
    "sooner": _sooner,
    "rank_falls": _rank_falls,
    "layer_at_least": _layer_at_least,
    "layer_at_most": _layer_at_most,
}
"""How each rule of `bench.analysis.claims.reader.FORMS` judges."""


def layer_change(run: Run, model: str, number: int, column: str) -> float | None:
    """How much training changed a model's convolution (`number` from 1, in forward order), the mean
    over its rows of `layers.csv`; None if the run did not record it."""
    layers = run.layers
    if column not in layers:
        return None
    mine = layers[(layers["model"] == model) & (layers["type"] == "Conv2d")]
    names = list(dict.fromkeys(mine["layer"]))
    if len(names) < number:
        return None
    known = mine[mine["layer"] == names[number - 1]][column].dropna()
    return float(known.mean()) if len(known) else None


def _within(found: Estimate, claim: Claim, text: str) -> Verdict:
    center, room = claim.threshold or 0.0, claim.tolerance
    if claim.rule == "ratio":
        around = f"{center:g} ± {room:g} times"
    else:
        around = shown(claim.metric[0], center, room)
    return placed(found, center - room, center + room, text, around)


def _layer(claim: Claim, found: float | None, holds: bool) -> Verdict:
    if found is None:
        raise CannotTell("not recorded in this run")
    bound = ("at most " if claim.rule.endswith("most") else "at least ") + percent(
        claim.threshold or 0.0
    )
    answer: Answer = "holds" if holds else "does not hold"
    return Verdict(answer, bound if holds else f"not {bound}", percent(found))


def _pair(a: Series, b: Series, metric: str) -> str:
    return ", ".join(f"{one.label} {_text(one, metric)}" for one in (a, b))


def _text(one: Series, metric: str) -> str:
    found = one.metric(metric)
    return MISSING if found is None else shown(metric, found.mean, found.half_width)


def _of_epoch(name: str) -> Callable[[Epoch], float]:
    return lambda epoch: float(getattr(epoch, name))


def _curves(claim: Claim, evidence: Evidence, at_least: int) -> list[list[float]]:
    """The metric epoch by epoch, a curve per seed."""
    (one,), value = evidence.subjects, _of_epoch(claim.metric[0])
    curves = [[value(epoch) for epoch in trial.epochs] for trial in one.trained]
    if min(map(len, curves), default=0) < at_least:
        raise CannotTell(f"too few epochs: it takes {at_least}")
    return curves


def _ladders(evidence: Evidence) -> list[list[Series]]:
    """Series that differ in their batch size alone, ascending; of the claim's models, or of all."""
    groups: dict[tuple[object, ...], dict[int, Series]] = {}
    for one in evidence.subjects or evidence.found:
        for sibling in evidence.found:
            size = sibling.trials[0].trial.batch_size
            if (sibling.model, sibling.setting) == (one.model, one.setting) and size:
                groups.setdefault((one.model, one.setting), {}).setdefault(size, sibling)
    return [[g[size] for size in sorted(g)] for g in groups.values() if len(g) > 1]


def _seconds_to(one: Series, target: float) -> Estimate:
    """Wall-clock seconds until the test accuracy reaches what every seed reaches."""
    found = [reached(trial.epochs, target).first_seconds for trial in one.trained]
    return estimate([seconds for seconds in found if seconds is not None])


def _points(evidence: Evidence, x: str, y: str) -> tuple[list[tuple[str, float, float]], str]:
    """A point per model in the setting that most models share."""
    shapes: dict[tuple[object, ...], dict[str, Series]] = {}
    for one in evidence.subjects or evidence.found:
        shapes.setdefault((one.setting,), {}).setdefault(one.model, one)
    group = max(shapes.values(), key=len, default={})
    points = []
    for one in group.values():
        try:
            points.append((one.model, _value(one, x).mean, _value(one, y).mean))
        except CannotTell:
            continue
    if len(points) < 3:
        raise CannotTell(f"too few models: {len(points)} of at least 3 with both figures measured")
    return points, f"{len(points)} models"


def _value(one: Series, metric: str) -> Estimate:
    """The metric over the seeds, with an interval wherever it is not a count.

    Times of one seed are given the noise that a quiet machine has.
    """
    if metric == "max_batch":
        _check_searched(one)
    found = one.metric(metric)
    if found is None:
        raise CannotTell(f"not measured for {one.label}")
    if metric.startswith(_EXACT):
        return found
    if not any(trial.status == "done" for trial in one.trials):
        raise CannotTell(f"{one.label} was not trained to the end")
    if found.n < 2 and ("accuracy" in metric or "loss" in metric):
        raise CannotTell(f"too few seeds: {one.label} has {found.n}, and chance moves accuracies")
    return found if found.n > 1 else Estimate(found.mean, TIMING_NOISE * found.mean, 1)


def _check_searched(one: Series) -> None:
    fit = one.trials[0].largest_batch
    if fit is None or fit.source != "measured":
        predicted = any(
            (p.model, p.setting) == (one.model, one.setting)
            for p in one.trials[0].run.all_predictions
        )
        raise CannotTell(
            f"predicted only: no search was made for {one.label}"
            if predicted or fit
            else f"no search was made for {one.label}"
        )
    if fit.limited_by != "memory":
        raise CannotTell(f"the {fit.limited_by}, not memory, limits the batch of {one.label}")

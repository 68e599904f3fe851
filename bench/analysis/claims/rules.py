"""How a claim is judged: a rule is a decorated function, registered with what its rows must say.

Whether two groups differ is never decided here: `bench.analysis.compare` does that, for every
sentence of a report. A statement about a curve is judged in every seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise

from bench.analysis.claims.claim import Answer, CannotTell, Claim, ClaimVerdict, Evidence
from bench.analysis.compare.arrival import arrivals, common_accuracy, seconds_to
from bench.analysis.compare.ranking import Difference
from bench.analysis.formatting import MISSING, percent, shown, times
from bench.analysis.intervals import estimate
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import TrialGroup
from bench.records.records import Epoch, LayerChange

CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
"""Figures with a value per epoch."""

LAYER_CHANGES = ("changed_share", "relative_change")
"""Figures with a value per layer."""

_TRIAL = tuple(BY_NAME)

Judge = Callable[[Claim, Evidence], ClaimVerdict]


@dataclass(frozen=True)
class Rule:
    """A rule and what its rows must say: how many models (None: any number, or none), how many
    metrics out of which names, and which numbers."""

    judge: Judge
    models: int | None
    metrics: int
    among: tuple[str, ...]
    threshold: bool
    at: bool


RULES: dict[str, Rule] = {}


def rule(
    models: int | None = 1,
    metrics: int = 1,
    among: tuple[str, ...] = _TRIAL,
    *,
    threshold: bool = False,
    at: bool = False,
) -> Callable[[Judge], Judge]:
    """Register a rule under its function's name."""

    def register(judge: Judge) -> Judge:
        RULES[judge.__name__] = Rule(judge, models, metrics, among, threshold, at)
        return judge

    return register


@rule(threshold=True)
def about(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The metric is the threshold, give or take the tolerance; `at`: the run has so many epochs."""
    (group,), metric = evidence.subjects, claim.metric[0]
    if claim.at is not None and any(len(t.epochs) != claim.at for t in group.counted):
        raise CannotTell(f"the run has {len(group.counted[0].epochs)} epochs, not {claim.at}")
    _check_known(group, metric)
    mean = group.metric(metric)
    assert mean is not None
    if mean.n < 2 and not BY_NAME[metric].exact:
        raise CannotTell("too few seeds: one has no interval", _text(group, metric))
    room = mean.half_width or 0.0
    return _placed(mean.mean - room, mean.mean + room, claim, _text(group, metric))


@rule(models=2, threshold=True)
def ratio(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The first model's metric over the second's is the threshold, give or take the tolerance."""
    (a, b), metric = evidence.subjects, claim.metric[0]
    effect = _against(evidence, metric, a, b).effect
    if not effect.a:
        raise CannotTell("a ratio to nothing")

    def as_ratio(change: float) -> float:
        return change if effect.scale == "ratio" else 1 + change / effect.a

    text = f"{times(as_ratio(effect.change))} ({a.label} / {b.label})"
    if effect.design == "too few":
        raise CannotTell(_too_few(evidence, metric, a, b), text)
    low, high = (effect.change if end is None else end for end in (effect.low, effect.high))
    return _placed(as_ratio(low), as_ratio(high), claim, text)


@rule(models=2)
def more(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The first model has more of the metric than the second."""
    (a, b), metric = evidence.subjects, claim.metric[0]
    return _greater(_against(evidence, metric, a, b), _pair(a, b, metric))


@rule(models=2)
def same(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The metric of both models differs by the tolerance at most."""
    (a, b), metric = evidence.subjects, claim.metric[0]
    effect, text = _against(evidence, metric, a, b).effect, _pair(a, b, metric)
    if effect.design == "too few":
        raise CannotTell(_too_few(evidence, metric, a, b), text)
    ends = (effect.change if end is None else end for end in (effect.low, effect.high))
    low, high = (effect.a * (e - 1) if effect.scale == "ratio" else e for e in ends)
    room = claim.tolerance
    return _within(low, high, -room, room, text, f"a difference of {shown(metric, room)}")


@rule(among=CURVES, threshold=True, at=True)
def at_epoch(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """After epoch `at`, the curve is at the threshold, give or take the tolerance."""
    (group,), epoch = evidence.subjects, claim.at or 1
    curve = group.curve(_of_epoch(claim.metric[0]))
    if len(curve) < epoch:
        raise CannotTell(f"the run has {len(curve)} epochs")
    mean = curve[epoch - 1]
    text = shown(claim.metric[0], mean.mean, mean.half_width)
    if mean.n < 2:
        raise CannotTell("too few seeds: one has no interval", text)
    room = mean.half_width or 0.0
    return _placed(mean.mean - room, mean.mean + room, claim, text)


@rule(among=CURVES, threshold=True)
def stays_within(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """After the first epoch, every seed's curve stays within the tolerance of the threshold."""
    curves = [curve[1:] for curve in _curves(claim, evidence, at_least=2)]
    low, high = min(map(min, curves)), max(map(max, curves))
    metric = claim.metric[0]
    text = f"{shown(metric, low)} to {shown(metric, high)}"
    center, room = claim.threshold or 0.0, claim.tolerance
    return _in_seeds(center - room <= low and high <= center + room, len(curves), text)


@rule(among=CURVES)
def falls(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """Every seed's curve falls at every epoch."""
    curves = _curves(claim, evidence, at_least=2)
    rises = sum(b >= a for curve in curves for a, b in pairwise(curve))
    steps = sum(len(curve) - 1 for curve in curves)
    return _in_seeds(rises == 0, len(curves), f"falls at {steps - rises} of {steps} epochs")


@rule(among=CURVES)
def not_monotone(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """Every seed's curve both rises and falls."""
    curves = _curves(claim, evidence, at_least=3)
    bent = sum(
        any(b < a for a, b in pairwise(curve)) and any(b > a for a, b in pairwise(curve))
        for curve in curves
    )
    return _in_seeds(
        bent == len(curves), len(curves), f"rises and falls in {bent} of {len(curves)}"
    )


@rule(models=None)
def falls_with_batch(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The metric of one model falls from each batch size to the next larger one; a rise by less
    than the tolerance, a fraction, does not refute it."""
    ladders, metric = _ladders(evidence), claim.metric[0]
    if not ladders:
        raise CannotTell("not run: one model at several batch sizes")
    texts, answers = [], set[Answer]()
    for ladder in ladders:
        sizes = "/".join(str(group.trials[0].trial.batch_size) for group in ladder)
        values = ", ".join(_text(group, metric) for group in ladder)
        texts.append(f"{ladder[0].model} at batch {sizes}: {values}")
        for smaller, larger in pairwise(ladder):
            step = _against(evidence, metric, larger, smaller)
            rise = step.effect.change - 1 if step.effect.scale == "ratio" else step.effect.change
            if not step.verdict.apart or 0 < rise <= claim.tolerance:
                answers.add("cannot tell")
            else:
                answers.add("does not hold" if rise > 0 else "holds")
    text = "; ".join(texts)
    if "does not hold" in answers:
        return ClaimVerdict("does not hold", "it rises with a larger batch", text)
    if "cannot tell" in answers:
        raise CannotTell("neighbouring sizes are too near each other", text)
    return ClaimVerdict("holds", "so from each size to the next", text)


@rule(models=2, metrics=0, among=())
def sooner(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The first model reaches the accuracy that every seed of both reaches before the second."""
    a, b = evidence.subjects
    target = common_accuracy([a, b]) if a.trained and b.trained else None
    if target is None:
        raise CannotTell("not trained")
    means = [estimate(list(seconds_to(target, group).values())) for group in (a, b)]
    text = f"to {percent(target)}, which every seed reaches: " + ", ".join(
        f"{group.label} {shown('total_seconds', mean.mean, mean.half_width)}"
        for group, mean in zip((a, b), means, strict=True)
    )
    ranking = arrivals(target, [a, b])
    assert ranking is not None
    return _greater(ranking.differences[a.label, b.label], text)


@rule(models=None, metrics=2)
def rank_falls(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """Of every two models, the one with less of the first metric has more of the second."""
    x, y = claim.metric
    groups = [g for g in _one_setting(evidence) if _is_known(g, x) and _is_known(g, y)]
    if len(groups) < 3:
        raise CannotTell(f"too few models: {len(groups)} of at least 3 with both figures measured")
    pairs = list(combinations(groups, 2))
    so = against = 0
    worst, reason = 0.0, ""
    for a, b in pairs:
        one, other = (_against(evidence, metric, b, a) for metric in (x, y))
        if not (one.verdict.apart and other.verdict.apart):
            continue
        if (one.effect.shift > 0) != (other.effect.shift > 0):
            so += 1
            continue
        against += 1
        size = abs(one.effect.shift) + abs(other.effect.shift)
        if size > worst:
            worst = size
            less, greater = (a, b) if one.effect.shift > 0 else (b, a)
            figures = [_plain(less, x), _plain(greater, x), _plain(less, y), _plain(greater, y)]
            reason = (
                f"{less.model} has less of both than {greater.model}: {figures[0]} against "
                f"{figures[1]}, and {figures[2]} against {figures[3]}"
            )
    text = f"{len(groups)} models, so in {so} of {len(pairs)} pairs"
    if against:
        return ClaimVerdict("does not hold", reason, text)
    if so < len(pairs):
        raise CannotTell("not every pair can be told apart", text)
    return ClaimVerdict("holds", "so in every pair", text)


@rule(among=LAYER_CHANGES, threshold=True, at=True)
def layer_at_least(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """Training changed the model's convolution number `at` by the threshold or more."""
    bound = f"at least {percent(claim.threshold or 0.0)}"
    return _layer(claim, evidence, bound, lambda change: change >= (claim.threshold or 0.0))


@rule(among=LAYER_CHANGES, threshold=True, at=True)
def layer_at_most(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """Training changed the model's convolution number `at` by the threshold or less."""
    bound = f"at most {percent(claim.threshold or 0.0)}"
    return _layer(claim, evidence, bound, lambda change: change <= (claim.threshold or 0.0))


def layer_change(group: TrialGroup, number: int, column: str) -> float | None:
    """How much training changed a model's convolution (`number` from 1, in forward order), the mean
    over the group's trials; None if the run did not record it."""
    described = group.trials[0].described
    names = (
        [layer.layer for layer in described.layers if layer.type == "Conv2d"] if described else []
    )
    if len(names) < number:
        return None
    changes: list[LayerChange] = [
        change
        for trial in group.trials
        for change in (trial.inspected.layers if trial.inspected else ())
        if change.layer == names[number - 1]
    ]
    return estimate([getattr(c, column) for c in changes]).mean if changes else None


def _layer(
    claim: Claim, evidence: Evidence, bound: str, holds: Callable[[float], bool]
) -> ClaimVerdict:
    change = layer_change(evidence.subjects[0], claim.at or 1, claim.metric[0])
    if change is None:
        raise CannotTell("not recorded in this run")
    if holds(change):
        return ClaimVerdict("holds", bound, percent(change))
    return ClaimVerdict("does not hold", f"not {bound}", percent(change))


def _against(evidence: Evidence, metric: str, a: TrialGroup, b: TrialGroup) -> Difference:
    """a against b in a metric; raises CannotTell where either does not have it."""
    for group in (a, b):
        _check_known(group, metric)
    difference = evidence.standings.between(metric, b, a)
    if difference is None:
        raise CannotTell(f"not measured for {a.label} and {b.label}")
    return difference


def _greater(difference: Difference, text: str) -> ClaimVerdict:
    """Whether what is compared has more than what it is compared with."""
    verdict = difference.verdict
    if verdict.apart:
        if difference.effect.shift > 0:
            reason = "so in this run" if difference.p is None else verdict.certainty
            return ClaimVerdict("holds", reason, text)
        return ClaimVerdict("does not hold", "the other way round", text)
    if verdict.word == "cannot tell":
        raise CannotTell(verdict.reason, text)
    return ClaimVerdict("does not hold", verdict.word, text)


def _too_few(evidence: Evidence, metric: str, a: TrialGroup, b: TrialGroup) -> str:
    return f"too few seeds: {_against(evidence, metric, a, b).verdict.reason}"


def _placed(low: float, high: float, claim: Claim, text: str) -> ClaimVerdict:
    """Where an interval lies against the claim's threshold and tolerance."""
    center, room = claim.threshold or 0.0, claim.tolerance
    if claim.rule == "ratio":
        around = f"{center:g} ± {room:g} times"
    else:
        around = shown(claim.metric[0], center, room)
    return _within(low, high, center - room, center + room, text, around)


def _within(
    low: float, high: float, least: float, most: float, text: str, around: str
) -> ClaimVerdict:
    """Whether an interval lies within bounds, outside them, or across one."""
    if least <= low and high <= most:
        return ClaimVerdict("holds", f"within {around}", text)
    if high < least or low > most:
        return ClaimVerdict("does not hold", f"outside {around}", text)
    raise CannotTell(f"the interval overlaps {around}", text)


def _in_seeds(holds: bool, seeds: int, text: str) -> ClaimVerdict:
    """A verdict on curves, each of a seed."""
    where = "in the one seed" if seeds == 1 else f"in all {seeds} seeds"
    if holds:
        return ClaimVerdict("holds", f"so {where}", text)
    return ClaimVerdict("does not hold", f"not so {where}", text)


def _pair(a: TrialGroup, b: TrialGroup, metric: str) -> str:
    return ", ".join(f"{group.label} {_text(group, metric)}" for group in (a, b))


def _text(group: TrialGroup, metric: str) -> str:
    mean = group.metric(metric)
    return MISSING if mean is None else shown(metric, mean.mean, mean.half_width)


def _plain(group: TrialGroup, metric: str) -> str:
    mean = group.metric(metric)
    return MISSING if mean is None else f"{mean.mean:,.0f}"


def _of_epoch(name: str) -> Callable[[Epoch], float]:
    return lambda epoch: float(getattr(epoch, name))


def _curves(claim: Claim, evidence: Evidence, at_least: int) -> list[list[float]]:
    """The metric epoch by epoch, a curve per seed."""
    (group,), value = evidence.subjects, _of_epoch(claim.metric[0])
    curves = [[value(epoch) for epoch in trial.epochs] for trial in group.trained]
    if min(map(len, curves), default=0) < at_least:
        raise CannotTell(f"too few epochs: it takes {at_least}")
    return curves


def _ladders(evidence: Evidence) -> list[list[TrialGroup]]:
    """Groups that differ in their batch size alone, ascending; of the claim's models, or of all."""
    ladders: dict[tuple[object, ...], dict[int, TrialGroup]] = {}
    wanted = {(group.model, group.setting) for group in evidence.groups}
    for group in evidence.standings.groups:
        shape, size = (group.model, group.setting), group.trials[0].trial.batch_size
        if shape in wanted and size:
            ladders.setdefault(shape, {}).setdefault(size, group)
    return [[sizes[n] for n in sorted(sizes)] for sizes in ladders.values() if len(sizes) > 1]


def _one_setting(evidence: Evidence) -> list[TrialGroup]:
    """A group per model, in the setting that most models share."""
    settings: dict[object, dict[str, TrialGroup]] = {}
    for group in evidence.groups:
        settings.setdefault(group.setting, {}).setdefault(group.model, group)
    return list(max(settings.values(), key=len, default={}).values())


def _is_known(group: TrialGroup, metric: str) -> bool:
    try:
        _check_known(group, metric)
    except CannotTell:
        return False
    return True


def _check_known(group: TrialGroup, metric: str) -> None:
    """Raises CannotTell unless a group has a metric of which a claim may be made."""
    if metric == "max_batch":
        _check_searched(group)
    if group.metric(metric) is None:
        raise CannotTell(f"not measured for {group.label}")
    if not BY_NAME[metric].exact and not group.finished:
        raise CannotTell(f"{group.label} was not trained to the end")


def _check_searched(group: TrialGroup) -> None:
    search = group.trials[0].largest_batch
    if search is None or search.source != "measured":
        predicted = any(
            (p.model, p.setting) == (group.model, group.setting)
            for p in group.trials[0].run.all_predictions
        )
        raise CannotTell(
            f"predicted only: no search was made for {group.label}"
            if predicted or search
            else f"no search was made for {group.label}"
        )
    if search.limited_by != "memory":
        raise CannotTell(f"the {search.limited_by}, not memory, limits the batch of {group.label}")

"""How a claim is judged: a rule is a decorated function, registered with what its rows must say.

Whether two groups differ is never decided here: `bench.analysis.compare` does that, for every
sentence of a report. A statement about a curve is judged in every seed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from operator import attrgetter, ge, itemgetter, le

from bench.analysis.claims.claim import CannotTell, Claim, ClaimVerdict, Evidence
from bench.analysis.compare.arrival import arrivals, common_accuracy, seconds_to
from bench.analysis.compare.pairwise import learned
from bench.analysis.compare.ranking import Difference
from bench.analysis.compare.verdicts import FEWEST_SEEDS
from bench.analysis.formatting import MISSING, change_text, percent, shown, times
from bench.analysis.intervals import Estimate, SeedOf, estimate, seeds_for
from bench.analysis.metrics import BY_NAME, METRICS
from bench.analysis.trial_group import TrialGroup, Values
from bench.records.records import Predicted

CURVES = (
    *("train_loss", "train_accuracy", "test_loss", "test_accuracy"),
    *("validation_loss", "validation_accuracy"),
)
"""Figures with a value per epoch."""

LAYER_CHANGES = ("changed_share", "relative_change")
"""Figures with a value per layer."""

TRAINED = {metric.name for metric in METRICS if learned(metric)}
TRAINED |= {*CURVES, *LAYER_CHANGES}
"""Figures that say what training came to."""

_PLAIN = {"seed", "threads", "learning_rate", "weight_decay", "repeats"}
_PLAIN |= {"best_epoch", "best_validation_epoch"}
"""Numbers that have no unit; what else has none is text."""

NUMBERS = tuple(m.name for m in METRICS if m.unit or m.exact or m.name in _PLAIN)
"""Figures of a trial that are numbers."""

Judge = Callable[[Claim, Evidence], ClaimVerdict]


@dataclass(frozen=True)
class Rule:
    """A rule and what its rows must say: how many models (None: any number, or none), how many
    metrics out of which names, and which numbers, or a card.

    `seeds` and `epochs` are the fewest that it can judge; a figure without chance takes one seed.
    """

    judge: Judge
    models: int | None
    metrics: int
    among: tuple[str, ...]
    threshold: bool
    at: bool
    card: bool
    seeds: int
    epochs: int


RULES: dict[str, Rule] = {}


def rule(
    models: int | None = 1,
    metrics: int = 1,
    among: tuple[str, ...] = NUMBERS,
    *,
    threshold: bool = False,
    at: bool = False,
    card: bool = False,
    seeds: int = 1,
    epochs: int = 1,
) -> Callable[[Judge], Judge]:
    """Register a rule under its function's name."""

    def register(judge: Judge) -> Judge:
        RULES[judge.__name__] = Rule(
            judge, models, metrics, among, threshold, at, card, seeds, epochs
        )
        return judge

    return register


@rule(threshold=True, seeds=2)
def about(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The metric is the threshold, give or take the tolerance; `at`: the run has so many epochs."""
    (group,) = evidence.subjects
    if claim.at is not None and any(len(t.epochs) != claim.at for t in group.counted):
        reason = f"the run has {len(group.counted[0].epochs)} epochs, not {claim.at}"
        raise CannotTell(reason, options=f"--epochs {claim.at}")
    return _placed(group, _known(group, claim.metric[0]), claim)


@rule(models=2, threshold=True, seeds=FEWEST_SEEDS)
def ratio(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The first model's metric over the second's is the threshold, give or take the tolerance."""
    (a, b), metric = evidence.subjects, claim.metric[0]
    difference = _against(evidence, metric, a, b)
    effect = difference.effect
    if not effect.a:
        raise CannotTell("a ratio to nothing")

    def as_ratio(change: float) -> float:
        return change if effect.scale == "ratio" else 1 + change / effect.a

    value, names = times(as_ratio(effect.change)), f"({a.label} / {b.label})"
    low, high = map(as_ratio, _interval(difference, f"{value} {names}"))
    spread = "" if effect.half_width is None else f" [{low:.2f} to {high:.2f}]"
    text = f"{value}{spread} {names}"
    center, room = claim.threshold or 0.0, claim.tolerance
    around = f"{center:g} ± {room:g} times"
    bounds = (center - room, center + room)
    return _within(low, high, *bounds, text, around, difference.effect.seeds_a)


@rule(models=2, seeds=FEWEST_SEEDS)
def more(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The first model has more of the metric than the second."""
    (a, b), metric = evidence.subjects, claim.metric[0]
    return _greater(_against(evidence, metric, a, b), _pair(a, b, metric))


@rule(models=2, seeds=FEWEST_SEEDS)
def same(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The metric of both models differs by the tolerance at most."""
    (a, b), metric = evidence.subjects, claim.metric[0]
    difference, pair = _against(evidence, metric, a, b), _pair(a, b, metric)
    effect = difference.effect
    ends = _interval(difference, pair)
    word = "ratio" if effect.scale == "ratio" else "difference"
    text = f"{pair}, {word} {change_text(effect)}"
    low, high = (effect.a * (e - 1) if effect.scale == "ratio" else e for e in ends)
    room, around = claim.tolerance, f"a difference of {shown(metric, claim.tolerance)}"
    return _within(low, high, -room, room, text, around, effect.seeds_a)


@rule(among=CURVES, threshold=True, at=True, seeds=2)
def at_epoch(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """After epoch `at`, the curve is at the threshold, give or take the tolerance."""
    (group,), epoch, name = evidence.subjects, claim.at or 1, claim.metric[0]
    if all(len(trial.epochs) == epoch for trial in group.trained):
        last = f"final_{name}"  # which may be known although no epoch was evaluated on it
        if last in BY_NAME and (mean := group.metric(last)):
            return _placed(group, mean, claim)
    _check_evaluated(group, name)
    curve = group.curve(attrgetter(name))
    if len(curve) < epoch:
        raise CannotTell(f"the run has {len(curve)} epochs", options=f"--epochs {claim.at}")
    return _placed(group, curve[epoch - 1], claim)


@rule(among=CURVES, threshold=True, epochs=2)
def stays_within(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """After the first epoch, every seed's curve stays within the tolerance of the threshold."""
    curves = [curve[1:] for curve in _curves(claim, evidence, at_least=2)]
    low, high = min(map(min, curves)), max(map(max, curves))
    text = f"{shown(claim.metric[0], low)} to {shown(claim.metric[0], high)}"
    center, room = claim.threshold or 0.0, claim.tolerance
    return _in_seeds(center - room <= low and high <= center + room, curves, text)


@rule(among=CURVES, epochs=2)
def falls(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """Every seed's curve falls at every epoch."""
    curves = _curves(claim, evidence, at_least=2)
    rises = [b >= a for curve in curves for a, b in pairwise(curve)]
    text = f"falls at {rises.count(False)} of {len(rises)} epochs"
    return _in_seeds(not any(rises), curves, text)


@rule(among=CURVES, epochs=3)
def not_monotone(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """Every seed's curve both rises and falls."""
    curves = _curves(claim, evidence, at_least=3)
    bent = sum(
        any(b < a for a, b in pairwise(curve)) and any(b > a for a, b in pairwise(curve))
        for curve in curves
    )
    text = f"rises and falls in {bent} of {len(curves)}"
    return _in_seeds(bent == len(curves), curves, text)


@rule(models=None, seeds=FEWEST_SEEDS)
def falls_with_batch(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The metric of one model falls from each batch size to the next larger one; a rise by less
    than the tolerance, a fraction, does not refute it."""
    ladders, metric = _ladders(evidence), claim.metric[0]
    if not ladders:
        reason = "not run: one model at several batch sizes"
        raise CannotTell(reason, options="--batch-size 32 128")
    texts, rises, unclear = [], False, False
    wanted: list[int | None] = []
    for ladder in ladders:
        sizes = "/".join(str(group.trials[0].trial.batch_size) for group in ladder)
        values = ", ".join(_text(group, metric) for group in ladder)
        texts.append(f"{ladder[0].model} at batch {sizes}: {values}")
        for smaller, larger in pairwise(ladder):
            step = _against(evidence, metric, larger, smaller)
            rise = step.effect.change - 1 if step.effect.scale == "ratio" else step.effect.change
            if not step.verdict.apart or 0 < rise <= claim.tolerance:
                unclear = True
                wanted.append(step.verdict.more_seeds)
            elif rise > 0:
                rises = True
    text = "; ".join(texts)
    if rises:
        return ClaimVerdict("does not hold", "it rises with a larger batch", text)
    if unclear:
        # Where seeds do not help at one step, they do not help.
        seeds = [one for one in wanted if one]
        more = max(seeds) if len(seeds) == len(wanted) else None
        raise CannotTell("neighbouring sizes are too near each other", text, more_seeds=more)
    return ClaimVerdict("holds", "so from each size to the next", text)


@rule(models=2, metrics=0, among=(), seeds=FEWEST_SEEDS)
def sooner(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The first model reaches the accuracy that every seed of both reaches before the second."""
    a, b = evidence.subjects
    target = common_accuracy([a, b]) if a.evaluated and b.evaluated else None
    if target is None:
        raise CannotTell("not trained, or evaluated only after the last epoch")
    text = (
        f"to {percent(target)} {a.evaluated_on} accuracy, which every seed reaches: "
        + ", ".join(
            f"{group.label} {_seconds_text(group, seconds_to(target, group))}" for group in (a, b)
        )
    )
    ranking = arrivals(target, [a, b])
    assert ranking is not None
    return _greater(ranking.differences[a.label, b.label], text)


@rule(models=None, metrics=2, seeds=FEWEST_SEEDS)
def rank_falls(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """Of every two models, the one with less of the first metric has more of the second."""
    x, y = claim.metric
    groups = [g for g in _one_setting(evidence) if _is_known(g, x) and _is_known(g, y)]
    if len(groups) < 3:
        raise CannotTell(f"too few models: {len(groups)} of at least 3 with both figures measured")
    pairs = list(combinations(groups, 2))
    so, against = 0, []
    for a, b in pairs:
        in_x, in_y = (_against(evidence, metric, b, a) for metric in (x, y))
        shift_x, shift_y = in_x.effect.shift, in_y.effect.shift
        if in_x.verdict.apart and in_y.verdict.apart:
            if (shift_x > 0) != (shift_y > 0):
                so += 1
            else:
                ascending = (a, b) if shift_x > 0 else (b, a)
                against.append((abs(shift_x) + abs(shift_y), ascending))
    text = f"{len(groups)} models, so in {so} of {len(pairs)} pairs"
    if against:
        _, (less, greater) = max(against, key=itemgetter(0))
        figures = ", and ".join(_beside(evidence, m, less, greater) for m in (x, y))
        reason = f"{less.model} has less of both than {greater.model}: {figures}"
        return ClaimVerdict("does not hold", reason, text)
    if so < len(pairs):
        raise CannotTell("not every pair can be told apart", text)
    return ClaimVerdict("holds", "so in every pair", text)


@rule(among=LAYER_CHANGES, threshold=True, at=True)
def layer_at_least(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """Training changed the model's convolution number `at` by the threshold or more."""
    return _layer(claim, evidence, "at least", ge)


@rule(among=LAYER_CHANGES, threshold=True, at=True)
def layer_at_most(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """Training changed the model's convolution number `at` by the threshold or less."""
    return _layer(claim, evidence, "at most", le)


@rule(models=2, among=("max_batch",), threshold=True, card=True)
def predicted_ratio(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The first model's largest batch on the card over the second's, both predicted, is the
    threshold, give or take the tolerance."""
    a, b = (_predicted(group, claim.card) for group in evidence.subjects)
    if not b.max_batch:
        raise CannotTell(f"none fits on {claim.card}: {_range(b)}")
    low = a.max_batch_low / _at_most(b, evidence)
    high = _at_most(a, evidence) / max(1, b.max_batch_low)
    center, room = claim.threshold or 0.0, claim.tolerance
    text = f"{times(a.max_batch / b.max_batch)} ({_range(a)} / {_range(b)})"
    around = f"{center:g} ± {room:g} times"
    try:
        return _within(low, high, center - room, center + room, text, around)
    except CannotTell as lack:
        raise _undecided(claim, evidence, (a, b), str(lack), text) from None


@rule(models=2, among=("max_batch",), card=True)
def predicted_more(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """The first model's largest batch on the card is above the second's, both predicted."""
    a, b = (_predicted(group, claim.card) for group in evidence.subjects)
    text = f"{_range(a)} and {_range(b)}"
    low = a.max_batch_low - _at_most(b, evidence)
    high = _at_most(a, evidence) - b.max_batch_low
    if low <= 0 < high:
        raise _undecided(claim, evidence, (a, b), "the predicted ranges overlap", text)
    return _verdict(low > 0, "so beyond the known error", "not so", text)


@rule(among=("max_batch",), threshold=True, card=True)
def predicted_fits(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """A batch as large as the threshold fits on the card, as predicted."""
    predicted = _predicted(evidence.subjects[0], claim.card)
    size, text = claim.threshold or 0.0, _range(predicted)
    if predicted.max_batch_low < size <= _at_most(predicted, evidence):
        why = f"{size:g} lies within the known error"
        raise _undecided(claim, evidence, (predicted,), why, text)
    fits, largest = size <= predicted.max_batch_low, f"{predicted.max_batch:,} is the largest"
    return _verdict(fits, f"{size:g} fit", largest, text)


def _predicted(group: TrialGroup, card: str) -> Predicted:
    trial = group.trials[0]
    # A card that is a size is called as it was written: 11GiB or 11gib.
    named = {p.card.lower(): p.card for p in trial.run.all_predictions}
    predicted = trial.predicted(named.get(card.lower(), card))
    if predicted is None:
        raise CannotTell(f"not predicted for {group.label} on {card}")
    return predicted


def _at_most(predicted: Predicted, evidence: Evidence) -> float:
    """The upper end of a prediction's range; infinite where the data set, not memory, sets it."""
    is_cut = predicted.max_batch_high >= evidence.run.dataset.train_images
    return math.inf if is_cut else predicted.max_batch_high


def _undecided(
    claim: Claim, evidence: Evidence, predictions: Sequence[Predicted], why: str, text: str
) -> CannotTell:
    """Why predictions leave a claim open: one of them was cut at the data set's size, or `why`."""
    for predicted in predictions:
        if math.isinf(_at_most(predicted, evidence)):
            reason = f"the data set, not memory, limits the batch of {predicted.model}"
            return CannotTell(reason, text, f"--card {claim.card} --train-limit all")
    return CannotTell(why, text)


def _range(predicted: Predicted) -> str:
    low, high = predicted.max_batch_low, predicted.max_batch_high
    return f"{predicted.model} {predicted.max_batch:,} [{low:,} to {high:,}]"


def layer_change(group: TrialGroup, number: int, column: str) -> float | None:
    """How much training changed a model's convolution (`number` from 1, in forward order), the mean
    over the group's trials; None if the run did not record it."""
    described = group.trials[0].described
    layers = [e.layer for e in (described.layers if described else ()) if e.type == "Conv2d"]
    changes: list[float] = [
        getattr(change, column)
        for trial in group.trials
        for change in (trial.inspected.layers if trial.inspected else ())
        if [change.layer] == layers[number - 1 : number]
    ]
    return estimate(changes).mean if changes else None


def _layer(
    claim: Claim, evidence: Evidence, words: str, compare: Callable[[float, float], bool]
) -> ClaimVerdict:
    change = layer_change(evidence.subjects[0], claim.at or 1, claim.metric[0])
    if change is None:
        raise CannotTell("not recorded in this run")
    threshold = claim.threshold or 0.0
    bound = f"{words} {percent(threshold)}"
    return _verdict(compare(change, threshold), bound, f"not {bound}", percent(change))


def _verdict(holds: bool, reason: str, objection: str, text: str) -> ClaimVerdict:
    if holds:
        return ClaimVerdict("holds", reason, text)
    return ClaimVerdict("does not hold", objection, text)


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
    if verdict.word == "cannot tell":
        options = _with_more(difference)
        raise CannotTell(verdict.reason, text, options, verdict.more_seeds)
    certainty = "so in this run" if difference.p is None else verdict.certainty
    objection = "the other way round" if verdict.apart else verdict.word
    return _verdict(verdict.apart and difference.effect.shift > 0, certainty, objection, text)


def _with_more(difference: Difference) -> str | None:
    """The option that would probably tell two groups apart, where seeds can."""
    effect, more = difference.effect, difference.verdict.more_seeds
    if effect.design == "too few":
        return "--seeds 5"
    return f"--seeds {effect.seeds_a + more}" if more is not None else None


def _interval(difference: Difference, text: str) -> tuple[float, float]:
    """Both ends of the interval of a change; the change itself where nothing is left to chance."""
    effect = difference.effect
    if effect.design == "too few":
        verdict = difference.verdict
        options = _with_more(difference)
        raise CannotTell(f"too few seeds: {verdict.reason}", text, options, verdict.more_seeds)
    low, high = effect.low, effect.high
    return effect.change if low is None else low, effect.change if high is None else high


def _placed(group: TrialGroup, mean: Estimate, claim: Claim) -> ClaimVerdict:
    """Where a mean's interval lies against the claim's threshold and tolerance."""
    name, half_width = claim.metric[0], mean.half_width or 0.0
    text = shown(name, mean.mean, mean.half_width)
    if mean.n < 2 and not (name in BY_NAME and BY_NAME[name].exact):
        if _is_of_one_person(group):
            raise CannotTell("too few people: one has no interval", text)
        raise CannotTell("too few seeds: one has no interval", text, "--seeds 5", more_seeds=1)
    center, room = claim.threshold or 0.0, claim.tolerance
    low, high = mean.mean - half_width, mean.mean + half_width
    return _within(low, high, center - room, center + room, text, shown(name, center, room), mean.n)


def _is_of_one_person(group: TrialGroup) -> bool:
    """Whether a single person's trials are all there is, where many people's are pooled."""
    keys = group.by_seed(lambda trial: 0.0)
    return len({key.person for key in keys if isinstance(key, SeedOf)}) == 1


def _within(
    low: float, high: float, least: float, most: float, text: str, around: str, seeds: int = 1
) -> ClaimVerdict:
    """Whether an interval over so many seeds lies within bounds, outside them, or across one."""
    inside = least <= low and high <= most
    if not inside and not (high < least or low > most):
        middle = (low + high) / 2
        room = min(abs(middle - least), abs(middle - most))
        wanted = seeds_for((high - low) / 2, seeds, room) if seeds > 1 else None
        more = None if wanted is None else max(1, wanted - seeds)
        raise CannotTell(f"the interval overlaps {around}", text, more_seeds=more)
    return _verdict(inside, f"within {around}", f"outside {around}", text)


def _in_seeds(holds: bool, curves: list[list[float]], text: str) -> ClaimVerdict:
    """A verdict on curves, each of a seed."""
    where = "in the one seed" if len(curves) == 1 else f"in all {len(curves)} seeds"
    return _verdict(holds, f"so {where}", f"not so {where}", text)


def _beside(evidence: Evidence, metric: str, a: TrialGroup, b: TrialGroup) -> str:
    """Two groups in a metric: their means, or where unlike machines have none, what compares."""
    means = [mean for group in (a, b) if (mean := group.metric(metric))]
    if len(means) == 2:
        return " against ".join(shown(metric, mean.mean) for mean in means)
    effect = _against(evidence, metric, a, b).effect
    return f"a {effect.scale} of {change_text(effect)}"


def _pair(a: TrialGroup, b: TrialGroup, metric: str) -> str:
    return ", ".join(f"{group.label} {_text(group, metric)}" for group in (a, b))


def _text(group: TrialGroup, metric: str) -> str:
    mean = group.metric(metric)
    return MISSING if mean is None else shown(metric, mean.mean, mean.half_width)


def _curves(claim: Claim, evidence: Evidence, at_least: int) -> list[list[float]]:
    """The metric epoch by epoch, a curve per seed."""
    (group,), value = evidence.subjects, attrgetter(claim.metric[0])
    _check_evaluated(group, claim.metric[0])
    curves = [[value(epoch) for epoch in trial.epochs] for trial in group.trained]
    if min(map(len, curves), default=0) < at_least:
        raise CannotTell(f"too few epochs: it takes {at_least}", options=f"--epochs {at_least}")
    return curves


def _check_evaluated(group: TrialGroup, name: str) -> None:
    """Raises CannotTell if a curve is of images that no epoch was evaluated on."""
    if not name.startswith(("train_", group.evaluated_on)):
        raise CannotTell(f"not measured: its epochs were evaluated on {group.evaluated_on} images")
    if group.trained and not group.evaluated and not name.startswith("train_"):
        raise CannotTell("not measured: only the last epoch was evaluated")


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


def _seconds_text(group: TrialGroup, seconds: Values) -> str:
    if group.metric("total_seconds") is None:
        return MISSING
    mean = estimate(list(seconds.values()))
    return shown("total_seconds", mean.mean, mean.half_width)


def _is_known(group: TrialGroup, metric: str) -> bool:
    try:
        _check_known(group, metric)
    except CannotTell:
        return False
    return True


def _known(group: TrialGroup, metric: str) -> Estimate:
    """A group's mean of a metric; raises CannotTell unless a claim may be made of it."""
    _check_known(group, metric)
    mean = group.metric(metric)
    if mean is None:
        raise CannotTell("unlike machines have no mean: only ratios compare")
    return mean


def _check_known(group: TrialGroup, metric: str) -> None:
    if metric == "max_batch":
        _check_searched(group)
    if not group.has(metric):
        raise CannotTell(f"not measured for {group.label}")
    if not BY_NAME[metric].exact and not group.finished:
        raise CannotTell(f"{group.label} was not trained to the end")


def _check_searched(group: TrialGroup) -> None:
    trial = group.trials[0]
    search = trial.largest_batch
    if search is None or search.source != "measured":
        shape = trial.trial.shape
        predicted = any((p.model, p.setting) == shape for p in trial.run.all_predictions)
        only = "predicted only: " if predicted or search else ""
        raise CannotTell(f"{only}no search was made for {group.label}")
    if search.limited_by != "memory":
        raise CannotTell(f"the {search.limited_by}, not memory, limits the batch of {group.label}")

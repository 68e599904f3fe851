"""What the figures say, a sentence a question: pure functions from series to words.

A sentence compares and gives the figures it compares; where chance may be behind a difference, it
says so. None where there is nothing to compare.
"""

from collections.abc import Sequence

from bench.analysis.ablations import Group
from bench.analysis.formatting import listed, percent, ratio, shown
from bench.analysis.intervals import Estimate
from bench.analysis.time_to_accuracy import clock
from bench.analysis.trial_group import Series


def accuracy_over_epochs(found: Sequence[Series]) -> str | None:
    """Who ends highest, and whether that can be told from chance."""
    ranked = _ranked(found, "final_test_accuracy", highest=True)
    if not ranked:
        return None
    best, first = ranked[0]
    epochs = min(len(trial.epochs) for trial in best.trained)
    if len(ranked) == 1:
        lowest = best.metric("first_test_accuracy")
        rose = f", from {_value('first_test_accuracy', lowest)} after the first" if lowest else ""
        after = f"{epochs} epochs{rose}" if epochs > 1 else "1 epoch"
        return f"{best.label} ends at {_accuracy(first)} test accuracy after {after}."
    second, other = ranked[1]
    if first.mean == other.mean:
        return f"{best.label} and {second.label} end equal, at {_accuracy(first)} test accuracy."
    return (
        f"{best.label} ends highest, at {_accuracy(first)} test accuracy, before {second.label} "
        f"at {_accuracy(other)}; {_chance(first, other)}."
    )


def accuracy_over_time(found: Sequence[Series]) -> str | None:
    """Who is first at the accuracy that all of them reach."""
    target = common_accuracy(found)
    if target is None:
        return None
    reached = sorted(
        ((one, at) for one in found if (at := seconds_to(one, target)) is not None),
        key=lambda pair: pair[1],
    )
    if not reached:
        return None
    first, soonest = reached[0]
    if len(reached) == 1:
        return f"{first.label} reaches its best, {percent(target)}, after {_seconds(soonest)}."
    last, latest = reached[-1]
    return (
        f"{first.label} is first at {percent(target)}, the accuracy that all reach, after "
        f"{_seconds(soonest)} of training and evaluation; {last.label} is last, after "
        f"{_seconds(latest)}, {ratio(latest, soonest)} as long."
    )


def epoch_time(found: Sequence[Series]) -> str | None:
    """The fastest and the slowest epoch."""
    ranked = _ranked(found, "epoch_seconds", highest=False)
    if not ranked:
        return None
    (fast, few), (slow, many) = ranked[0], ranked[-1]
    if len(ranked) == 1:
        rate = fast.metric("images_per_second")
        speed = f", {_value('images_per_second', rate)}" if rate else ""
        return f"{fast.label} trains an epoch in {_value('epoch_seconds', few)}{speed}."
    return (
        f"{fast.label} has the fastest epoch, {_value('epoch_seconds', few)}; that of {slow.label} "
        f"takes {ratio(many.mean, few.mean)} as long, {_value('epoch_seconds', many)}."
    )


def memory_and_batch(found: Sequence[Series]) -> str | None:
    """The largest batches measured, widest apart; predictions only where there is none."""
    measured = [s for s in found if (fit := s.trials[0].largest_batch) and fit.source == "measured"]
    ranked = _ranked(measured, "max_batch", highest=True)
    if not ranked:
        return _predicted(found)
    (most, high), (least, low) = ranked[0], ranked[-1]
    if len(ranked) == 1 or high.mean == low.mean:
        names = listed([one.label for one, _ in ranked]) if len(ranked) < 4 else "all models"
        fits = "fits" if len(ranked) == 1 else "fit"
        return f"{names} {fits} {_value('max_batch', high)} at once, as measured."
    much = f"{ratio(high.mean, low.mean)} as many as" if low.mean else "more than"
    return (
        f"{most.label} fits {_value('max_batch', high)} at once, {much} {least.label} with "
        f"{_value('max_batch', low)}, as measured in the same memory."
    )


def _predicted(found: Sequence[Series]) -> str | None:
    predictions = [
        (one, p)
        for one in found
        for p in one.trials[0].run.all_predictions
        if (p.model, p.setting) == (one.model, one.setting)
    ]
    if not predictions:
        return None
    card = predictions[0][1].card
    ranked = sorted(
        ((one, p.max_batch) for one, p in predictions if p.card == card), key=lambda pair: -pair[1]
    )
    (most, high), (least, low) = ranked[0], ranked[-1]
    tail = f", {least.label} {low:,}" if least is not most else ""
    return f"Predicted, not measured: on {card}, {most.label} fits {high:,} images at once{tail}."


def parameters_against_accuracy(found: Sequence[Series]) -> str | None:
    """Where the smallest model stands, against the most accurate one."""
    both = [s for s in found if s.metric("params") and s.metric("final_test_accuracy")]
    smallest = _ranked(both, "params", highest=False)
    best = _ranked(both, "final_test_accuracy", highest=True)
    if len(smallest) < 2:
        return None
    (small, count), (top, accuracy) = smallest[0], best[0]
    if small is top:
        return (
            f"{small.label}, with the fewest parameters ({_millions(count)}), is also the most "
            f"accurate, at {_accuracy(accuracy)}; {_chance(accuracy, best[1][1])}."
        )
    mine = small.metric("final_test_accuracy") or accuracy
    of_top = top.metric("params") or count
    return (
        f"{small.label} has the fewest parameters, {_millions(count)}, and ends "
        f"{(accuracy.mean - mine.mean) * 100:.1f} points below {top.label} with "
        f"{_millions(of_top)}, {ratio(of_top.mean, count.mean)} as many; "
        f"{_chance(accuracy, mine)}."
    )


def optimizers(groups: Sequence[Group]) -> str | None:
    """The dearest and the cheapest step of one model, and where each optimizer ends."""
    for group in groups:
        ranked = _ranked(group.members, "step_milliseconds", highest=True)
        if len(ranked) > 1:
            (dear, many), (cheap, few) = ranked[0], ranked[-1]
            ends = _ranked(group.members, "final_test_accuracy", highest=True)
            order = listed([f"{s.setting.optimizer} at {_accuracy(e)}" for s, e in ends])
            (best, high), (worst, low) = ends[0], ends[-1]
            pair = f" ({best.setting.optimizer} against {worst.setting.optimizer})"
            return (
                f"With {group.name}, a step of {dear.setting.optimizer} takes "
                f"{ratio(many.mean, few.mean)} as long as one of {cheap.setting.optimizer}; "
                f"test accuracy ends with {order}, and "
                f"{_chance(high, low)}{pair if len(ends) > 2 else ''}."
            )
    return None


def batch_sizes(groups: Sequence[Group]) -> str | None:
    """The epoch at the smallest batch against that at the largest."""
    for group in groups:
        known = _ends(group, "epoch_seconds")
        if known:
            (small, slow), (large, fast) = known
            updates = [
                one.metric("updates_per_epoch") for one in (group.members[0], group.members[-1])
            ]
            fewer = ""
            if updates[0] and updates[1] and updates[1].mean:
                fewer = f", with {ratio(updates[0].mean, updates[1].mean)} the updates"
            return (
                f"An epoch of {group.name} takes {_value('epoch_seconds', slow)} at batch {small} "
                f"and {_value('epoch_seconds', fast)} at batch {large}: "
                f"{ratio(slow.mean, fast.mean)} as long at the smaller one{fewer}."
            )
    return None


def depth(groups: Sequence[Group]) -> str | None:
    """The shallowest network of a family against its deepest."""
    for group in groups:
        parts = []
        for metric, name in (("max_batch", "largest batch"), ("epoch_seconds", "epoch")):
            known = _ends(group, metric)
            if known:
                (_, a), (_, b) = known
                verb = "grows" if b.mean > a.mean else "falls" if b.mean < a.mean else "stays"
                parts.append(f"the {name} {verb} from {_value(metric, a)} to {_value(metric, b)}")
        if parts:
            first, last = group.values[0], group.values[-1]
            return f"From {first} to {last} layers of {group.name}, {' and '.join(parts)}."
    return None


def auxiliary_heads(groups: Sequence[Group]) -> str | None:
    """What training with auxiliary heads brings, and what it takes."""
    for group in groups:
        by_value = dict(zip(group.values, group.members, strict=True))
        heads, bare = by_value["with"], by_value["without"]
        a, b = (one.metric("final_test_accuracy") for one in (heads, bare))
        slow, fast = (one.metric("epoch_seconds") for one in (heads, bare))
        if a and b and slow and fast:
            gap = round((a.mean - b.mean) * 100, 1)
            than = f"{abs(gap):.1f} points {'higher' if gap > 0 else 'lower'} than"
            return (
                f"With its auxiliary heads {group.name} ends {than if gap else 'as high as'} "
                f"without, and {_chance(a, b)}; "
                f"its epoch takes {ratio(slow.mean, fast.mean)} as long."
            )
    return None


def seeds(found: Sequence[Series]) -> str | None:
    """How far apart the seeds of one model are, where they are widest."""
    spreads = []
    for one in found:
        finals = [trial.epochs[-1].test_accuracy for trial in one.trained]
        if len(finals) > 1:
            spreads.append((max(finals) - min(finals), one, finals))
    if not spreads:
        return None
    spread, widest, finals = max(spreads, key=lambda row: row[0])
    return (
        f"Over {len(finals)} seeds, {widest.label}'s last test accuracy varies most, by "
        f"{spread * 100:.1f} points ({percent(min(finals))} to {percent(max(finals))}): smaller "
        "differences between models may be chance."
    )


def common_accuracy(found: Sequence[Series]) -> float | None:
    """The highest test accuracy that every one of them reaches, in the mean over its seeds."""
    tops = [max(e.mean for e in curve) for one in found if (curve := _curve(one))]
    return min(tops, default=None)


def seconds_to(one: Series, accuracy: float) -> float | None:
    """Wall-clock seconds, training and evaluation, until the mean curve reaches an accuracy."""
    clocks = [clock(trial.epochs) for trial in one.trained]
    for estimate, *at in zip(_curve(one), *clocks, strict=False):
        if estimate.mean >= accuracy:
            return float(sum(at)) / len(at)
    return None


def _curve(one: Series) -> list[Estimate]:
    return one.curve(lambda epoch: epoch.test_accuracy)


def _ranked(
    found: Sequence[Series], metric: str, *, highest: bool
) -> list[tuple[Series, Estimate]]:
    """The series whose metric is known, best first."""
    known = [(one, e) for one in found if (e := one.metric(metric)) is not None]
    return sorted(known, key=lambda pair: -pair[1].mean if highest else pair[1].mean)


def _ends(
    group: Group, metric: str
) -> tuple[tuple[str | int, Estimate], tuple[str | int, Estimate]] | None:
    """The metric at the first and the last value of a group, if both are known."""
    first, last = (group.members[i].metric(metric) for i in (0, -1))
    if first is None or last is None or not last.mean:
        return None
    return (group.values[0], first), (group.values[-1], last)


def _chance(a: Estimate, b: Estimate) -> str:
    """Whether a difference of two accuracies can be told from chance."""
    if a.half_width is None or b.half_width is None:
        return "one seed cannot tell that from chance"
    apart = abs(a.mean - b.mean) > a.half_width + b.half_width
    return "the 95 % intervals do not overlap" if apart else "the 95 % intervals overlap"


def _value(metric: str, e: Estimate | None) -> str:
    return shown(metric, e.mean, e.half_width) if e else ""


def _accuracy(e: Estimate) -> str:
    return _value("final_test_accuracy", e)


def _millions(e: Estimate) -> str:
    return f"{e.mean / 1e6:.2f} million"


def _seconds(value: float) -> str:
    return shown("total_seconds", value)

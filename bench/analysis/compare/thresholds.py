"""How much worse a metric may get: `--fail-on 'images_per_second:-5%'`, and `--same-within`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.compare.effects import Effect, Scale, scale_of
from bench.analysis.compare.verdicts import USUAL_MARGINS, Margins, Verdict
from bench.analysis.metrics import ALIASES, BY_NAME, Metric
from bench.errors import Refused, did_you_mean

_AMOUNT = re.compile(r"([+-]?)([0-9]+(?:\.[0-9]+)?)(%|pt)", re.ASCII)
_EXAMPLES: dict[Scale, tuple[str, str]] = {"ratio": ("5", "%"), "difference": ("1", "pt")}


@dataclass(frozen=True)
class Bound:
    """A metric may change by `limit` at most for the worse: a ratio less 1 such as -0.05, or a
    difference of fractions such as -0.01."""

    metric: Metric
    limit: float
    text: str

    def broken_by(self, effect: Effect, verdict: Verdict) -> bool:
        """Whether the change is beyond the bound, and is no noise."""
        change = effect.change - 1 if effect.scale == "ratio" else effect.change
        beyond = change < self.limit if self.metric.better == "higher" else change > self.limit
        return beyond and verdict.significant


def parse_bound(text: str) -> Bound:
    """A bound such as `images_per_second:-5%` or `test_accuracy:-1pt`.

    Raises:
        Refused: it cannot be one; the sentence says what would be.
    """
    name, colon, amount = text.partition(":")
    if not colon:
        raise Refused(f"--fail-on {text[:60]!r} has no bound; write it like METRIC:-5%.")
    metric = find_metric(name, "--fail-on")
    scale = scale_of(metric)
    if metric.better is None:
        raise Refused(f"--fail-on {metric.name}: neither way is worse, so nothing can fail.")
    sign = "-" if metric.better == "higher" else "+"
    size_text, unit = _EXAMPLES[scale]
    wanted = f"{name}:{sign}{size_text}{unit}"
    match = _AMOUNT.fullmatch(amount)
    if not match:
        raise Refused(f"--fail-on {text[:60]!r} is not a bound; write it like {wanted}.")
    if match[3] != unit:
        what = "a fraction, compared in points" if scale == "difference" else "compared as a ratio"
        raise Refused(f"--fail-on {text[:60]!r}: {metric.name} is {what}; write {wanted}.")
    if match[1] != sign:
        raise Refused(
            f"--fail-on {text[:60]!r} would fail on what is better, for a {metric.better} "
            f"{metric.name} is; write {wanted}."
        )
    size = float(match[2]) / 100
    if size >= 1 and (sign == "-" or scale == "difference"):
        raise Refused(f"--fail-on {text[:60]!r} can never fail; write a smaller bound.")
    return Bound(metric, -size if sign == "-" else size, text)


def parse_margins(texts: Sequence[str]) -> Margins:
    """What counts as the same, from amounts such as `5%` and `1pt`; what is not given stays.

    Raises:
        Refused: one is no such amount, is not above 0, or is given twice.
    """
    given: dict[str, float] = {}
    for text in texts:
        match = _AMOUNT.fullmatch(text)
        if not match or match[1] or not 0 < float(match[2]) < 100:
            raise Refused(f"--same-within {text[:60]!r} is no margin; write one like 5% or 1pt.")
        if match[3] in given:
            raise Refused(f"--same-within has two margins in {match[3]}; leave one out.")
        given[match[3]] = float(match[2]) / 100
    return Margins(given.get("%", USUAL_MARGINS.ratio), given.get("pt", USUAL_MARGINS.points))


def find_metric(name: str, flag: str) -> Metric:
    """The metric of a name or an alias; Refused, with the nearest names, if there is none."""
    known = ALIASES.get(name, name)
    if known in BY_NAME:
        return BY_NAME[known]
    hint = did_you_mean(name, [*BY_NAME, *ALIASES]) or "`models.csv` names them."
    raise Refused(f"{flag}: unknown metric {name[:60]!r}: {hint}")

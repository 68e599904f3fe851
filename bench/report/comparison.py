"""What the verb `compare` says, of two runs or of the models of one: tables, plain values, an
answer in sentences; and each format that it can be had in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.compare.pairwise import Comparison, Line
from bench.analysis.compare.ranking import Place, Ranking
from bench.analysis.compare.thresholds import Bound
from bench.analysis.compare.verdicts import SPEEDS
from bench.analysis.formatting import (
    MISSING,
    against,
    change_text,
    in_sentence,
    listed,
    p_text,
    sentence,
    shown,
    signed_percent,
)
from bench.analysis.intervals import estimate
from bench.analysis.trial_group import TRAITS
from bench.report.rankings import lead_word, ranking_clause, ranking_table
from bench.report.render.markdown import escaped, markdown
from bench.report.tables import Cell, Table, table_of
from bench.units import counted

Record = dict[str, Any]

MOST_ADVISED = 6
"""Models for which advice is given one by one, where they do not agree."""

MOST_NAMED = 2
"""Lines of one metric above which a sentence gives their range and not each of them."""


@dataclass(frozen=True)
class ComparisonReport:
    """A comparison, ready to be shown.

    `answer` says in sentences which to use and how sure that is; `notes` are sentences that must be
    known with it; `records` are plain values, a dict a line of the tables. `title` and `sides` name
    what is compared.
    """

    title: str
    sides: dict[str, str]
    tables: tuple[Table, ...]
    records: tuple[Record, ...]
    answer: tuple[str, ...]
    notes: tuple[str, ...]


def as_csv(report: ComparisonReport) -> str:
    """The records, a row each; unknown values are empty."""
    import pandas as pd

    return pd.DataFrame(report.records, dtype=object).to_csv(index=False, lineterminator="\n")


def as_json(report: ComparisonReport, more: Record) -> str:
    """Everything, with `more` values of the command."""
    own: Record = {"answer": report.answer, "notes": report.notes, "lines": report.records}
    values = report.sides | own | more
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(report: ComparisonReport) -> str:
    """A page: what was compared, the answer, the tables, and the notes."""
    sides = [f"{name}: {path}" for name, path in report.sides.items()]
    parts = [f"# {escaped(report.title)}", _bullets(sides), escaped(" ".join(report.answer))]
    parts += [*map(markdown, report.tables), _bullets(report.notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(text)}" for text in sentences)


def comparison_report(comparison: Comparison) -> ComparisonReport:
    """Two runs against each other."""
    return ComparisonReport(
        "A against B",
        {"a": comparison.a, "b": comparison.b},
        (comparison_table(comparison),),
        tuple(_line_record(line) for line in comparison.lines),
        tuple(answer(comparison)),
        comparison.notes,
    )


def ranking_report(run: str, rankings: Sequence[Ranking], notes: Sequence[str]) -> ComparisonReport:
    """The models of one run against each other."""
    metrics = [ranking.metric for ranking in rankings]
    if all(ranking.too_few for ranking in rankings):
        sentences = ["So few seeds cannot tell which to use: run it with --seeds 5."]
    else:
        sentences = [
            sentence("; ".join(ranking_clause(ranking, metrics) for ranking in rankings)),
        ]
        if any(d.verdict.apart for ranking in rankings for d in ranking.differences.values()):
            sentences.append(
                "Differences are beyond chance at 95 %, corrected for all comparisons in a metric."
            )
    return ComparisonReport(
        "Ranking",
        {"a": run},
        tuple(ranking_table(ranking) for ranking in rankings),
        tuple(_place_record(ranking, place) for ranking in rankings for place in ranking.places),
        tuple(sentences),
        tuple(notes),
    )


def broken(comparison: Comparison, bounds: Sequence[Bound]) -> list[str]:
    """A sentence for each line that breaks a bound, and for each group that has no line because
    it, or the metric, is missing in B: what no longer trains must not pass."""
    missing = comparison.only_a if bounds else ()
    sentences = [
        f"--fail-on: {label} is in A alone; --models names what is to be compared."
        for label in missing
    ]
    sentences += [
        f"--fail-on {bound.text}: {label}'s {in_sentence(metric)} is known of A alone."
        for bound in bounds
        for label, metric in comparison.lost
        if metric == bound.metric
    ]
    return sentences + [
        f"--fail-on {bound.text}: {_subject(line)} is {against(line.effect, 'that of A')}"
        f"{f', {line.across}' if line.across else ''}."
        for bound in bounds
        for line in comparison.lines
        if line.metric == bound.metric and bound.broken_by(line.effect, line.verdict)
    ]


def comparison_table(comparison: Comparison) -> Table:
    """A row per line; columns that say nothing in any line are left out."""
    lines = comparison.lines
    columns: dict[str, Sequence[Cell | str]] = {
        "Model": [line.label for line in lines],
        "Metric": [line.metric.name for line in lines],
        "A": [Cell(shown(x.metric.name, x.effect.a), x.verdict.better is False) for x in lines],
        "B": [Cell(shown(x.metric.name, x.effect.b), x.verdict.better is True) for x in lines],
        "B/A or B − A (95 %)": [change_text(line.effect) for line in lines],
        "Seeds": [_both(x.effect.seeds_a, x.effect.seeds_b, ", ") for x in lines],
        "p": [p_text(line.p) for line in lines],
        "Verdict on B": [line.verdict.text for line in lines],
    }
    optional = {
        "Batch": [_batches(line) for line in lines],
        "Machine": [_machine(line) for line in lines],
        "Noisy": [_noisy(line) for line in lines],
        "Across": [line.across for line in lines],
    }
    return table_of(
        columns | {name: [t or MISSING for t in ts] for name, ts in optional.items() if any(ts)}
    )


def answer(comparison: Comparison) -> list[str]:
    """Which to use, how sure that is, and what is missing."""
    same, unsure, different = _of_kinds(comparison.lines, "same", "cannot tell", "different")
    apart = [line for line in comparison.lines if line.verdict.apart]
    sentences = _advice(comparison)
    if different:
        sentences.append(f"Neither better nor worse, but different: {_claims(different)}.")
    if same and apart:
        sentences.append(f"The same: {_names(same)}.")
    if unsure:
        sentences.append(f"Cannot be told: {_reasons(unsure)}.")
    if comparison.comparisons and apart:
        sentences.append(
            "Each difference named is beyond chance at 95 %, corrected for "
            f"{counted(comparison.comparisons, 'comparison')}."
        )
    return sentences


def _advice(comparison: Comparison) -> list[str]:
    """Which to use: one for all, or model by model where they do not agree."""
    labels = dict.fromkeys(line.label for line in comparison.lines)
    agree = not all(_of_kinds(comparison.lines, "better", "worse"))
    if agree or not 1 < len(labels) <= MOST_ADVISED:
        a, b = f"A ({comparison.a})", f"B ({comparison.b})"
        return [sentence(_advised(comparison.lines, a, b))]
    advice = []
    for label in labels:
        lines = [replace(line, label="") for line in comparison.lines if line.label == label]
        advice.append(f"For {label}, {_advised(lines, 'A', 'B')}.")
    return advice


def _advised(lines: Sequence[Line], a: str, b: str) -> str:
    """What lines come to, as a clause; a and b are what to call the sides."""
    better, worse, same, unsure = _of_kinds(lines, "better", "worse", "same", "cannot tell")
    hedge = ", as far as can be told" if unsure else ""
    if better and worse:
        return f"it depends{hedge}: for B, {_claims(better)}; against it, {_claims(worse)}"
    if better:
        return f"use {b}{hedge}: {_claims(better)}"
    if worse:
        return f"use {a}{hedge}: in B, {_claims(worse)}"
    if unsure:
        return "which to use cannot be told"
    if same:
        return f"use either: {_names(same)} {'are' if len(same) > 1 else 'is'} the same in both"
    return "use either: nothing is better or worse"


def _of_kinds(lines: Sequence[Line], *kinds: str) -> list[list[Line]]:
    return [[line for line in lines if line.verdict.kind == kind] for kind in kinds]


def _claims(lines: Sequence[Line]) -> str:
    """What lines say, each by itself, or a range where one metric has many."""
    clauses = []
    for name, group in _by_metric(lines):
        if len(group) <= MOST_NAMED:
            clauses += [f"{_subject(x)} is {against(x.effect, _of_a(x))}" for x in group]
        else:
            effects = sorted((line.effect for line in group), key=lambda e: e.shift)
            ends = " to ".join(change_text(e).partition(" (")[0] for e in (effects[0], effects[-1]))
            clauses.append(f"{name} is {ends} against A's in {len(group)} lines")
    return listed(clauses)


def _subject(line: Line) -> str:
    name = in_sentence(line.metric, line.among)
    return f"{line.label}'s {name}" if line.label else name


def _of_a(line: Line) -> str:
    return "A's" if not line.across else f"A's ({line.across})"


def _names(lines: Sequence[Line]) -> str:
    """The metrics of lines, and of which models where those are few."""
    names = []
    for name, group in _by_metric(lines):
        labels = [line.label for line in group if line.label]
        few = len(labels) <= MOST_NAMED
        where = f" of {listed(labels)}" if few else f" in {len(labels)} lines"
        names.append(f"{name}{where if labels else ''}")
    return listed(names)


def _reasons(lines: Sequence[Line]) -> str:
    reasons = []
    for name, group in _by_metric(lines):
        if len(group) <= MOST_NAMED:
            reasons += [f"{name} of {line.label} ({line.verdict.reason})" for line in group]
        else:
            reasons.append(f"{name} in {len(group)} lines")
    return listed(reasons)


def _by_metric(lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    names = {line.metric: in_sentence(line.metric, line.among) for line in lines}
    return [(name, [line for line in lines if line.metric == m]) for m, name in names.items()]


def _both(a: object, b: object, between: str) -> str:
    return str(a) if a == b else f"{a}{between}{b}"


def _batches(line: Line) -> str:
    a, b = line.pair.a.batch_sizes, line.pair.b.batch_sizes
    return "" if a == b else _both(a, b, " → ")


def _machine(line: Line) -> str:
    """How the machine's own speed changed, where that bears on the figure."""
    if line.machine is None or line.metric.unit not in SPEEDS:
        return ""
    return signed_percent(line.machine - 1)


def _noisy(line: Line) -> str:
    a, b = line.pair.a.noisy, line.pair.b.noisy
    return _both(a, b, ", ") if a or b else ""


def _line_record(line: Line) -> Record:
    """A line as plain values: raw units, fractions for accuracies, None for what is not known."""
    effect, a, b = line.effect, line.pair.a, line.pair.b
    traits = {name: _both(a.traits[name], b.traits[name], " → ") for name in TRAITS}
    return traits | {
        "metric": line.metric.name,
        "unit": line.metric.unit,
        "a": effect.a,
        "b": effect.b,
        "scale": effect.scale,
        "change": effect.change,
        "change_low": effect.low,
        "change_high": effect.high,
        "seeds_a": effect.seeds_a,
        "seeds_b": effect.seeds_b,
        "design": effect.design,
        "p": effect.p,
        "p_corrected": line.p,
        "verdict": line.verdict.word,
        "reason": line.verdict.reason,
        "better": {True: "b", False: "a", None: ""}[line.verdict.better],
        "batch_size_a": a.batch_sizes,
        "batch_size_b": b.batch_sizes,
        "machine_ratio": line.machine,
        "noisy_a": a.noisy,
        "noisy_b": b.noisy,
        "across": line.across,
    }


def _place_record(ranking: Ranking, place: Place) -> Record:
    """A place as plain values."""
    difference, mean = place.difference, estimate(list(place.values.values()))
    effect = difference.effect if difference else None
    verdict = difference.verdict if difference else None
    return {
        "metric": ranking.metric.name,
        "unit": ranking.metric.unit,
        "rank_first": place.first,
        "rank_last": place.last,
        "model": place.group.label,
        "mean": mean.mean,
        "half_width": mean.half_width,
        "seeds": mean.n,
        "scale": effect.scale if effect else "",
        "change": effect.change if effect else None,
        "change_low": effect.low if effect else None,
        "change_high": effect.high if effect else None,
        "design": effect.design if effect else "",
        "p": effect.p if effect else None,
        "p_corrected": difference.p if difference else None,
        "verdict": verdict.word if verdict else lead_word(ranking),
        "reason": verdict.reason if verdict else "",
        "machine_ratio": difference.machine if difference else None,
    }

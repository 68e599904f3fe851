"""Two runs against each other, as a table, as plain values, and as an answer in sentences."""

from collections.abc import Sequence
from dataclasses import replace

from bench.analysis.compare.pairwise import Comparison, Line
from bench.analysis.compare.side import TRAITS
from bench.analysis.compare.thresholds import Bound
from bench.analysis.compare.verdicts import SPEEDS
from bench.analysis.formatting import MISSING, listed, shown, signed_percent
from bench.analysis.metrics import Metric
from bench.report.changes import against, change_text, kind_of, name_of, p_text, sentence
from bench.report.tables import Cell, Table
from bench.report.told import Record, Told

MOST_ADVISED = 6
"""Models for which advice is given one by one, where they do not agree."""

MOST_NAMED = 2
"""Lines of one metric above which a sentence gives their range and not each of them."""


def tell_comparison(found: Comparison) -> Told:
    """A comparison, ready to be shown."""
    return Told(
        "A against B",
        {"a": found.a, "b": found.b},
        (comparison_table(found),),
        tuple(_record(line) for line in found.lines),
        tuple(answer(found)),
        found.notes,
    )


def broken(found: Comparison, bounds: Sequence[Bound]) -> list[str]:
    """A sentence for each line that breaks a bound."""
    return [
        f"--fail-on {bound.text}: {_subject(line)} is {against(line.effect, 'that of A')}"
        f"{f', {line.across}' if line.across else ''}."
        for bound in bounds
        for line in found.lines
        if line.metric == bound.metric and bound.broken_by(line.effect, line.verdict)
    ]


def comparison_table(found: Comparison) -> Table:
    """A row per line; columns that say nothing in any line are left out."""
    columns = {
        "Model": [line.label for line in found.lines],
        "Metric": [line.metric.name for line in found.lines],
        "A": [shown(line.metric.name, line.effect.a) for line in found.lines],
        "B": [shown(line.metric.name, line.effect.b) for line in found.lines],
        "B/A or B − A (95 %)": [change_text(line.effect) for line in found.lines],
        "Seeds": [_both(line.effect.seeds_a, line.effect.seeds_b) for line in found.lines],
        "p": [p_text(line.p) for line in found.lines],
        "Verdict on B": [line.verdict.text for line in found.lines],
    }
    optional = {
        "Batch": [_batches(line) for line in found.lines],
        "Machine": [_machine(line) for line in found.lines],
        "Noisy": [_noisy(line) for line in found.lines],
        "Across": [line.across for line in found.lines],
    }
    columns |= {name: texts for name, texts in optional.items() if any(texts)}
    better = [line.verdict.better for line in found.lines]
    rows = tuple(
        tuple(
            Cell(
                texts[i] or MISSING,
                (name, better[i]) in (("A", False), ("B", True)),
            )
            for name, texts in columns.items()
        )
        for i in range(len(found.lines))
    )
    return Table(tuple(columns), rows)


def answer(found: Comparison) -> list[str]:
    """Which to use, how sure that is, and what is missing."""
    kinds = _by_kind(found.lines)
    same, open_ = kinds.get("same", []), kinds.get("cannot tell", [])
    told = [line for line in found.lines if line.verdict.apart]
    said = _advice(found)
    if different := kinds.get("different"):
        said.append(f"Neither better nor worse, but different: {_claims(different)}.")
    if same and told:
        said.append(f"The same: {_names(same)}.")
    if open_:
        said.append(f"Cannot be told: {_reasons(open_)}.")
    if found.comparisons and told:
        said.append(
            "Each difference named is beyond chance at 95 %, corrected for "
            f"{found.comparisons} comparison{'' if found.comparisons == 1 else 's'}."
        )
    return said


def _advice(found: Comparison) -> list[str]:
    """Which to use: one for all, or model by model where they do not agree."""
    kinds, labels = _by_kind(found.lines), dict.fromkeys(line.label for line in found.lines)
    if not ("better" in kinds and "worse" in kinds) or not 1 < len(labels) <= MOST_ADVISED:
        return [sentence(_advised(found.lines, f"A ({found.a})", f"B ({found.b})"))]
    advice = []
    for label in labels:
        mine = [replace(line, label="") for line in found.lines if line.label == label]
        advice.append(f"For {label}, {_advised(mine, 'A', 'B')}.")
    return advice


def _advised(lines: Sequence[Line], a: str, b: str) -> str:
    """What lines come to, as a clause; a and b are what to call the sides."""
    kinds = _by_kind(lines)
    better, worse = kinds.get("better"), kinds.get("worse")
    same, open_ = kinds.get("same"), kinds.get("cannot tell")
    hedge = ", as far as can be told" if open_ else ""
    if better and worse:
        return f"it depends{hedge}: for B, {_claims(better)}; against it, {_claims(worse)}"
    if better:
        return f"use {b}{hedge}: {_claims(better)}"
    if worse:
        return f"use {a}{hedge}: in B, {_claims(worse)}"
    if open_:
        return "which to use cannot be told"
    if same:
        return f"use either: {_names(same)} {'are' if len(same) > 1 else 'is'} the same in both"
    return "use either: nothing is better or worse"


def _by_kind(lines: Sequence[Line]) -> dict[str, list[Line]]:
    kinds: dict[str, list[Line]] = {}
    for line in lines:
        kinds.setdefault(kind_of(line.verdict), []).append(line)
    return kinds


def _claims(lines: Sequence[Line]) -> str:
    """What lines say, each by itself, or a range where one metric has many."""
    said = []
    for mine in _by_metric(lines):
        if len(mine) <= MOST_NAMED:
            said += [f"{_subject(one)} is {against(one.effect, _of_a(one))}" for one in mine]
        else:
            effects = sorted((one.effect for one in mine), key=lambda e: e.shift)
            ends = " to ".join(change_text(e).partition(" (")[0] for e in (effects[0], effects[-1]))
            said.append(f"{name_of(mine[0].metric)} is {ends} in {len(mine)} lines")
    return listed(said)


def _subject(line: Line) -> str:
    return f"{line.label}'s {name_of(line.metric)}" if line.label else name_of(line.metric)


def _of_a(line: Line) -> str:
    return "A's" if not line.across else f"A's ({line.across})"


def _names(lines: Sequence[Line]) -> str:
    """The metrics of lines, and of which models where those are few."""
    said = []
    for mine in _by_metric(lines):
        labels = [one.label for one in mine if one.label]
        if not labels:
            said.append(name_of(mine[0].metric))
            continue
        of = f" of {listed(labels)}" if len(labels) <= MOST_NAMED else f" in {len(labels)} lines"
        said.append(name_of(mine[0].metric) + of)
    return listed(said)


def _reasons(lines: Sequence[Line]) -> str:
    said = []
    for mine in _by_metric(lines):
        if len(mine) <= MOST_NAMED:
            said += [f"{name_of(one.metric)} of {one.label} ({one.verdict.reason})" for one in mine]
        else:
            said.append(f"{name_of(mine[0].metric)} in {len(mine)} lines")
    return listed(said)


def _by_metric(lines: Sequence[Line]) -> list[list[Line]]:
    groups: dict[Metric, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.metric, []).append(line)
    return list(groups.values())


def _both(a: int, b: int) -> str:
    return str(a) if a == b else f"{a}, {b}"


def _batches(line: Line) -> str:
    a, b = line.pair.a.batch_sizes, line.pair.b.batch_sizes
    return "" if a == b else f"{a} → {b}"


def _machine(line: Line) -> str:
    """How the machine's own speed changed, where that bears on the figure."""
    if line.machine is None or line.metric.unit not in SPEEDS:
        return ""
    return signed_percent(line.machine - 1)


def _noisy(line: Line) -> str:
    counts = (line.pair.a.noisy, line.pair.b.noisy)
    return _both(*counts) if any(counts) else ""


def _record(line: Line) -> Record:
    """A line as plain values: raw units, fractions for accuracies, None for what is not known."""
    one, a, b = line.effect, line.pair.a, line.pair.b
    traits = {name: _changed(a.traits[name], b.traits[name]) for name in TRAITS}
    return traits | {
        "metric": line.metric.name,
        "unit": line.metric.unit,
        "a": one.a,
        "b": one.b,
        "scale": one.scale,
        "change": one.change,
        "change_low": one.low,
        "change_high": one.high,
        "seeds_a": one.seeds_a,
        "seeds_b": one.seeds_b,
        "design": one.design,
        "p": one.p,
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


def _changed(a: str, b: str) -> str:
    return a if a == b else f"{a} → {b}"

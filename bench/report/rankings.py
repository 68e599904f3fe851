"""A ranking as a table and as a clause: what the report and the verb `compare` both say of it."""

from collections.abc import Sequence

from bench.analysis import formatting
from bench.analysis.compare.ranking import Ranking
from bench.analysis.formatting import MISSING
from bench.analysis.intervals import estimate
from bench.analysis.metrics import Metric
from bench.report.tables import Cell, Table, table_of


def ranking_table(ranking: Ranking) -> Table:
    """A row per group, best first; its rank is a range where others cannot be told from it."""
    name, places = ranking.metric.name, ranking.places
    means = [estimate(list(place.values.values())) for place in places]
    pairs = [place.difference for place in places]
    changes = [formatting.change_text(d.effect) if d else MISSING for d in pairs]
    sole = len(ranking.winners) == 1
    ahead = lead_word(ranking) if sole else f"{lead_word(ranking)}, but tied"
    columns: dict[str, Sequence[Cell | str]] = {
        "Rank": [place.rank for place in places],
        "Model": [place.group.label for place in places],
        formatting.header_of(name): [
            Cell(formatting.shown(name, mean.mean, mean.half_width), sole and not i)
            for i, mean in enumerate(means)
        ],
        "Seeds": [str(len(place.values)) for place in places],
        "Against the best (95 %)": changes,
        "p": [formatting.p_text(d.p if d else None) for d in pairs],
        "Verdict": [d.verdict.text if d else ahead for d in pairs],
    }
    machines = [d.machine if d else None for d in pairs]
    if any(machines):
        columns["Machine"] = [formatting.signed_percent(m - 1) if m else MISSING for m in machines]
    return table_of(columns)


def lead_word(ranking: Ranking) -> str:
    """What the first of a ranking is."""
    return "best" if len(ranking.winners) == 1 else "ahead"


def level(ranking: Ranking) -> list[str]:
    """The first of a ranking, and those that are exactly as good."""
    first, *others = ranking.places
    same = [p for p in others if p.difference and abs(p.difference.effect.shift) < 1e-9]
    return [place.group.label for place in (first, *same)]


def tie_text(ranking: Ranking) -> str:
    """What those at the top of a ranking are: the same, not to be told apart, or some of each."""
    verdicts = [place.difference.verdict for place in ranking.winners if place.difference]
    kinds, words = {v.kind for v in verdicts}, {v.word for v in verdicts if v.kind == "same"}
    if kinds == {"same"}:
        # What is equal is the same within any margin, too.
        return "are equal" if words == {"equal"} else f"are the {max(words, key=len)}"
    return "cannot be told apart, or are the same," if words else "cannot be told apart"


def ranking_clause(ranking: Ranking, among: Sequence[Metric] = ()) -> str:
    """Who is best in one metric, and by how much or with whom tied; `among` are all that are spoken
    of."""
    name, best = formatting.in_sentence(ranking.metric, among), ranking.places[0]
    tied = [place.group.label for place in ranking.winners]
    if len(tied) > 1:
        who = formatting.listed(tied) if len(tied) <= 4 else f"{len(tied)} of {len(ranking.places)}"
        return f"in {name}, {who} {tie_text(ranking)} at the top"
    second = ranking.places[1]
    assert second.difference is not None
    return (
        f"in {name}, {best.group.label} wins; {second.group.label}, the next, is at "
        f"{formatting.against(second.difference.effect, 'that')}"
    )

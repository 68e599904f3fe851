"""A ranking as a table and as a clause: what the report and the verb `compare` both say of it."""

from bench.analysis.compare.ranking import Difference, Place, Ranking
from bench.analysis.formatting import (
    MISSING,
    against,
    change_text,
    header_of,
    in_sentence,
    listed,
    p_text,
    shown,
    signed_percent,
)
from bench.analysis.intervals import estimate
from bench.report.tables import Cell, Table


def ranking_table(ranking: Ranking) -> Table:
    """A row per group, best first; its rank is a range where others cannot be told from it."""
    places = ranking.places
    pairs = [place.difference for place in places]
    columns = {
        "Rank": [place.rank for place in places],
        "Model": [place.group.label for place in places],
        header_of(ranking.metric.name): [_mean_text(ranking, place) for place in places],
        "Seeds": [str(len(place.values)) for place in places],
        "Against the best (95 %)": [change_text(d.effect) if d else MISSING for d in pairs],
        "p": [p_text(d.p if d else None) for d in pairs],
        "Verdict": [_verdict(ranking, d) for d in pairs],
    }
    machines = [d.machine if d else None for d in pairs]
    if any(machines):
        columns["Machine"] = [signed_percent(m - 1) if m else MISSING for m in machines]
    sole = len(ranking.winners) == 1
    rows = zip(*columns.values(), strict=True)
    return Table(
        tuple(columns),
        tuple(
            tuple(Cell(text, sole and i == 0 and j == 2) for j, text in enumerate(row))
            for i, row in enumerate(rows)
        ),
    )


def ranking_clause(ranking: Ranking) -> str:
    """Who is best in one metric, and by how much or with whom tied."""
    name, best = in_sentence(ranking.metric), ranking.places[0]
    tied = [place.group.label for place in ranking.winners]
    if len(tied) > 1:
        who = listed(tied) if len(tied) <= 4 else f"{len(tied)} of {len(ranking.places)}"
        return f"in {name}, {who} cannot be told apart at the top"
    second = ranking.places[1]
    assert second.difference is not None
    return (
        f"in {name}, {best.group.label} wins; {second.group.label}, the next, is at "
        f"{against(second.difference.effect, 'that')}"
    )


def _mean_text(ranking: Ranking, place: Place) -> str:
    mean = estimate(list(place.values.values()))
    return shown(ranking.metric.name, mean.mean, mean.half_width)


def _verdict(ranking: Ranking, difference: Difference | None) -> str:
    if difference is not None:
        return difference.verdict.text
    return "best" if len(ranking.winners) == 1 else "ahead, but tied"

"""Which model wins, and which cannot be told apart: a table and a panel per metric."""

from matplotlib.figure import Figure

from bench.analysis.compare.ranking import Difference, Place, Ranking
from bench.analysis.formatting import (
    MISSING,
    against,
    change_text,
    header_of,
    in_sentence,
    listed,
    p_text,
    sentence,
    shown,
    signed_percent,
)
from bench.analysis.intervals import estimate
from bench.report.context import Context
from bench.report.forest import ranking_figure
from bench.report.sections.base import Picture, Section
from bench.report.tables import Cell, Table

RANKED = ("images_per_second", "final_test_accuracy")


def rankings(context: Context) -> list[Ranking]:
    """The ranking in each of the metrics that the report ranks by."""
    made = [context.standings.ranking(name) for name in RANKED]
    return [ranking for ranking in made if ranking is not None]


def _finding(context: Context) -> str | None:
    ranked = rankings(context)
    if not ranked:
        return None
    if all(ranking.too_few for ranking in ranked):
        ahead = [f"{r.places[0].group.label} in {in_sentence(r.metric)}" for r in ranked]
        seeds = max(len(place.values) for ranking in ranked for place in ranking.places)
        few = "one seed" if seeds == 1 else f"{seeds} seeds"
        return f"Ahead: {listed(ahead)}; {few} cannot tell that from chance, --seeds 5 would."
    return sentence("; ".join(map(ranking_clause, ranked)))


def _tables(context: Context) -> tuple[Table, ...]:
    return tuple(ranking_table(ranking) for ranking in rankings(context))


def _figure(context: Context) -> Figure:
    return ranking_figure(rankings(context), context.run)


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


SECTIONS = (
    Section(
        10,
        "ranking",
        "Which model wins, and how sure is that?",
        _finding,
        _tables,
        (
            Picture(
                "ranking",
                "Each model against the best, in throughput and in test accuracy",
                "With 95 % intervals, paired by seed; the band is what counts as the same. Models "
                "joined by a bar on the right cannot be told apart, or are the same.",
                _figure,
            ),
        ),
        lambda context: (
            "A rank is a range where others cannot be told from it. Every model is compared with "
            "every other; p is corrected for all comparisons in a metric (Holm), intervals are "
            "not. Every other sentence of this report takes its verdicts from the same comparisons.",
            "Compare two runs: python -m bench compare RUN_A RUN_B.",
        ),
    ),
)

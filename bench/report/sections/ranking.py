"""Which model wins, and which cannot be told apart: a table and a panel per metric."""

from matplotlib.figure import Figure

from bench.analysis.compare.ranking import Ranking
from bench.analysis.formatting import in_sentence, listed, sentence
from bench.report.context import Context
from bench.report.forest import ranking_figure
from bench.report.rankings import level, ranking_clause, ranking_table
from bench.report.sections.base import Section, picture
from bench.report.tables import Table

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
        tops = [(level(ranking), in_sentence(ranking.metric)) for ranking in ranked]
        ahead = [f"{who[0]} in {name}" for who, name in tops if len(who) == 1]
        clauses = [f"Ahead: {listed(ahead)}"] if ahead else []
        clauses += [f"{listed(who)} are level in {name}" for who, name in tops if len(who) > 1]
        seeds = max(len(place.values) for ranking in ranked for place in ranking.places)
        few = "one seed" if seeds == 1 else f"{seeds} seeds"
        return f"{'; '.join(clauses)}; {few} cannot tell that from chance, --seeds 5 may."
    return sentence("; ".join(map(ranking_clause, ranked)))


def _tables(context: Context) -> tuple[Table, ...]:
    return tuple(ranking_table(ranking) for ranking in rankings(context))


@picture(
    "ranking",
    "Each model against the best, in throughput and in test accuracy",
    "With 95 % intervals, paired by seed; the band is what counts as the same. Models joined by a "
    "bar on the right cannot be told apart, or are the same.",
)
def _figure(context: Context) -> Figure:
    return ranking_figure(rankings(context), context.run)


SECTIONS = (
    Section(
        10,
        "ranking",
        "Which model wins, and how sure is that?",
        _finding,
        _tables,
        (_figure,),
        lambda context: (
            "A rank is a range where others cannot be told from it. Every model is compared with "
            "every other; p is corrected for all comparisons in a metric (Holm), intervals are "
            "not. All sentences of this report take their verdicts from these comparisons.",
            "Compare two runs: python -m bench compare RUN_A RUN_B.",
        ),
    ),
)

"""Who wins within one run, and who cannot be told apart: a table a metric, and a sentence."""

from collections.abc import Sequence

from bench.analysis.compare.effects import Values
from bench.analysis.compare.ranking import Contestant, Place, Ranking, rank_all
from bench.analysis.compare.side import CALIBRATION
from bench.analysis.formatting import MISSING, axis_label, listed, shown, signed_percent
from bench.analysis.intervals import estimate
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import Series
from bench.report.changes import against, change_text, name_of, p_text, sentence
from bench.report.tables import Cell, Table
from bench.report.told import Record, Told

RANKED = ("images_per_second", "final_test_accuracy")
"""What the report ranks models by."""

RANKING_REMARKS = (
    "A rank is a range where others cannot be told from it. Every model is compared with every "
    "other; p is corrected for all of these comparisons (Holm), intervals are not.",
    "Compare two runs: python -m bench compare RUN_A RUN_B.",
)
"""How to read the rankings."""


def rankings_of(found: Sequence[Series]) -> list[Ranking]:
    """The series of a run ranked, by their trials that are done."""
    contests = []
    for name in RANKED:
        field = [
            Contestant(one.label, values, _by_seed(one, CALIBRATION))
            for one in found
            if (values := _by_seed(one, name))
        ]
        contests.append((BY_NAME[name], field))
    return rank_all(contests)


def _by_seed(one: Series, name: str) -> Values:
    metric = BY_NAME.get(name)
    done = [t for t in one.trials if t.status == "done" and metric is not None]
    values = {t.trial.seed: metric.value(t) for t in done if metric is not None}
    return {seed: float(v) for seed, v in values.items() if isinstance(v, (int, float)) and v > 0}


def ranking_finding(found: Sequence[Series]) -> str | None:
    """Which model wins in what, and how sure that is; None where there are not two."""
    rankings = rankings_of(found)
    if not rankings:
        return None
    if all(too_few(ranking) for ranking in rankings):
        ahead = listed(
            [f"{one.places[0].contestant.label} in {name_of(one.metric)}" for one in rankings]
        )
        seeds = max(len(place.contestant.values) for one in rankings for place in one.places)
        few = "one seed" if seeds == 1 else f"{seeds} seeds"
        return f"Ahead are {ahead}, but {few} cannot tell that from chance: --seeds 5 would."
    return sentence("; ".join(map(said, rankings)))


def too_few(ranking: Ranking) -> bool:
    """Whether no two of a ranking could be compared at all."""
    effects = [place.effect for place in ranking.places if place.effect is not None]
    return all(one.design == "too few" for one in effects)


def said(ranking: Ranking) -> str:
    """Who is best in one metric, and by how much or with whom tied, as a clause."""
    name, best = name_of(ranking.metric), ranking.places[0]
    tied = [place.contestant.label for place in ranking.winners]
    if len(tied) > 1:
        who = listed(tied) if len(tied) <= 4 else f"{len(tied)} of {len(ranking.places)}"
        return f"in {name}, {who} cannot be told apart at the top"
    second = ranking.places[1]
    assert second.effect is not None
    return (
        f"in {name}, {best.contestant.label} wins; {second.contestant.label}, the next, is at "
        f"{against(second.effect, 'that')}"
    )


def ranking_tables(found: Sequence[Series]) -> tuple[Table, ...]:
    """A table for each metric that the report ranks by."""
    return tuple(ranking_table(ranking) for ranking in rankings_of(found))


def ranking_table(ranking: Ranking) -> Table:
    """A row per contestant, best first; its rank is a range where others cannot be told from it."""
    places = ranking.places
    columns = {
        "Rank": [place.rank for place in places],
        "Model": [place.contestant.label for place in places],
        axis_label(ranking.metric.name): [_value(ranking, place) for place in places],
        "Seeds": [str(len(place.contestant.values)) for place in places],
        "Against the best (95 %)": [
            MISSING if place.effect is None else change_text(place.effect) for place in places
        ],
        "p": [p_text(place.p) for place in places],
        "Verdict": [_verdict(ranking, place) for place in places],
    }
    if any(place.machine for place in places):
        columns["Machine"] = [
            MISSING if not place.machine else signed_percent(place.machine - 1) for place in places
        ]
    sole = len(ranking.winners) == 1
    rows = zip(*columns.values(), strict=True)
    return Table(
        tuple(columns),
        tuple(
            tuple(Cell(text, sole and i == 0 and j == 2) for j, text in enumerate(row))
            for i, row in enumerate(rows)
        ),
    )


def _value(ranking: Ranking, place: Place) -> str:
    found = estimate(list(place.contestant.values.values()))
    return shown(ranking.metric.name, found.mean, found.half_width)


def _verdict(ranking: Ranking, place: Place) -> str:
    if place.verdict is not None:
        return place.verdict.text
    return "best" if len(ranking.winners) == 1 else "ahead, but tied"


def tell_rankings(run: str, rankings: Sequence[Ranking], notes: Sequence[str]) -> Told:
    """The rankings of one run, ready to be shown."""
    if all(map(too_few, rankings)):
        answer = ["So few seeds cannot tell which to use: run it with --seeds 5."]
    else:
        answer = [sentence("; ".join(map(said, rankings)))]
        answer.append("Differences are beyond chance at 95 %, corrected for all comparisons.")
    return Told(
        "Ranking",
        {"a": run},
        tuple(ranking_table(ranking) for ranking in rankings),
        tuple(_record(ranking, place) for ranking in rankings for place in ranking.places),
        tuple(answer),
        tuple(notes),
    )


def _record(ranking: Ranking, place: Place) -> Record:
    """A place as plain values."""
    one, verdict = place.effect, place.verdict
    mean = estimate(list(place.contestant.values.values()))
    return {
        "metric": ranking.metric.name,
        "unit": ranking.metric.unit,
        "rank_first": place.first,
        "rank_last": place.last,
        "model": place.contestant.label,
        "mean": mean.mean,
        "half_width": mean.half_width,
        "seeds": mean.n,
        "scale": one.scale if one else "",
        "change": one.change if one else None,
        "change_low": one.low if one else None,
        "change_high": one.high if one else None,
        "design": one.design if one else "",
        "p": one.p if one else None,
        "p_corrected": place.p,
        "verdict": verdict.word if verdict else "best",
        "reason": verdict.reason if verdict else "",
        "machine_ratio": place.machine,
    }

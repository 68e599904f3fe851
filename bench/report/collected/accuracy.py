"""Accuracy, pooled over people and seeds."""

from matplotlib.figure import Figure

from bench.analysis.collected.collection import Cohort
from bench.analysis.collected.rows import PooledGroup
from bench.analysis.compare.effects import paired_seeds
from bench.analysis.compare.ranking import Ranking
from bench.analysis.formatting import MISSING, percent, shown
from bench.analysis.intervals import Pooled, pooled
from bench.report.collected.answers import certainty, named
from bench.report.sections.base import Answer, Picture
from bench.report.style import canvas, looks_of, name_rows, percent_axis
from bench.report.tables import Table, table_of
from bench.units import counted

FINAL = "final_test_accuracy"

REMARKS = (
    "The mean is over people, each of whom counts alike, and the interval leaves both people and "
    "seeds to chance: a seed that several people share is one set of initial weights, however many "
    "train it, so with few different seeds the interval stays wide.",
    "Numbers that are the same to the last digit count once: the same code from the same seed.",
)


def accuracy(cohort: Cohort, number: int, several: bool) -> Answer | None:
    """What the people of a cohort found; None where no accuracy is known."""
    groups = [group for group in cohort.groups if group.values(FINAL)]
    if not groups:
        return None
    ranking = cohort.standings.ranking(FINAL)
    means = {group.label: pooled(group.values(FINAL)) for group in groups}
    if ranking:
        first, second = _leaders(ranking)
        finding = (
            f"{first[0]} ends highest, at {_text(first[1])}, before {second[0]} at "
            f"{_text(second[1])}; {certainty(ranking.places[1].difference)}."
        )
    else:
        (group,) = groups
        finding = f"{group.label} ends at {_text(means[group.label])}."
    return Answer(
        f"accuracy-{number}",
        named("Accuracy", cohort, several),
        finding,
        (
            Picture(
                f"accuracy-{number}",
                "Test accuracy after the last epoch, by model, a dot per person",
                "A dot is the mean of one person's seeds; the bar is the 95 % interval of the mean "
                "over people.",
                lambda: _drawn(cohort, groups, means),
            ),
        ),
        (_table(groups, means),),
        REMARKS,
    )


def _leaders(ranking: Ranking) -> list[tuple[str, Pooled]]:
    """The first two with their means: those over the seeds of the people who have both, where the
    verdict on them is of these."""
    pair = ranking.places[:2]
    common = paired_seeds(*(place.values for place in pair))
    means = [pooled({k: place.values[k] for k in common or place.values}) for place in pair]
    named = [(place.group.label, mean) for place, mean in zip(pair, means, strict=True)]
    return sorted(named, key=lambda one: -one[1].mean) if common else named


def _text(mean: Pooled) -> str:
    estimate = mean.estimate
    people, seeds = counted(mean.people, "person", "people"), counted(mean.seeds, "seed")
    return f"{shown(FINAL, mean.mean, estimate.half_width)} over {people} and {seeds}"


def _table(groups: list[PooledGroup], means: dict[str, Pooled]) -> Table:
    rows: dict[str, list[str]] = {
        name: []
        for name in ("Model", "People", "Seeds", "Trials", "Test accuracy (%)", "People from", "to")
    }
    for group in groups:
        mean, people = means[group.label], _by_person(group)
        cells = (
            group.label,
            f"{mean.people:,}",
            f"{mean.seeds:,}",
            f"{len(group.values(FINAL)):,}",
            shown(FINAL, mean.mean, mean.estimate.half_width).removesuffix(" %"),
            percent(min(people)),
            percent(max(people)),
        )
        for column, cell in zip(rows.values(), cells, strict=True):
            column.append(cell or MISSING)
    return table_of(rows)


def _by_person(group: PooledGroup) -> list[float]:
    values: dict[str, list[float]] = {}
    for key, value in group.values(FINAL).items():
        values.setdefault(key.person, []).append(value)
    return [sum(own) / len(own) for own in values.values()]


def _drawn(cohort: Cohort, groups: list[PooledGroup], means: dict[str, Pooled]) -> Figure:
    looks = looks_of(groups)
    caption = f"measured: {cohort.name}, {len(cohort.people)} people"
    with canvas(caption, "Test accuracy, a dot per person", bars=len(groups) + 1) as (figure, axes):
        (ax,) = axes
        for place, group in enumerate(groups):
            colour, people = looks[group.label].colour, sorted(_by_person(group))
            # Beside each other rather than on top: a pattern of heights that has no meaning.
            heights = [place + 0.22 * ((7 * k) % 11 - 5) / 5 for k in range(len(people))]
            ax.scatter(people, heights, s=22, color=colour, alpha=0.45, linewidths=0)
            estimate = means[group.label].estimate
            ax.errorbar(
                [estimate.mean],
                [place],
                xerr=[[estimate.half_width or 0.0]] * 2,
                fmt="D",
                color="#000000",
                markersize=6,
                capsize=5,
            )
        name_rows(ax, [group.label for group in groups])
        ax.set_xlabel("Test accuracy, last epoch")
        percent_axis(ax, "x", decimals=None)
    return figure

"""What a section of the report is: a question with its finding, its tables and its pictures."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from bench.analysis.compare.effects import is_count, paired_seeds
from bench.analysis.compare.ranking import Difference, Ranking
from bench.analysis.formatting import shown
from bench.analysis.intervals import Estimate, estimate
from bench.analysis.metrics import BY_NAME
from bench.analysis.trial_group import TrialGroup, Values
from bench.report.context import Context
from bench.report.style import saved_in_parallel
from bench.report.tables import Cells, Table, known, metric_table
from bench.units import counted


@dataclass(frozen=True)
class Picture:
    """A picture of the run folder: `plots/FILE.svg`, what it shows, and what to know of it. `draw`
    takes the context of a section, and gives None where the run has no data for it."""

    file: str
    title: str
    caption: str
    draw: Callable[..., Figure | None]


def picture(
    file: str, title: str, caption: str
) -> Callable[[Callable[[Context], Figure | None]], Picture]:
    """A decorator: what a function draws, as a `Picture`."""
    return lambda draw: Picture(file, title, caption, draw)


def _nothing(context: Context) -> tuple[()]:
    return ()


@dataclass(frozen=True)
class Section:
    """A question of the report. `order` is its place; `finding` is one sentence, None where the run
    does not answer the question, and the section is then left out; `remarks` are sentences below
    the tables; `gallery` are pictures whose number or words depend on the run."""

    order: int
    name: str
    title: str
    finding: Callable[[Context], str | None]
    tables: Callable[[Context], Iterable[Table]] = _nothing
    pictures: tuple[Picture, ...] = ()
    remarks: Callable[[Context], Iterable[str]] = _nothing
    gallery: Callable[[Context], Iterable[Picture]] = _nothing


@dataclass(frozen=True)
class Answer:
    """A section as a run answers it, with the pictures that the run has data for."""

    name: str
    title: str
    finding: str
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...]
    remarks: tuple[str, ...] = ()

    def alternative(self, picture: Picture) -> str:
        """What a picture says to those who do not see it."""
        return f"{picture.title}. {self.finding} The table below has the figures."


def answers(
    sections: Sequence[Section], context: Context, keep: Callable[[str, Figure], None]
) -> Iterator[Answer]:
    """The sections that a run answers; `keep` is given every picture by its file name."""
    for section in sections:
        if (finding := section.finding(context)) is None:
            continue
        drawn = []
        for candidate in _pictures(section, context):
            if (figure := candidate.draw(context)) is not None:
                keep(candidate.file, figure)
                drawn.append(candidate)
        tables = tuple(table for table in section.tables(context) if table.rows)
        remarks = tuple(section.remarks(context))
        yield Answer(section.name, section.title, finding, tuple(drawn), tables, remarks)


def drawn(answers: Sequence[Answer], plots: Path) -> dict[str, str]:
    """Draw the pictures of answers that need no context into a folder; their SVG by file name.

    Raises:
        BenchError: a file cannot be written.
    """
    pictures = [picture for answer in answers for picture in answer.pictures]
    with saved_in_parallel() as save:
        for picture in pictures:
            if figure := picture.draw():
                save(figure, plots / picture.file)
    return {p.file: (plots / f"{p.file}.svg").read_text("utf-8") for p in pictures}


def pictures_of(sections: Sequence[Section], context: Context) -> Iterator[Picture]:
    """The pictures of the sections that a run answers, although it may lack data for some."""
    for section in sections:
        if section.finding(context) is not None:
            yield from _pictures(section, context)


def _pictures(section: Section, context: Context) -> tuple[Picture, ...]:
    return (*section.pictures, *section.gallery(context))


def metrics_of_trained(*names: str) -> Callable[[Context], tuple[Table, ...]]:
    """A table of these metrics, as far as they are known, over the groups that trained."""
    return lambda context: (known_table(context.trained, names),)


def known_table(
    groups: Sequence[TrialGroup], names: Iterable[str], more: Cells | None = None
) -> Table:
    """A table of those of the metrics that any group has."""
    return metric_table(groups, known(groups, names), more)


def sorted_by(
    groups: Sequence[TrialGroup], name: str, *, highest: bool
) -> list[tuple[TrialGroup, Estimate]]:
    """The groups that have a metric, by their means."""
    pairs = [(group, mean) for group in groups if (mean := group.metric(name)) is not None]
    return sorted(pairs, key=lambda pair: -pair[1].mean if highest else pair[1].mean)


def mean_of(group: TrialGroup, name: str) -> Estimate:
    """A metric to be drawn, nothing where it is not known."""
    return group.metric(name) or Estimate(0.0, None, 0)


def value(name: str, mean: Estimate | None) -> str:
    """A mean as text with its unit and interval."""
    return shown(name, mean.mean, mean.half_width) if mean else ""


def ends(name: str, a: TrialGroup, b: TrialGroup) -> tuple[Estimate | None, Estimate | None, str]:
    """A metric's means of two groups, over the seeds that the verdict on them is about, and which
    seeds these are, where they are not all: of unlike seeds, those that both have. A count that no
    seed changes is about all."""
    sides = a.values(name), b.values(name)
    both = None if is_count(BY_NAME[name], *sides) else over_both(*sides)
    return both or (a.metric(name), b.metric(name), "")


def over_both(a: Values, b: Values) -> tuple[Estimate, Estimate, str] | None:
    """The means over the seeds of both, and that they are; None where the verdict is about all."""
    common = paired_seeds(a, b)
    if not common or all(side.keys() == set(common) for side in (a, b)):
        return None
    first, second = (estimate([side[seed] for seed in common]) for side in (a, b))
    return first, second, f" over the {counted(len(common), 'seed')} of both"


Leader = tuple[TrialGroup, Estimate | None]


def leaders(ranking: Ranking) -> tuple[Leader, Leader, str]:
    """The first two of a ranking in a metric that is better when it is higher, with their means
    and the seeds of these, as in `ends`."""
    first, second = (place.group for place in ranking.places[:2])
    a, b, over = ends(ranking.metric.name, first, second)
    if over and a and b and b.mean > a.mean:
        return (second, b), (first, a), over
    return (first, a), (second, b), over


def verdict_clause(
    context: Context, name: str, a: tuple[TrialGroup, str], b: tuple[TrialGroup, str], named: bool
) -> str:
    """How sure it is that two groups, each with what to call it, differ: the last clause of a
    sentence with their means. They are `named` if there are others, and have the means that the
    verdict is about if it is not about all of their seeds."""
    (first, one), (second, other) = a, b
    sure = certainty(context.standings.between(name, first, second))
    at, against, over = ends(name, first, second)
    if over:
        figures = f"{one} is at {value(name, at)} and {other} at {value(name, against)}"
        return f"{over.strip()}, {figures}: {sure}"
    return f"{one} against {other}: {sure}" if named else sure


def certainty(difference: Difference | None) -> str:
    """The clause that says how sure a difference is."""
    return difference.verdict.certainty if difference else "this run cannot tell them apart"

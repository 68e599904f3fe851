"""A change is news once: however often the history is asked for, and if its place moves."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.analysis.history.changes import Change, changes_of
from bench.analysis.history.news import Reported, news, reported
from bench.analysis.history.runs import PastRun
from bench.analysis.history.series import Moment
from tests.analysis.history.test_changes import a_series, noisy

STEPS = noisy((10, 10.0), (8, 12.0), (8, 10.0), (8, 12.0))


def moments(count: int) -> list[Moment]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    runs = [PastRun(f"r{n}", start + timedelta(n), None, None, {}, ()) for n in range(count)]
    return [Moment(run.name, (run,)) for run in runs]


def changes(values: Sequence[float]) -> list[Change]:
    return changes_of([a_series(values)])


def asked_after(ends: Sequence[int], values: Sequence[float]) -> list[tuple[int, int]]:
    """When the history was asked and which change was news then, by what confirmed it."""
    known: tuple[Reported, ...] = ()
    said = []
    for end in ends:
        seen, when = changes(values[:end]), moments(end)
        said += [(end, change.confirmed.at) for change in news(seen, when, known)]
        known = (*known, *(reported(change, when) for change in seen))
    return said


def test_each_change_is_news_once_when_asked_after_every_run() -> None:
    confirmed = [change.confirmed.at for change in changes(STEPS)]
    assert len(confirmed) == 3
    said = asked_after(range(1, len(STEPS) + 1), STEPS)
    assert said == [(at + 1, at) for at in confirmed]


def test_and_when_asked_seldom() -> None:
    confirmed = [change.confirmed.at for change in changes(STEPS)]
    said = asked_after([5, len(STEPS), len(STEPS)], STEPS)
    assert said == [(len(STEPS), at) for at in confirmed]


def test_without_a_memory_it_is_news_with_the_run_that_confirmed_it() -> None:
    said = []
    for end in range(1, len(STEPS) + 1):
        said += [c.confirmed.at for c in news(changes(STEPS[:end]), moments(end), None)]
    assert said == [change.confirmed.at for change in changes(STEPS)]


def test_older_runs_that_are_gone_make_no_news() -> None:
    whole, when = changes(STEPS), moments(len(STEPS))
    known = [reported(change, when) for change in whole]
    kept = changes(STEPS[6:])
    assert len(kept) == 3
    assert news(kept, when[6:], known) == []


def test_two_changes_close_together_are_two() -> None:
    (change, *_), when = changes(STEPS), moments(len(STEPS))
    again = replace(change, confirmed=change.series.points[change.confirmed.at + 1])
    known = [reported(change, when)]
    assert news([change, again], when, known) == [again]


@settings(max_examples=30)
@given(
    st.lists(st.integers(1, len(STEPS)), min_size=1, max_size=6),
    st.integers(0, 50),
    st.sampled_from([0.01, 0.05]),
)
@example([13, 22], 50, 0.05)  # where a second change, yet to be confirmed, is the larger one
def test_nothing_is_said_twice(ends: list[int], seed: int, spread: float) -> None:
    values = noisy((10, 10.0), (8, 12.0), (8, 10.0), (8, 12.0), spread=spread, seed=seed)
    said = asked_after(sorted(ends), values)
    confirmed = [at for _, at in said]
    assert len(set(confirmed)) == len(confirmed)
    assert set(confirmed) == {c.confirmed.at for c in changes(values[: max(ends)])}

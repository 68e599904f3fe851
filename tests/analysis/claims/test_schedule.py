"""The planner keeps to its limit, takes the best step first, and runs what its claims need."""

from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.claims.schedule import rate, schedule

TRIALS = st.sampled_from("abcdef")
NEEDS = st.dictionaries(
    st.text("xyz", min_size=1, max_size=3), st.frozensets(TRIALS, max_size=4), max_size=6
)
SECONDS = st.fixed_dictionaries({trial: st.floats(0.5, 100) for trial in "abcdef"})


@given(NEEDS, SECONDS, st.floats(0, 300), st.frozensets(TRIALS), st.floats(0, 10))
def test_steps_fit_are_covered_and_never_repeat_a_trial(needs, seconds, limit, done, extra):
    steps = schedule(needs, seconds, limit, done, extra)
    assert sum(step.seconds for step in steps) <= limit + 1e-6
    ran = set(done)
    for step in steps:
        assert step.trials
        assert not step.trials & ran
        ran |= step.trials
        assert step.seconds == extra + sum(seconds[t] for t in step.trials)
        assert all(needs[claim] <= ran for claim in step.claims)
    named = [claim for step in steps for claim in step.claims]
    assert len(set(named)) == len(named)


@given(NEEDS, SECONDS, st.floats(0, 300))
def test_each_step_decides_the_most_for_each_second(needs, seconds, limit):
    steps, ran, left = schedule(needs, seconds, limit), frozenset(), limit
    undecided = {claim: needed for claim, needed in needs.items() if needed}
    for step in steps:
        for needed in undecided.values():
            missing = needed - ran
            cost = sum(seconds[t] for t in missing)
            served = sum(other <= ran | missing for other in undecided.values())
            assert not missing or cost > left or served / cost <= rate(step) * (1 + 1e-9)
        ran, left = ran | step.trials, left - step.seconds
        undecided = {c: n for c, n in undecided.items() if c not in step.claims}


@given(NEEDS, SECONDS)
def test_with_time_enough_every_claim_gets_its_evidence(needs, seconds):
    steps = schedule(needs, seconds, 1e9)
    ran = {trial for step in steps for trial in step.trials}
    assert all(needed <= ran for needed in needs.values())
    assert ran == {trial for needed in needs.values() for trial in needed}


def test_what_several_claims_share_comes_first() -> None:
    needs = {"one": frozenset("a"), "two": frozenset("b"), "three": frozenset("bc")}
    first, second = schedule(needs, {"a": 10, "b": 12, "c": 1}, 100)
    assert (first.trials, first.claims, first.seconds) == (frozenset("bc"), ("two", "three"), 13)
    assert (second.trials, second.claims) == (frozenset("a"), ("one",))


def test_what_does_not_fit_makes_room_for_what_does() -> None:
    needs = {"dear": frozenset("a"), "cheap": frozenset("b"), "done": frozenset("c")}
    (step,) = schedule(needs, {"a": 100, "b": 9, "c": 50}, 10, frozenset("c"), step_seconds=1)
    assert (step.trials, step.claims, step.seconds) == (frozenset("b"), ("cheap",), 10)

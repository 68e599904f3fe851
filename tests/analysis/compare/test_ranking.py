"""Ranks: ranges where others cannot be told apart, and one best where they can."""

from collections.abc import Sequence

import pytest

from bench.analysis.compare.ranking import Ranking, Standings, rank, rank_side
from bench.analysis.metrics import BY_NAME, Metric
from bench.analysis.trial_group import TrialGroup
from bench.errors import Refused
from tests.analysis.compare.tables import a_side, rates, some_trials, trials

SPEED, LATENCY = BY_NAME["images_per_second"], BY_NAME["step_milliseconds"]


def field(name: str = "images_per_second", /, **speeds: list[float]) -> list[TrialGroup]:
    """Groups with these values of a metric, a value per seed."""
    return [some_trials(label, {name: values}) for label, values in speeds.items()]


def ranked(metric: Metric, groups: list[TrialGroup]) -> Ranking:
    ranking = rank(metric, groups)
    assert ranking is not None
    return ranking


CLEAR = field(slow=[50, 51, 50.5], fast=[100, 101, 102], middle=[70, 71, 71.5])
TIED = field(a=[100, 110, 90], b=[101, 108, 92], slow=[10, 10.5, 9.5])


def test_the_fastest_comes_first() -> None:
    found = ranked(SPEED, CLEAR)
    assert [place.group.label for place in found.places] == ["fast", "middle", "slow"]
    assert [place.rank for place in found.places] == ["1", "2", "3"]
    assert found.ties == ()
    assert found.places[0].difference is None
    assert found.places[2].difference is not None
    assert found.places[2].difference.effect.change == pytest.approx(0.5, rel=0.02)


def test_where_less_is_better_the_least_comes_first() -> None:
    found = ranked(
        LATENCY,
        field(
            "step_milliseconds", slow=[50, 51, 50.5], fast=[100, 101, 102], middle=[70, 71, 71.5]
        ),
    )
    assert [place.group.label for place in found.places] == ["slow", "middle", "fast"]


def test_those_that_cannot_be_told_apart_share_their_ranks() -> None:
    found = ranked(SPEED, TIED)
    assert {place.group.label: place.rank for place in found.places} == {
        "a": "1–2",
        "b": "1–2",
        "slow": "3",
    }
    assert [place.group.label for place in found.winners] == ["b", "a"]
    assert found.ties == ((0, 1),)


def test_ties_may_overlap() -> None:
    # 100 and 93 are apart, 96.5 is within the margin of either.
    speeds = field(a=[100, 100.1, 100.2], b=[96.5, 96.6, 96.7], c=[93, 93.1, 93.2])
    found = ranked(SPEED, speeds)
    assert found.ties == ((0, 1), (1, 2))
    assert [place.rank for place in found.places] == ["1–2", "1–3", "2–3"]


def test_one_seed_ranks_nobody() -> None:
    found = ranked(SPEED, field(a=[100], b=[10], c=[1]))
    assert {place.rank for place in found.places} == {"1–3"}
    assert found.ties == ((0, 2),)


def test_pairs_take_away_what_both_share() -> None:
    """A machine that is twice as fast for one seed as for another."""
    shared = field(a=[100, 200, 50], b=[90, 181, 44.5])
    found = ranked(SPEED, shared)
    assert len(found.winners) == 1


def test_all_comparisons_of_a_metric_are_corrected_for_together() -> None:
    alone = ranked(SPEED, TIED).differences["a", "slow"].p
    more = field(d=[99, 111, 91], e=[102, 107, 93])
    again = ranked(SPEED, [*TIED, *more]).differences["a", "slow"].p
    assert alone is not None
    assert again is not None
    assert again > alone


def test_a_pair_has_one_verdict_from_either_side() -> None:
    found = ranked(SPEED, [*CLEAR, *field(a=[99, 111, 91])])
    for (a, b), one in found.differences.items():
        other = found.differences[b, a]
        assert (one.p, one.verdict.apart) == (other.p, other.verdict.apart)
        assert one.effect.shift == -other.effect.shift


def test_a_ranking_is_made_once_and_asked_for_by_name() -> None:
    standings = Standings(CLEAR)
    assert standings.ranking("images_per_second") is standings.ranking("images_per_second")
    assert standings.ranking("power_watts") is None
    slow, fast, _ = CLEAR
    found = standings.between("images_per_second", slow, fast)
    assert found is not None
    assert found.verdict.word == "faster"
    assert standings.between("power_watts", slow, fast) is None


def test_those_that_are_beaten_stand_below_whatever_their_means() -> None:
    """b has a better mean for a seed that a lacks, and is slower on every seed that both have."""
    groups = [
        some_trials("a", {"images_per_second": [100.0, 101.0, 102.0]}),
        some_trials("b", {"images_per_second": [80.0, 81.0, 81.8, 900.0]}),
    ]
    found = ranked(SPEED, groups)
    assert [(place.group.label, place.rank) for place in found.places] == [("a", "1"), ("b", "2")]


def test_a_model_alone_is_not_ranked() -> None:
    assert rank(SPEED, field(a=[1, 2])) is None


def test_the_machines_drift_beside_the_trials_is_taken_into_account() -> None:
    speeds = {"a": [100, 101, 102], "b": [85, 86, 86.5]}
    rigged = [
        some_trials(name, {"images_per_second": speeds[name]}, calibration_gflops=gflops)
        for name, gflops in (("a", 40.0), ("b", 32.0))
    ]
    fair, found = ranked(SPEED, field(**speeds)), ranked(SPEED, rigged)
    assert len(fair.winners) == 1
    assert len(found.winners) == 2
    assert found.places[1].difference is not None
    assert found.places[1].difference.machine == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("trait", "values"), [("nproc_per_node", (1, 2)), ("precision", ("bf16", "fp32"))]
)
def test_a_machine_is_not_slower_for_what_shares_it_or_for_a_precision(
    trait: str, values: Sequence[object]
) -> None:
    speeds = {"a": [100, 101, 102], "b": [85, 86, 86.5]}
    rigged = [
        some_trials(
            name,
            {"images_per_second": speeds[name]},
            calibration_gflops=gflops,
            **{trait: value},
        )
        for name, gflops, value in zip("ab", (40.0, 20.0), values, strict=True)
    ]
    found = ranked(SPEED, rigged)
    assert len(found.winners) == 1
    assert found.places[1].difference is not None
    assert found.places[1].difference.machine is None


def test_the_settings_of_a_run_are_ranked_too(tmp_path) -> None:
    side = a_side(
        tmp_path,
        "run",
        rates([100, 101, 102]),
        rates([150, 151, 153], optimizer="sgd"),
        trials({"final_test_accuracy": [0.5, 0.6, 0.7]}, status="failed", model="other"),
    )
    (found,) = rank_side(side, [SPEED])
    assert [place.group.label for place in found.places] == ["resnet18 · sgd", "resnet18 · adam"]


def test_nothing_to_rank_is_refused(tmp_path) -> None:
    with pytest.raises(Refused, match="no two models"):
        rank_side(a_side(tmp_path, "run", rates([1, 2, 3])), [SPEED])


def test_a_metric_that_is_wanted_must_be_there(tmp_path) -> None:
    side = a_side(tmp_path, "run", rates([1, 2, 3]), rates([1, 2, 3], model="b"))
    assert len(rank_side(side, [SPEED, BY_NAME["power_watts"]])) == 1
    with pytest.raises(Refused, match="power_watts is not known of two models"):
        rank_side(side, [SPEED, BY_NAME["power_watts"]], wanted=["power_watts"])


def test_tables_of_two_machines_are_not_ranked_together(tmp_path) -> None:
    side = a_side(
        tmp_path, "run", rates([1, 2, 3]), rates([1, 2, 3], model="b", device_name="Other CPU")
    )
    with pytest.raises(Refused, match="more than one device: Test CPU"):
        rank_side(side, [SPEED])
    assert rank_side(side, [SPEED], across=["device"])

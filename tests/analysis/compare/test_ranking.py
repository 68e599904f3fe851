"""Ranks: ranges where others cannot be told apart, and one best where they can."""

import pytest

from bench.analysis.compare.ranking import Contestant, rank_all, rank_side
from bench.analysis.metrics import BY_NAME
from bench.errors import Refused
from tests.analysis.compare.tables import a_side, rates, trials

SPEED, LATENCY = BY_NAME["images_per_second"], BY_NAME["step_milliseconds"]
ACCURACY = BY_NAME["final_test_accuracy"]


def field(**speeds: list[float]) -> list[Contestant]:
    return [Contestant(name, dict(enumerate(values)), {}) for name, values in speeds.items()]


CLEAR = field(slow=[50, 51, 50.5], fast=[100, 101, 102], middle=[70, 71, 71.5])
TIED = field(a=[100, 110, 90], b=[101, 108, 92], slow=[10, 10.5, 9.5])


def test_the_fastest_comes_first() -> None:
    (found,) = rank_all([(SPEED, CLEAR)])
    assert [place.contestant.label for place in found.places] == ["fast", "middle", "slow"]
    assert [place.rank for place in found.places] == ["1", "2", "3"]
    assert found.ties == ()
    assert found.places[0].verdict is None
    assert found.places[2].effect is not None
    assert found.places[2].effect.change == pytest.approx(0.5, rel=0.02)


def test_where_less_is_better_the_least_comes_first() -> None:
    (found,) = rank_all([(LATENCY, CLEAR)])
    assert [place.contestant.label for place in found.places] == ["slow", "middle", "fast"]


def test_those_that_cannot_be_told_apart_share_their_ranks() -> None:
    (found,) = rank_all([(SPEED, TIED)])
    assert {place.contestant.label: place.rank for place in found.places} == {
        "a": "1–2",
        "b": "1–2",
        "slow": "3",
    }
    assert [place.contestant.label for place in found.winners] == ["b", "a"]
    assert found.ties == ((0, 1),)


def test_ties_may_overlap() -> None:
    # 100 and 93 are apart, 96.5 is within the margin of either.
    speeds = field(a=[100, 100.1, 100.2], b=[96.5, 96.6, 96.7], c=[93, 93.1, 93.2])
    (found,) = rank_all([(SPEED, speeds)])
    assert found.ties == ((0, 1), (1, 2))
    assert [place.rank for place in found.places] == ["1–2", "1–3", "2–3"]


def test_one_seed_ranks_nobody() -> None:
    (found,) = rank_all([(SPEED, field(a=[100], b=[10], c=[1]))])
    assert {place.rank for place in found.places} == {"1–3"}
    assert found.ties == ((0, 2),)


def test_pairs_take_away_what_both_share() -> None:
    """A machine that is twice as fast for one seed as for another."""
    shared = field(a=[100, 200, 50], b=[90, 181, 44.5])
    (found,) = rank_all([(SPEED, shared)])
    assert len(found.winners) == 1


def test_all_comparisons_are_corrected_for_together() -> None:
    alone, _ = rank_all([(SPEED, TIED)])[0], None
    both = rank_all([(SPEED, TIED), (ACCURACY, CLEAR)])[0]
    last, again = alone.places[2].p, both.places[2].p
    assert last is not None
    assert again is not None
    assert again >= last


def test_a_model_alone_is_not_ranked() -> None:
    assert rank_all([(SPEED, field(a=[1, 2]))]) == []


def test_the_machines_drift_beside_the_trials_is_taken_into_account() -> None:
    machine = {0: 40.0, 1: 40.0, 2: 40.0}
    slower = {seed: speed * 0.8 for seed, speed in machine.items()}
    speeds = field(a=[100, 101, 102], b=[85, 86, 86.5])
    rigged = [
        Contestant(one.label, one.values, speed)
        for one, speed in zip(speeds, (machine, slower), strict=True)
    ]
    (fair,), (found,) = rank_all([(SPEED, speeds)]), rank_all([(SPEED, rigged)])
    assert len(fair.winners) == 1
    assert len(found.winners) == 2
    assert found.places[1].machine == pytest.approx(0.8)


def test_the_settings_of_a_run_are_ranked_too(tmp_path) -> None:
    side = a_side(
        tmp_path,
        "run",
        rates([100, 101, 102]),
        rates([150, 151, 153], optimizer="sgd"),
        trials({"final_test_accuracy": [0.5, 0.6, 0.7]}, status="failed", model="other"),
    )
    (found,) = rank_side(side, [SPEED])
    assert [place.contestant.label for place in found.places] == ["resnet18 sgd", "resnet18 adam"]


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

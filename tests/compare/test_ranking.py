"""Models of a run in order: ties are ties, and a drifting machine makes no false winner."""

import numpy as np
import pytest

from bench.compare.ranking import alone_at_the_top, rank
from bench.config import Config
from bench.metrics import BY_NAME
from bench.plan import make_plan
from tests.builders import a_dataset, some_facts

RATE, ACCURACY, SECONDS = (
    BY_NAME[n] for n in ("images_per_second", "final_test_accuracy", "epoch_seconds")
)


def by_seed(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def test_clear_places() -> None:
    values = {
        "slow": by_seed(50, 51, 52),
        "fast": by_seed(100, 101, 103),
        "mid": by_seed(80, 82, 83),
    }
    found = rank(values, RATE)
    assert [(p.name, p.rank) for p in found] == [("fast", "1"), ("mid", "2"), ("slow", "3")]
    assert alone_at_the_top(found)
    assert found[0].against_best is None
    assert found[1].against_best is not None
    assert found[1].against_best.change == pytest.approx(
        np.log([80 / 100, 82 / 101, 83 / 103]).mean()
    )


def test_what_cannot_be_told_apart_is_tied() -> None:
    values = {
        "a": by_seed(0.70, 0.72, 0.71),
        "b": by_seed(0.71, 0.70, 0.72),
        "c": by_seed(0.40, 0.41, 0.42),
    }
    found = rank(values, ACCURACY)
    assert [p.rank for p in found] == ["1–2", "1–2", "3"]
    assert not alone_at_the_top(found)


def test_fewer_seconds_are_better() -> None:
    assert rank({"a": by_seed(2.0, 2.1), "b": by_seed(1.0, 1.1)}, SECONDS)[0].name == "b"


def test_one_seed_ties_all() -> None:
    found = rank({"a": by_seed(1.0), "b": by_seed(9.0)}, RATE)
    assert [p.rank for p in found] == ["1–2", "1–2"]


def test_seeds_without_a_partner_do_not_count() -> None:
    found = rank({"a": {0: 1.0, 1: 1.1}, "b": {2: 9.0, 3: 9.1}, "c": {}}, RATE)
    assert [(p.name, p.rank) for p in found] == [("b", "1–2"), ("a", "1–2")]


def order(seeds: int, interleaved: bool) -> list[tuple[str, int]]:
    """The trials of two models in the order of a plan, or model after model."""
    config = Config(preset="smoke", device="cpu", seeds=seeds)
    facts = [some_facts("a"), some_facts("b")]
    planned = [(t.model, t.seed) for t in make_plan(config, facts, a_dataset()).trials]
    return planned if interleaved else sorted(planned)


def false_winners(seeds: int, interleaved: bool, drift: float, repeats: int = 250) -> float:
    """How often one of two equal models wins on a machine that slows down by `drift` a trial."""
    rng, wins = np.random.default_rng(seeds), 0
    for _ in range(repeats):
        values: dict[str, dict[int, float]] = {"a": {}, "b": {}}
        for place, (model, seed) in enumerate(order(seeds, interleaved)):
            values[model][seed] = float((1 + drift * place) * np.exp(0.01 * rng.standard_normal()))
        wins += alone_at_the_top(rank(values, SECONDS))
    return wins / repeats


def test_without_drift_equal_models_win_as_often_as_chance_allows() -> None:
    assert false_winners(4, interleaved=True, drift=0.0) <= 0.05 + 2.6 * (0.05 * 0.95 / 250) ** 0.5


@pytest.mark.parametrize("seeds", [4, 6])
def test_a_drifting_machine_makes_no_false_winner_under_interleaving(seeds: int) -> None:
    """It slows down by 2 % a trial; model after model, it nearly always makes one."""
    chance = 0.05 + 2.6 * (0.05 * 0.95 / 250) ** 0.5
    assert false_winners(seeds, interleaved=True, drift=0.02) <= chance
    assert false_winners(seeds, interleaved=False, drift=0.02) >= 0.9

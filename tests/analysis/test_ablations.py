"""Groups that differ in one trait alone."""

from bench.analysis.ablations import LEARNING_RATE, OPTIMIZER, RECIPE, Ablation, Trait, ablations
from bench.records.records import Record
from tests.builders import a_context, a_done_trial, a_setting, a_trial, run_start

Setting = tuple[str, str, float]
"""A recipe, an optimizer and a rate."""


def found(trait: Trait, *settings: Setting) -> list[Ablation]:
    records: list[Record] = []
    for recipe, optimizer, rate in settings:
        setting = a_setting(recipe=recipe, optimizer=optimizer, learning_rate=rate)
        trial = a_trial(setting=setting, variant=f"{recipe}-{optimizer}-{rate}")
        records += a_done_trial(trial)
    return ablations(a_context([*run_start(), *records]).groups, trait)


def compared(made: list[Ablation]) -> list[tuple[str, list[tuple[str, float]]]]:
    return [
        (a.name, [(g.setting.optimizer, g.setting.learning_rate) for g in a.groups]) for a in made
    ]


def test_what_follows_from_a_recipe_differs_with_it() -> None:
    made = found(RECIPE, ("constant", "adam", 1e-3), ("onecycle", "sgd", 0.1))
    assert compared(made) == [("resnet18", [("adam", 1e-3), ("sgd", 0.1)])]


def test_what_is_varied_too_is_the_same_on_both_sides() -> None:
    rates = 0.01, 0.001
    constant = [("constant", "adam", rate) for rate in rates]
    onecycle = [("onecycle", "sgd", rate) for rate in reversed(rates)]
    assert compared(found(RECIPE, *constant, *onecycle)) == [
        ("resnet18 · lr 0.01", [("adam", 0.01), ("sgd", 0.01)]),
        ("resnet18 · lr 0.001", [("adam", 0.001), ("sgd", 0.001)]),
    ]
    assert [a.values for a in found(LEARNING_RATE, *constant, *onecycle)] == [(0.001, 0.01)] * 2


def test_an_optimizer_still_brings_its_own_rate_to_each_recipe() -> None:
    settings = [
        *(("constant", "adam", 1e-3), ("constant", "sgd", 0.01)),
        *(("onecycle", "adam", 1e-3), ("onecycle", "sgd", 0.1)),
    ]
    assert compared(found(RECIPE, *settings)) == [
        ("resnet18 · adam", [("adam", 1e-3), ("adam", 1e-3)]),
        ("resnet18 · sgd", [("sgd", 0.01), ("sgd", 0.1)]),
    ]
    assert compared(found(OPTIMIZER, *settings)) == [
        ("resnet18 · constant", [("adam", 1e-3), ("sgd", 0.01)]),
        ("resnet18 · onecycle", [("adam", 1e-3), ("sgd", 0.1)]),
    ]


def test_what_has_no_partner_is_left_out() -> None:
    constant = [("constant", "adam", rate) for rate in (0.01, 0.1)]
    made = found(RECIPE, *constant, ("onecycle", "sgd", 0.1))
    assert compared(made) == [("resnet18", [("adam", 0.1), ("sgd", 0.1)])]

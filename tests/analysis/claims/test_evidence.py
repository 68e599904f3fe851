"""What evidence decides a claim follows from the claim, and can be changed by its file."""

from pathlib import Path

import pytest

from bench.analysis.claims.claim import Claim
from bench.analysis.claims.evidence import (
    LADDER,
    Experiment,
    Requirement,
    Subject,
    experiments,
    requirement,
)
from bench.analysis.claims.reader import lecture_claims, read_claims, series_claims
from bench.errors import Refused

ALL = (*lecture_claims(), *series_claims())


def claim(rule: str, metric: str = "", models: str = "resnet18", **more: object) -> Claim:
    name = more.pop("id", "x")
    return Claim(
        str(name),
        "It is so",
        rule,
        metric=tuple(metric.split()),
        models=tuple(models.split()),
        **more,  # type: ignore[arg-type]
    )


def needed(rule: str, metric: str = "", models: str = "resnet18", **more: object) -> Requirement:
    return requirement(claim(rule, metric, models, **more))


def test_what_is_counted_is_not_trained() -> None:
    counted = needed("about", "params", threshold=1.0)
    assert (counted.trained, counted.seeds) == (False, 1)
    searched = needed("ratio", "max_batch", "resnet18 resnet34", threshold=1.0)
    assert (searched.trained, dict(searched.options)["max_batch"]) == (False, True)
    on_a_card = needed("predicted_fits", "max_batch", threshold=1.0, card="t4")
    options = dict(on_a_card.options)
    assert (on_a_card.trained, options["max_batch"], options["card"]) == (False, False, ("t4",))
    assert needed("falls_with_batch", "updates_per_epoch", "").trained


def test_seconds_are_compared_side_by_side_over_three_seeds() -> None:
    timed = needed("more", "epoch_seconds", "resnet34 resnet18")
    assert (timed.seeds, timed.side_by_side, dict(timed.options)["epochs"]) == (3, True, 3)
    assert not needed("same", "final_test_accuracy", "resnet34 resnet18").side_by_side


def test_curves_take_the_epochs_that_they_are_about() -> None:
    assert dict(needed("falls", "train_loss").options)["epochs"] == 10
    assert dict(needed("at_epoch", "test_accuracy", at=3, threshold=0.5).options)["epochs"] == 3
    layer = needed("layer_at_least", "changed_share", at=2, threshold=0.5)
    assert (layer.seeds, dict(layer.options)["epochs"]) == (1, 10)
    assert dict(layer.options)["inspect"]
    short = needed("not_monotone", "test_accuracy", evidence=("epochs=1",))
    assert dict(short.options)["epochs"] == 3


def test_a_claim_about_an_epoch_gets_as_many_as_it_is_about() -> None:
    tenth = needed("at_epoch", "test_accuracy", at=10, threshold=0.5, evidence=("epochs=5",))
    assert dict(tenth.options)["epochs"] == 10
    longer = needed("at_epoch", "test_accuracy", at=3, threshold=0.5, evidence=("epochs=5",))
    assert dict(longer.options)["epochs"] == 5
    with pytest.raises(Refused, match="epochs=20 is not the 10 of the column 'at'"):
        needed("about", "total_seconds", at=10, threshold=1.0, evidence=("epochs=20",))


def test_conditions_are_met() -> None:
    options = dict(needed("at_epoch", "test_accuracy", at=1, needs=("cifar10", "native")).options)
    assert (options["image_size"], options["train_limit"]) == (("native",), "all")
    assert dict(needed("falls", "train_loss", "inception_v3").options)["image_size"] == (299,)


def test_a_claim_about_all_models_gets_some() -> None:
    assert len(needed("rank_falls", "params max_batch", "").subjects) == 3
    assert dict(needed("falls_with_batch", "epoch_seconds", "").options)["batch_size"] == LADDER


def test_the_file_changes_single_options_and_models() -> None:
    changed = needed(
        "more",
        "epoch_seconds",
        "resnet34 resnet18@sgd",
        evidence=("batch_size=16,32", "seeds=5", "lr=0.01", "models=lenet,alexnet@sgd"),
    )
    assert changed.seeds == 5
    assert changed.subjects == (Subject("lenet", "adam"), Subject("alexnet", "sgd"))
    assert changed.claim.models == ("lenet", "alexnet@sgd")
    assert dict(changed.options)["batch_size"] == (16, 32)
    assert dict(changed.options)["lr"] == (0.01,)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("colour=red", "evidence: 'colour' is no option; there are epochs,"),
        ("epochs=0", "evidence: --epochs 0 must be a whole number above 0"),
        ("epochs=1,2", "evidence: epochs takes one value, not 2"),
        ("recipe=slow", "evidence: --recipe slow must be one of"),
        ("memory_budget=much", "evidence: --memory-budget 'much' is not a size"),
        ("models=lenet,alexnet", "evidence: rule falls needs models: 1, not 2"),
        ("seeds=1000000000", "evidence: seeds=1000000000 is above 1,000"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_line(word: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(f"id,claim,rule,metric,models,evidence\na,b,falls,train_loss,lenet,{word}\n")
    if "," in word:
        path.write_text(path.read_text().replace(word, f'"{word}"'))
    with pytest.raises(Refused) as refused:
        read_claims(path)
    assert f"line 2: {said}" in str(refused.value)
    assert str(refused.value).count("..") == 0


def test_claims_that_want_the_same_share_a_run() -> None:
    curve = claim("falls", "train_loss", id="a")
    layer = claim("layer_at_least", "changed_share", "resnet34", at=1, threshold=0.1, id="b")
    long = claim("falls", "train_loss", evidence=("epochs=20",), id="c")
    first, second = experiments([curve, layer, long])
    assert [r.claim.id for r in first.requirements] == ["a", "b"]
    assert [r.claim.id for r in second.requirements] == ["c"]
    assert first.config().models == ("resnet18", "resnet34")


def test_what_compares_seconds_is_trained_with_whatever_it_is_compared_to() -> None:
    loss = claim("falls", "train_loss", "resnet18", id="loss")
    race = claim("sooner", "", "resnet18@adam resnet18@sgd", id="race")
    (both,) = experiments([loss, race])
    adam, sgd = Subject("resnet18", "adam"), Subject("resnet18", "sgd")
    alone = both.wanted("loss", 1, ["loss"])
    together = both.wanted("loss", 1, ["loss", "race"])
    assert {w.subject for w in alone} == {adam}
    assert {w.subject for w in together} == {adam, sgd}
    assert {w.seed for w in both.wanted("race", 3, ["race"])} == {0, 1, 2}


def test_every_claim_of_the_project_is_covered_by_a_run_that_can_be_made() -> None:
    made = experiments(ALL)
    assert sorted(r.claim.id for e in made for r in e.requirements) == sorted(c.id for c in ALL)
    for experiment in made:
        assert isinstance(experiment, Experiment)
        config = experiment.config()
        assert {s.model for s in experiment.subjects} == set(config.models)

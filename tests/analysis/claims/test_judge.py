"""Every rule can say that a claim holds, that it does not, and that it cannot tell, and why."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.claims.claim import Claim, ClaimVerdict
from bench.analysis.claims.judge import CIFAR10_CLASSES, judge, judge_all
from bench.analysis.claims.reader import lecture_claims
from bench.analysis.claims.rules import RULES, layer_change
from bench.analysis.compare.ranking import Standings
from bench.analysis.trial_group import trial_groups
from bench.records.records import (
    Epoch,
    Inspected,
    Layer,
    LayerChange,
    Record,
    Trial,
    TrialEnded,
)
from bench.records.run import Run, collect
from tests.builders import (
    a_dataset,
    a_description,
    a_device,
    a_done_trial,
    a_failed_trial,
    a_largest_batch,
    a_prediction,
    a_setting,
    a_trial,
    an_epoch,
    run_start,
    some_facts,
    some_records,
    validated,
)
from tests.report.rich import a_look

Curve = Sequence[float]


def run_of(records: Sequence[Record]) -> Run:
    return collect(Path("somewhere"), records)


def verdict(claim: Claim, records: Sequence[Record]) -> ClaimVerdict:
    run = run_of(records)
    return judge(claim, run, Standings(trial_groups(run)))


def curves(*seeds: Curve, model: str = "a", field: str = "test_accuracy", **trial: Any) -> Any:
    """Trials of one model, a seed per curve, with these values epoch by epoch."""
    records: list[Record] = []
    for seed, values in enumerate(seeds):
        one = a_trial(model, seed, **trial)
        start, *_, end = a_done_trial(one)
        epochs = [
            an_epoch(one, e, **{field: value}, steps=100) for e, value in enumerate(values, 1)
        ]
        records += [start, *epochs, end]
    return records


def timed(model: str, seconds: Curve, seeds: int = 2, **trial: Any) -> list[Record]:
    """Trials whose epochs take these seconds, a second more with every seed."""
    records: list[Record] = []
    for seed in range(seeds):
        one = a_trial(model, seed, **trial)
        start, *_, end = a_done_trial(one)
        epochs = [
            an_epoch(one, number, train_seconds=value + 0.1 * seed)
            for number, value in enumerate(seconds, 1)
        ]
        records += [start, *epochs, end]
    return records


def counted(*params: int) -> list[Record]:
    """Models a, b, … with so many parameters."""
    return [a_description("abcdef"[i], params=count) for i, count in enumerate(params)]


def fitted(*batches: int, **changes: Any) -> list[Record]:
    """Models a, b, … with such largest batches."""
    return [a_largest_batch("abcdef"[i], size, **changes) for i, size in enumerate(batches)]


def predicted(*batches: int) -> list[Record]:
    """Models a, b, … with such largest batches on a T4, give or take 5 %."""
    return [
        a_prediction(
            "abcdef"[i],
            max_batch=size,
            max_batch_low=round(0.95 * size),
            max_batch_high=round(1.05 * size),
        )
        for i, size in enumerate(batches)
    ]


TRIALS = [*a_done_trial(a_trial("a")), *a_done_trial(a_trial("b")), *a_done_trial(a_trial("c"))]
TWO_OPTIMIZERS = {"adam": {}, "sgd": {"setting": a_setting(optimizer="sgd", learning_rate=1e-2)}}


def claim(rule: str, metric: str = "", models: str = "a", **more: Any) -> Claim:
    return Claim(
        "x", "It is so", rule, None, "", tuple(metric.split()), tuple(models.split()), **more
    )


def sized(batches: Sequence[int], seconds: Sequence[float]) -> list[Record]:
    records: list[Record] = []
    for size, value in zip(batches, seconds, strict=True):
        records += timed("a", [value] * 3, batch_size=size, batch_choice=str(size))
    return records


def optimizers(adam: Sequence[Curve], sgd: Sequence[Curve]) -> list[Record]:
    return [*curves(*adam), *curves(*sgd, **TWO_OPTIMIZERS["sgd"])]


PARAMS = claim("about", "params", threshold=1e6, tolerance=10.0)
FINAL = claim("about", "final_test_accuracy", threshold=0.7, tolerance=0.05)
RATIO = claim("ratio", "max_batch", "a b", threshold=4.0, tolerance=1.0)
FASTER = claim("more", "epoch_seconds", "a b")
ALIKE = claim("same", "final_test_accuracy", "a b", tolerance=0.02)
FIRST = claim("at_epoch", "test_accuracy", at=1, threshold=0.5, tolerance=0.05)
BETWEEN = claim("stays_within", "test_accuracy", threshold=0.6, tolerance=0.1)
FALLS = claim("falls", "train_loss")
BENT = claim("not_monotone", "test_accuracy")
LADDER = claim("falls_with_batch", "epoch_seconds", "", tolerance=0.02)
SOONER = claim("sooner", "", "a@adam a@sgd")
CARD_RATIO = claim("predicted_ratio", "max_batch", "a b", threshold=4.0, tolerance=1.0, card="t4")
CARD_MORE = claim("predicted_more", "max_batch", "a b", card="t4")
CARD_FITS = claim("predicted_fits", "max_batch", threshold=128.0, card="t4")
RANK = claim("rank_falls", "params max_batch", "")


def seconds(*seeds: Curve, model: str = "a") -> list[Record]:
    return list(curves(*seeds, model=model, field="train_seconds"))


def loss(*seeds: Curve) -> list[Record]:
    return list(curves(*seeds, field="train_loss"))


NONE_FITS = replace(a_prediction("a"), max_batch=0, max_batch_low=0, max_batch_high=0)

CASES: list[tuple[Claim, list[Record], str, str]] = [
    (PARAMS, [*counted(1_000_005), *TRIALS], "holds", "within 1,000,000 ± 10"),
    (PARAMS, [*counted(1_000_015), *TRIALS], "does not hold", "outside"),
    (PARAMS, TRIALS, "cannot tell", "not measured for a"),
    (PARAMS, [], "cannot tell", "not run: a"),
    (FINAL, curves([0.7], [0.7]), "holds", "within 70.0 ± 5.0 %"),
    (FINAL, curves([0.5], [0.51]), "does not hold", "outside"),
    (FINAL, curves([0.6], [0.8]), "cannot tell", "interval overlaps"),
    (FINAL, curves([0.7]), "cannot tell", "too few seeds"),
    (FINAL, a_failed_trial(a_trial("a"), epochs=2), "cannot tell", "not trained to the end"),
    (replace(FINAL, at=2), curves([0.7], [0.7]), "cannot tell", "has 1 epochs, not 2"),
    (RATIO, [*fitted(400, 100), *TRIALS], "holds", "within 4 ± 1 times"),
    (RATIO, [*fitted(200, 100), *TRIALS], "does not hold", "outside"),
    (RATIO, TRIALS, "cannot tell", "no search was made for a"),
    (RATIO, [a_prediction("a"), *TRIALS], "cannot tell", "predicted only"),
    (RATIO, [*fitted(4, 1, source="predicted"), *TRIALS], "cannot tell", "predicted only"),
    (RATIO, [*fitted(4, 1, limited_by="data set"), *TRIALS], "cannot tell", "the data set, not"),
    (CARD_FITS, [NONE_FITS, *TRIALS], "does not hold", "0 is the largest"),
    (CARD_MORE, [NONE_FITS, a_prediction("b"), *TRIALS], "does not hold", "not so"),
    (CARD_RATIO, [a_prediction("b"), NONE_FITS, *TRIALS], "does not hold", ""),
    (RATIO, [*fitted(4, 0), *TRIALS], "cannot tell", "a ratio to nothing"),
    (FASTER, [*timed("a", [9, 9]), *timed("b", [5, 5])], "holds", "beyond chance"),
    (FASTER, [*timed("a", [5, 5]), *timed("b", [9, 9])], "does not hold", "other way round"),
    (FASTER, [*timed("a", [5, 5]), *timed("b", [5, 5])], "does not hold", "equal"),
    (FASTER, [*seconds([5], [6]), *seconds([5.4], [5.2], model="b")], "cannot tell", "more seeds"),
    (FASTER, [*timed("a", [5, 5], 1), *timed("b", [4.9, 4.9], 1)], "cannot tell", "1 seed"),
    (FASTER, [*timed("a", [5, 5], 1), *timed("b", [4, 4], 1)], "cannot tell", "1 seed"),
    (FASTER, [*timed("a", [5, 5], 9), *timed("b", [4.9, 4.9], 9)], "does not hold", "same within"),
    (ALIKE, [*curves(*[[0.7]] * 4), *curves(*[[0.71]] * 4, model="b")], "holds", "within"),
    (ALIKE, [*curves(*[[0.7]] * 4), *curves(*[[0.6]] * 4, model="b")], "does not hold", "outside"),
    (ALIKE, [*curves([0.7], [0.7]), *curves([0.6], [0.6], model="b")], "cannot tell", "too few"),
    (ALIKE, [*curves([0.7], [0.8]), *curves([0.7], [0.6], model="b")], "cannot tell", "overlaps"),
    (ALIKE, [*curves([0.7]), *curves([0.7], model="b")], "cannot tell", "too few seeds"),
    (FIRST, curves([0.5, 0.9], [0.5, 0.9]), "holds", "within 50.0 ± 5.0 %"),
    (FIRST, curves([0.6, 0.5], [0.6, 0.5]), "does not hold", "outside"),
    (FIRST, curves([0.5, 0.9]), "cannot tell", "too few seeds"),
    (replace(FIRST, at=10), curves([0.5, 0.9]), "cannot tell", "the run has 2 epochs"),
    (BETWEEN, curves([0.1, 0.51, 0.69]), "holds", "in the one seed"),
    (BETWEEN, curves([0.6, 0.6], [0.6, 0.8]), "does not hold", "not so in all 2 seeds"),
    (BETWEEN, curves([0.6]), "cannot tell", "too few epochs"),
    (FALLS, loss([3, 2, 1], [3, 2.5, 2]), "holds", "so in all 2 seeds"),
    (FALLS, loss([3, 2, 1], [3, 2, 2]), "does not hold", "not so"),
    (FALLS, loss([3]), "cannot tell", "too few epochs"),
    (BENT, curves([0.5, 0.7, 0.6]), "holds", "in the one seed"),
    (BENT, curves([0.5, 0.6, 0.7]), "does not hold", "not so"),
    (BENT, curves([0.5, 0.6]), "cannot tell", "too few epochs"),
    (LADDER, sized([16, 32, 64], [9, 7, 5]), "holds", "from each size to the next"),
    (LADDER, sized([64, 16], [7, 5]), "does not hold", "rises with a larger batch"),
    (LADDER, sized([16, 32], [5, 5]), "cannot tell", "too near each other"),
    (LADDER, sized([16], [5]), "cannot tell", "not run: one model at several batch sizes"),
    (SOONER, optimizers([[0.7, 0.7]] * 3, [[0.4, 0.7]] * 3), "holds", "so in this run"),
    (SOONER, optimizers([[0.4, 0.7]] * 3, [[0.7, 0.7]] * 3), "does not hold", "other way round"),
    (SOONER, optimizers([[0.7, 0.7]] * 2, [[0.4, 0.7]] * 2), "cannot tell", "agree by chance"),
    (SOONER, optimizers([[0.7]] * 2, [[0.7]] * 2), "does not hold", "equal"),
    (SOONER, optimizers([[0.7, 0.7]], [[0.4, 0.7]]), "cannot tell", "1 seed"),
    (SOONER, optimizers([[0.2, 0.8], [0.8]], [[0.7, 0.8]] * 2), "cannot tell", "more seeds"),
    (SOONER, optimizers([[], []], [[0.7]] * 2), "cannot tell", "not trained"),
    (SOONER, curves([0.7]), "cannot tell", "not run: a@sgd"),
    (CARD_RATIO, [*predicted(400, 100), *TRIALS], "holds", "within 4 ± 1 times"),
    (CARD_RATIO, [*predicted(200, 100), *TRIALS], "does not hold", "outside"),
    (CARD_RATIO, [*predicted(500, 100), *TRIALS], "cannot tell", "overlaps"),
    (CARD_RATIO, [*fitted(400, 100), *TRIALS], "cannot tell", "not predicted for a on t4"),
    (CARD_MORE, [*predicted(120, 100), *TRIALS], "holds", "beyond the known error"),
    (CARD_MORE, [*predicted(100, 120), *TRIALS], "does not hold", "not so"),
    (CARD_MORE, [*predicted(105, 100), *TRIALS], "cannot tell", "ranges overlap"),
    (CARD_FITS, [*predicted(140), *TRIALS], "holds", "128 fit"),
    (CARD_FITS, [*predicted(100), *TRIALS], "does not hold", "100 is the largest"),
    (CARD_FITS, [*predicted(125), *TRIALS], "cannot tell", "within the known error"),
    (RANK, [*counted(1, 2, 3), *fitted(30, 20, 10), *TRIALS], "holds", "in every pair"),
    (RANK, [*counted(1, 2, 3), *fitted(5, 20, 10), *TRIALS], "does not hold", "a has less of both"),
    (RANK, [*counted(1, 2, 3), *fitted(30, 20), *TRIALS], "cannot tell", "too few models: 2"),
    (RANK, [*counted(100, 101, 300), *fitted(30, 20, 10), *TRIALS], "cannot tell", "not every"),
]


@pytest.mark.parametrize(
    ("what", "records", "answer", "reason"),
    CASES,
    ids=[f"{c.rule}-{answer}-{reason}" for c, _, answer, reason in CASES],
)
def test_verdicts(what: Claim, records: list[Record], answer: str, reason: str) -> None:
    said = verdict(what, [*run_start(), *records])
    assert (said.answer, reason in said.reason) == (answer, True), said


def long_trained(trial: Trial) -> list[Record]:
    """A trial of enough updates for a statement about training."""
    return a_done_trial(trial, epochs=10)


def changed(*shares: float) -> list[Record]:
    """A model of two convolutions and a layer between them, of which training changed so much."""
    names = ("c1", "fc", "c2")
    kinds = ("Conv2d", "Linear", "Conv2d")
    layers = tuple(Layer(n, k, 1, 0.1, (1,), False) for n, k in zip(names, kinds, strict=True))
    moved = tuple(
        LayerChange(name, depth, share, share, 1.0, 1.0)
        for depth, (name, share) in enumerate(zip(names, shares, strict=False), 1)
    )
    looked_at = [Inspected(a_trial("a").id, moved, (), "k.npz")] if shares else []
    return [a_description("a", layers=layers), *long_trained(a_trial("a")), *looked_at]


@pytest.mark.parametrize(
    ("rule", "shares", "answer"),
    [
        ("layer_at_least", [0.0, 0.0, 0.95], "holds"),
        ("layer_at_least", [1.0, 1.0, 0.5], "does not hold"),
        ("layer_at_most", [1.0, 1.0, 0.5], "holds"),
        ("layer_at_most", [0.0, 0.0, 0.95], "does not hold"),
        ("layer_at_least", [], "cannot tell"),
        ("layer_at_most", [], "cannot tell"),
        ("layer_at_most", [0.0, 0.0], "cannot tell"),
    ],
)
def test_kernels(rule: str, shares: list[float], answer: str) -> None:
    what = claim(rule, "changed_share", at=2, threshold=0.9)
    said = verdict(what, [*run_start(), *changed(*shares)])
    assert said.answer == answer
    assert (said.reason == "not recorded in this run") == (answer == "cannot tell")


def test_kernels_of_a_run_that_looked_at_them() -> None:
    records = [*run_start(), a_description("a"), *long_trained(a_trial("a"))]
    what = claim("layer_at_least", "changed_share", at=1, threshold=0.9)
    assert verdict(what, records).reason == "not recorded in this run"
    said = verdict(what, [*records, a_look(a_trial("a").id)])
    assert (said.answer, said.measured) == ("holds", "95.0 %")


def test_a_convolution_that_is_not_there_was_not_recorded() -> None:
    (group,) = trial_groups(run_of([*run_start(), *changed(1.0, 1.0, 1.0)]))
    assert layer_change(group, 2, "changed_share") == 1.0
    assert layer_change(group, 3, "changed_share") is None


@pytest.mark.parametrize("epochs", [1, 10])
def test_a_statement_about_training_needs_some(epochs: int) -> None:
    records = [
        *run_start(),
        *a_done_trial(a_trial("a"), epochs),
        *a_done_trial(a_trial("a", 1), epochs),
    ]
    said = verdict(replace(FINAL, threshold=0.5, tolerance=2.0), records)
    assert said.answer == ("holds" if epochs == 10 else "cannot tell")
    assert epochs == 10 or said.reason == "too little training: 10 updates of 100"
    said = verdict(replace(FINAL, threshold=0.5, tolerance=2.0, evidence=("epochs=12",)), records)
    assert said.reason == f"too few epochs: {epochs} of 12"


@pytest.mark.parametrize("failed", [False, True])
def test_a_curve_that_has_not_ended_is_no_evidence(failed: bool) -> None:
    trial = a_trial("a")
    started, *epochs, _ = long_trained(trial)
    end = [TrialEnded(trial, "failed", "memory ran out.", 5.0)] if failed else []
    said = verdict(claim("falls", "train_loss"), [*run_start(), started, *epochs[:4], *end])
    assert (said.answer, said.reason) == ("cannot tell", "a was not trained to the end")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learning_rate": 10.0}, "--lr"),
        ({"pretrained": True, "freeze": "body"}, "--pretrained, --freeze"),
        ({"optimizer": "sgd", "learning_rate": 0.01}, "--optimizer, --lr"),
    ],
)
def test_a_claim_is_not_judged_by_what_options_made_of_its_recipe(
    changes: dict[str, Any], said: str
) -> None:
    what = replace(FINAL, evidence=("recipe=lecture",))
    setting = replace(a_setting(recipe="lecture", learning_rate=1e-4), **changes)
    found = verdict(what, [*run_start(), *curves([0.7], [0.7], setting=setting)])
    assert found.answer == "cannot tell"
    assert found.reason == f"not as the recipe lecture has it: {said}"
    assert found.options == "--recipe lecture"


def test_a_claim_is_judged_by_its_own_recipe() -> None:
    what = replace(FINAL, evidence=("recipe=lecture",))
    constant = curves([0.7], [0.7])
    said = verdict(what, [*run_start(), *constant])
    assert (said.reason, said.options) == (
        "other recipe: constant, not lecture",
        "--recipe lecture",
    )
    lecture = curves([0.4], [0.4], setting=a_setting(recipe="lecture", learning_rate=1e-4))
    assert verdict(what, [*run_start(), *constant, *lecture]).answer == "does not hold"


def test_a_figure_without_chance_needs_no_training() -> None:
    said = verdict(PARAMS, [*run_start(), *counted(1_000_005), *a_done_trial(a_trial("a"), 1)])
    assert said.answer == "holds"


def test_what_is_judged_by_an_interval_shows_it() -> None:
    """The intervals of two means say little about that of their difference, paired by seed."""
    alike = [*curves([0.70], [0.72], [0.74]), *curves([0.70], [0.71], [0.74], model="b")]
    said = verdict(ALIKE, alike)
    assert re.fullmatch(r"a .*, b .*, difference \+0\.3 pt \(-\d\.\d to \+\d\.\d\)", said.measured)
    ratio = claim("ratio", "epoch_seconds", "a b", threshold=2.0, tolerance=1.0)
    said = verdict(ratio, [*timed("a", [9, 9], 3), *timed("b", [5, 5], 3)])
    assert re.fullmatch(r"1\.\d\d times \[1\.\d\d to 1\.\d\d\] \(a / b\)", said.measured)
    said = verdict(RATIO, [*fitted(400, 100), *TRIALS])
    assert said.measured == "4.00 times (a / b)"


def test_a_prediction_is_said_to_be_one() -> None:
    assert verdict(CARD_FITS, [*run_start(), *predicted(140), *TRIALS]).got == "predicted"
    assert verdict(RATIO, [*run_start(), *fitted(400, 100), *TRIALS]).got == "measured"


def cut_prediction(model: str) -> Record:
    """A prediction that ends where the 640 training images do."""
    return a_prediction(model, max_batch=640, max_batch_low=640, max_batch_high=640)


@pytest.mark.parametrize("what", [CARD_RATIO, CARD_MORE, replace(CARD_FITS, threshold=1_000.0)])
def test_what_lies_beyond_a_prediction_that_the_data_set_cut_is_not_decided(what: Claim) -> None:
    cut = [cut_prediction("a"), cut_prediction("b")]
    said = verdict(what, [*run_start(), *cut, *TRIALS])
    assert said.answer == "cannot tell"
    assert said.reason == "the data set, not memory, limits the batch of a"
    assert said.options == "--card t4 --train-limit all"


def test_what_a_prediction_that_the_data_set_cut_can_decide_is_decided() -> None:
    small = a_prediction("b", max_batch=100, max_batch_low=95, max_batch_high=105)
    records = [*run_start(), cut_prediction("a"), small, *TRIALS]
    assert verdict(CARD_FITS, records).answer == "holds"
    assert verdict(CARD_MORE, records).answer == "holds"
    assert verdict(replace(CARD_MORE, models=("b", "a")), records).answer == "does not hold"
    assert verdict(CARD_RATIO, records).answer == "does not hold"


def test_a_card_that_is_a_size_is_found_however_it_is_written() -> None:
    known = a_prediction("a", "11GiB", max_batch=140, max_batch_low=133, max_batch_high=147)
    said = verdict(replace(CARD_FITS, card="11gib"), [*run_start(), known, *TRIALS])
    assert said.answer == "holds"


def test_figures_that_do_not_fall_are_shown_in_their_units() -> None:
    described = [a_description(model, number) for number, model in enumerate("abc")]
    said = verdict(claim("rank_falls", "params gmacs", ""), [*run_start(), *described, *TRIALS])
    assert said.reason == (
        "a has less of both than c: 1,000,000 against 3,000,000, and 0.250 GMACs against 0.750 "
        "GMACs"
    )


def test_nobody_is_sooner_than_who_was_not_evaluated() -> None:
    unknown = [
        replace(record, test_loss=None, test_accuracy=None) if isinstance(record, Epoch) else record
        for record in curves([0.4, 0.7], model="b")
    ]
    for models in ("a b", "b a"):
        said = verdict(claim("sooner", "", models), [*run_start(), *curves([0.4, 0.7]), *unknown])
        assert said.reason == "not trained, or evaluated only after the last epoch"


@pytest.mark.parametrize(
    ("what", "records", "more"),
    [
        (FINAL, curves([0.7]), 1),
        (FINAL, curves([0.7], [0.76], [0.73]), 9),
        (FINAL, curves([0.7], [0.7]), None),
        (FASTER, [*timed("a", [5, 5], 1), *timed("b", [4, 4], 1)], 2),
        (ALIKE, [*curves([0.7], [0.8]), *curves([0.7], [0.6], model="b")], 13),
    ],
)
def test_how_many_more_seeds_would_tell(
    what: Claim, records: list[Record], more: int | None
) -> None:
    assert verdict(what, [*run_start(), *records]).more_seeds == more


def test_every_rule_is_tested_with_every_answer() -> None:
    answers = {(c.rule, answer) for c, _, answer, _ in CASES}
    layers = {"layer_at_least", "layer_at_most"}
    assert answers == {
        (rule, answer)
        for rule in set(RULES) - layers
        for answer in ("holds", "does not hold", "cannot tell")
    }


WHOLE = a_dataset(
    name="folder", classes=tuple(CIFAR10_CLASSES), train_images=50_000, test_images=10_000
)
HERE = [*counted(1_000_000), *TRIALS]
NATIVE = a_trial("a", setting=a_setting(image_size=224))
AT_224 = [
    some_facts("a"),
    a_description("a", params=1_000_000, image_size=224),
    *a_done_trial(NATIVE),
]


@pytest.mark.parametrize(
    ("needs", "device", "records", "reason"),
    [
        ("cifar10", "", HERE, "other data: shapes10, not CIFAR-10"),
        ("cifar10", "", [replace(WHOLE, train_images=640), *HERE], "640 of CIFAR-10's"),
        ("cifar10", "", [replace(WHOLE, test_images=100), *HERE], "100 of CIFAR-10's test images"),
        ("cifar10", "", [WHOLE, *HERE], None),
        ("some-cifar10", "", HERE, "other data: shapes10, not CIFAR-10"),
        ("some-cifar10", "", [replace(WHOLE, train_images=640), *HERE], None),
        ("native", "", [some_facts("a"), *HERE], "other image size: 32 px, not 224"),
        ("native", "", AT_224, None),
        ("device", "", HERE, "other hardware"),
        ("device", "RTX 3090", HERE, "other hardware"),
        ("device", "rtx 3090", [a_device(name="NVIDIA GeForce RTX 3090"), *HERE], None),
    ],
)
def test_conditions(needs: str, device: str, records: list[Record], reason: str | None) -> None:
    said = verdict(replace(PARAMS, needs=(needs,), device=device), [*run_start(), *records])
    assert said.measured == "1,000,000"
    if reason is None:
        assert said.answer == "holds"
    else:
        assert said.answer == "cannot tell"
        assert reason in said.reason


def test_steps_at_different_batch_sizes_do_not_compare() -> None:
    what = replace(FASTER, needs=("same-batch",))
    records = [*timed("a", [9, 9]), *timed("b", [5, 5], batch_size=32)]
    assert verdict(what, [*run_start(), *records]).reason == "batch sizes differ"


def test_an_optimizer_is_picked_by_name_and_adam_where_none_is() -> None:
    sgd = curves([0.4], [0.4], **TWO_OPTIMIZERS["sgd"])
    records = [*run_start(), *sgd, *curves([0.7], [0.7])]
    assert verdict(FINAL, records).answer == "holds"
    assert verdict(replace(FINAL, models=("a@sgd",)), records).answer == "does not hold"


@pytest.mark.parametrize(
    ("named", "answer"),
    [
        ({}, "does not hold"),
        ({"evidence": ("image_size=64",)}, "holds"),
        ({"evidence": ("image_size=native",)}, "holds"),
        ({"needs": ("native",)}, "holds"),
        ({"evidence": ("image_size=96",)}, "does not hold"),
    ],
)
def test_a_claim_that_names_an_image_size_is_judged_by_it(
    named: dict[str, Any], answer: str
) -> None:
    larger = curves([0.7], [0.7], setting=a_setting(image_size=64))
    facts = some_facts("a", native_size=64)
    records = [*run_start(), facts, *curves([0.4], [0.4]), *larger]
    assert verdict(replace(FINAL, **named), records).answer == answer


@pytest.mark.parametrize(
    "records",
    [
        run_start(),
        some_records(),
        some_records(seeds=3),
        [*run_start(), *a_failed_trial(a_trial())],
    ],
    ids=["nothing", "one seed", "seeds", "failed"],
)
def test_the_lectures_claims_can_be_put_to_any_run(records: list[Record]) -> None:
    run = run_of(records)
    judged = judge_all(lecture_claims(), run, Standings(trial_groups(run)))
    assert len(judged) == len(lecture_claims())
    assert all(one.verdict.reason for one in judged)


class TestValidation:
    """A claim about the test accuracy is judged by the one test, and a claim about a curve by the
    images that it is of."""

    def verdict(self, claim: Claim, *curve: float) -> ClaimVerdict:
        return verdict(claim, validated([*run_start(), *curves(curve, curve)]))

    def test_the_last_epoch_has_a_test_accuracy(self) -> None:
        made = self.verdict(replace(FIRST, at=2, threshold=0.58), 0.4, 0.6)
        assert (made.answer, made.measured) == ("holds", "58.0 %")

    @pytest.mark.parametrize("claim", [FIRST, BETWEEN, BENT])
    def test_an_earlier_epoch_has_none(self, claim: Claim) -> None:
        made = self.verdict(claim, 0.5, 0.6, 0.55)
        reason = "not measured: its epochs were evaluated on validation images"
        assert (made.answer, made.reason) == ("cannot tell", reason)

    def test_but_a_validation_accuracy(self) -> None:
        metric = ("validation_accuracy",)
        assert self.verdict(replace(FIRST, metric=metric), 0.5, 0.6).answer == "holds"
        assert self.verdict(replace(BENT, metric=metric), 0.5, 0.6, 0.55).answer == "holds"

    def test_without_validation_images_there_is_none(self) -> None:
        made = verdict(replace(FIRST, metric=("validation_accuracy",)), curves((0.5, 0.6)))
        assert made.reason == "not measured: its epochs were evaluated on test images"

    def test_sooner_says_which_images(self) -> None:
        both = [*run_start(), *timed("a", [1.0] * 3), *timed("b", [9.0] * 3)]
        made = verdict(claim("sooner", "", "a b"), validated(both))
        assert made.measured.startswith("to 60.0 % validation accuracy, which every seed reaches")

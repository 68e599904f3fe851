from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.trial_group import (
    Row,
    TrialGroup,
    grouped,
    setting_text,
    trial_groups,
    trial_labels,
)
from bench.errors import Refused
from bench.records.records import Record, Setting
from bench.records.run import collect
from tests.builders import (
    a_done_trial,
    a_failed_trial,
    a_largest_batch,
    a_refused_trial,
    a_setting,
    a_trial,
    an_epoch,
    run_start,
    some_records,
)


def groups_of(*records: Record) -> list[TrialGroup]:
    return trial_groups(collect(Path("somewhere"), [*run_start(), *records]))


def trials(model: str, **settings: Any) -> list[Record]:
    return a_done_trial(a_trial(model, setting=a_setting(**settings)))


def test_seeds_of_one_model_are_one_series() -> None:
    found = trial_groups(collect(Path("somewhere"), some_records(seeds=3)))
    assert [(s.label, len(s.trials)) for s in found] == [("resnet18", 3), ("googlenet", 3)]
    assert [t.trial.seed for t in found[1].trials] == [0, 1, 2]


def test_the_order_is_that_of_the_first_seed_however_trials_begin() -> None:
    begun = [("a", 0), ("c", 1), ("b", 0), ("a", 1), ("c", 0), ("b", 1)]
    found = groups_of(*(r for m, s in begun for r in a_done_trial(a_trial(m, seed=s))))
    assert [g.label for g in found] == ["a", "b", "c"]
    assert [t.trial.seed for g in found for t in g.trials] == [0, 1] * 3


def test_labels_say_only_what_varies() -> None:
    found = groups_of(*trials("a"), *trials("a", optimizer="sgd"), *trials("b"))
    assert [s.label for s in found] == ["a · adam", "a · sgd", "b · adam"]


def test_labels_say_all_that_varies() -> None:
    found = groups_of(*trials("a"), *trials("a", image_size=64, precision="bf16"))
    assert [s.label for s in found] == ["a · 32 px · fp32", "a · 64 px · bf16"]


def test_a_batch_that_was_chosen_by_a_word_is_named_by_it() -> None:
    own = a_done_trial(a_trial(batch_choice="own", batch_size=64))
    number = a_done_trial(a_trial(batch_choice="16", batch_size=16))
    assert [s.label for s in groups_of(*own, *number)] == [
        "resnet18 · batch own",
        "resnet18 · batch 16",
    ]


def test_native_sizes_that_differ_between_models_are_not_in_the_labels() -> None:
    found = groups_of(*trials("a", image_size=224), *trials("b", image_size=299))
    assert [s.label for s in found] == ["a", "b"]


def test_a_metric_is_averaged_over_the_seeds() -> None:
    first, _ = trial_groups(collect(Path("somewhere"), some_records(seeds=2)))
    found = first.metric("final_test_accuracy")
    assert found is not None
    assert found.mean == pytest.approx(0.61)
    assert found.half_width == pytest.approx(0.127062, rel=1e-5)
    assert found.n == 2


def test_a_metric_of_one_seed_has_no_interval() -> None:
    first, _ = trial_groups(collect(Path("somewhere"), some_records()))
    found = first.metric("epoch_seconds")
    assert found is not None
    assert (found.mean, found.half_width, found.n) == (10.0, None, 1)


@pytest.mark.parametrize("name", ["epoch_seconds", "params", "status", "reason"])
def test_a_metric_that_is_not_known_or_no_number_is_none(name: str) -> None:
    (refused,) = groups_of(*a_refused_trial(a_trial()))
    assert refused.metric(name) is None


def test_a_curve_has_a_point_per_epoch() -> None:
    _, second = trial_groups(collect(Path("somewhere"), some_records(seeds=2)))
    curve = second.curve(lambda epoch: epoch.test_accuracy)
    assert [point.mean for point in curve] == pytest.approx([0.46, 0.56, 0.66])
    assert [point.n for point in curve] == [2, 2, 2]


def test_a_trial_that_broke_off_does_not_count_beside_one_that_is_done() -> None:
    cut = a_failed_trial(a_trial(seed=1), epochs=2)
    (found,) = groups_of(*a_done_trial(a_trial()), *cut)
    assert [point.n for point in found.curve(lambda epoch: epoch.test_loss)] == [1, 1, 1]


def test_where_none_is_done_a_curve_goes_as_far_as_every_seed_got() -> None:
    cuts = [a_failed_trial(a_trial(seed=seed), epochs=2 + seed) for seed in (0, 1)]
    (found,) = groups_of(*cuts[0], *cuts[1])
    assert [point.n for point in found.curve(lambda epoch: epoch.test_loss)] == [2, 2]


def test_a_trial_without_epochs_does_not_cut_the_curve() -> None:
    (found,) = groups_of(*a_done_trial(a_trial()), *a_failed_trial(a_trial(seed=1)))
    assert len(found.trained) == 1
    assert [point.n for point in found.curve(lambda epoch: epoch.test_loss)] == [1, 1, 1]


def test_a_series_of_which_nothing_was_trained_has_no_curve() -> None:
    (found,) = groups_of(*a_refused_trial(a_trial()))
    assert found.curve(lambda epoch: epoch.test_loss) == []


def test_a_run_without_trials_has_no_series() -> None:
    assert groups_of() == []


def test_an_epoch_under_way_is_in_the_curve() -> None:
    started, *_ = a_done_trial(a_trial())
    (found,) = groups_of(started, an_epoch(a_trial()))
    assert [point.mean for point in found.curve(lambda epoch: epoch.test_accuracy)] == [0.4]


def test_trials_are_called_by_what_varies() -> None:
    one = [a_trial("a"), a_trial("b")]
    assert list(trial_labels(one).values()) == ["a", "b"]
    several = [
        a_trial("a", seed, setting=a_setting(optimizer=o))
        for o in ("adam", "sgd")
        for seed in (0, 2)
    ]
    assert trial_labels(several) == {
        several[0].id: "a · adam · seed 0",
        several[1].id: "a · adam · seed 2",
        several[2].id: "a · sgd · seed 0",
        several[3].id: "a · sgd · seed 2",
    }
    assert trial_labels([]) == {}


def labels_of_settings(*settings: Setting) -> list[str]:
    trials = [a_trial("a", setting=s, variant=str(i)) for i, s in enumerate(settings)]
    return list(trial_labels(trials).values())


def test_what_follows_from_a_recipe_is_not_said() -> None:
    one = a_setting(recipe="onecycle", optimizer="sgd", learning_rate=0.1, weight_decay=5e-4,
                    augment="crop")  # fmt: skip
    assert labels_of_settings(a_setting(), one) == ["a · constant", "a · onecycle"]
    both = labels_of_settings(a_setting(), one, replace(one, learning_rate=0.2))
    assert both == ["a · constant · lr 0.001", "a · onecycle · lr 0.1", "a · onecycle · lr 0.2"]


def test_labels_say_every_trait_that_varies() -> None:
    base = a_setting()
    for changed, said in (
        (a_setting(learning_rate=0.1), ["lr 0.001", "lr 0.1"]),
        (a_setting(weight_decay=0.1), ["decay 0", "decay 0.1"]),
        (a_setting(augment="crop"), ["not augmented", "crop"]),
        (a_setting(channels_last=False), ["channels last", "channels first"]),
        (a_setting(pretrained=True), ["from scratch", "pretrained"]),
        (a_setting(freeze="body"), ["all trained", "body frozen"]),
        (a_setting(accumulate=4), ["accumulate 1", "accumulate 4"]),
    ):
        assert labels_of_settings(base, changed) == [f"a · {text}" for text in said]
        records = [a_done_trial(a_trial("a", setting=s, variant=str(i)))
                   for i, s in enumerate((base, changed))]  # fmt: skip
        assert [g.label for g in groups_of(*records[0], *records[1])] == [
            f"a · {text}" for text in said
        ]


def test_a_count_is_known_of_a_trial_that_was_refused() -> None:
    records = [a_largest_batch("a", 0), *a_refused_trial(a_trial("a"))]
    (group,) = groups_of(*records)
    assert group.values("max_batch") == {0: 0.0}
    assert group.values("epoch_seconds") == {}
    assert not group.finished


def test_one_seed_twice_under_one_setting_is_refused() -> None:
    row = Row({"model": "a", "seed": "1", "status": "done"}, "here")
    with pytest.raises(Refused, match="here: a with seed 1 is there twice under one setting"):
        grouped([row, row])


def test_a_setting_in_words() -> None:
    assert setting_text(a_setting()) == "32 px, adam, fp32"
    other = a_setting(recipe="onecycle", augment="crop", channels_last=False, accumulate=4)
    assert setting_text(other) == "32 px, adam, fp32, onecycle, crop, channels first, accumulate 4"

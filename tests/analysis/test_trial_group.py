from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.trial_group import PALETTE, Series, series
from bench.records.records import Record
from bench.records.run import collect
from tests.builders import (
    a_done_trial,
    a_failed_trial,
    a_refused_trial,
    a_setting,
    a_trial,
    an_epoch,
    run_start,
    some_records,
)


def series_of(*records: Record) -> list[Series]:
    return series(collect(Path("somewhere"), [*run_start(), *records]))


def trials(model: str, **settings: Any) -> list[Record]:
    return a_done_trial(a_trial(model, setting=a_setting(**settings)))


def test_seeds_of_one_model_are_one_series() -> None:
    found = series(collect(Path("somewhere"), some_records(seeds=3)))
    assert [(s.label, len(s.trials)) for s in found] == [("resnet18", 3), ("googlenet", 3)]
    assert [t.trial.seed for t in found[1].trials] == [0, 1, 2]


def test_labels_say_only_what_varies() -> None:
    found = series_of(*trials("a"), *trials("a", optimizer="sgd"), *trials("b"))
    assert [s.label for s in found] == ["a adam", "a sgd", "b adam"]


def test_labels_say_all_that_varies() -> None:
    found = series_of(*trials("a"), *trials("a", image_size=64, precision="bf16"))
    assert [s.label for s in found] == ["a 32 px fp32", "a 64 px bf16"]


def test_a_batch_that_was_chosen_by_a_word_is_named_by_it() -> None:
    own = a_done_trial(a_trial(batch_choice="own", batch_size=64))
    number = a_done_trial(a_trial(batch_choice="16", batch_size=16))
    assert [s.label for s in series_of(*own, *number)] == [
        "resnet18 batch own",
        "resnet18 batch 16",
    ]


def test_native_sizes_that_differ_between_models_are_not_in_the_labels() -> None:
    found = series_of(*trials("a", image_size=224), *trials("b", image_size=299))
    assert [s.label for s in found] == ["a", "b"]


def test_a_model_keeps_its_colour_and_changes_its_line() -> None:
    found = series_of(*trials("a"), *trials("b"), *trials("a", optimizer="sgd"))
    looks = {s.label: (s.colour, s.line_style) for s in found}
    assert looks == {
        "a adam": ("#0072B2", "-"),
        "b adam": ("#D55E00", "-"),
        "a sgd": ("#0072B2", "--"),
    }


def batches(model: str, sizes: Sequence[int]) -> list[Record]:
    """A done trial of the model at each batch size."""
    made = [a_trial(model, batch_choice=str(size), batch_size=size) for size in sizes]
    return [record for trial in made for record in a_done_trial(trial)]


def test_the_settings_of_one_model_all_look_different() -> None:
    sizes = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
    found = series_of(*batches("a", sizes))
    assert [s.colour for s in found[:8]] == list(PALETTE)
    assert len({(s.colour, s.line_style) for s in found}) == len(sizes)


def test_so_do_those_of_several_models() -> None:
    sizes = (16, 32, 64, 128, 256, 512, 1024, 2048)
    found = series_of(*batches("a", sizes), *batches("b", sizes))
    assert len({(s.colour, s.line_style) for s in found}) == 2 * len(sizes)
    assert len({s.colour for s in found}) == 2


def test_no_two_colours_are_the_same() -> None:
    assert len(set(PALETTE)) == 8


def test_more_models_than_colours_start_again() -> None:
    found = series_of(*(record for i in range(9) for record in trials(f"m{i}")))
    assert found[8].colour == found[0].colour
    assert found[8].colour != found[7].colour


def test_a_metric_is_averaged_over_the_seeds() -> None:
    first, _ = series(collect(Path("somewhere"), some_records(seeds=2)))
    found = first.metric("final_test_accuracy")
    assert found is not None
    assert found.mean == pytest.approx(0.61)
    assert found.half_width == pytest.approx(0.127062, rel=1e-5)
    assert found.n == 2


def test_a_metric_of_one_seed_has_no_interval() -> None:
    first, _ = series(collect(Path("somewhere"), some_records()))
    found = first.metric("epoch_seconds")
    assert found is not None
    assert (found.mean, found.half_width, found.n) == (10.0, None, 1)


@pytest.mark.parametrize("name", ["epoch_seconds", "params", "status", "reason"])
def test_a_metric_that_is_not_known_or_no_number_is_none(name: str) -> None:
    (refused,) = series_of(*a_refused_trial(a_trial()))
    assert refused.metric(name) is None


def test_a_curve_has_a_point_per_epoch() -> None:
    _, second = series(collect(Path("somewhere"), some_records(seeds=2)))
    curve = second.curve(lambda epoch: epoch.test_accuracy)
    assert [point.mean for point in curve] == pytest.approx([0.46, 0.56, 0.66])
    assert [point.n for point in curve] == [2, 2, 2]


def test_a_trial_that_broke_off_does_not_count_beside_one_that_is_done() -> None:
    cut = a_failed_trial(a_trial(seed=1), epochs=2)
    (found,) = series_of(*a_done_trial(a_trial()), *cut)
    assert [point.n for point in found.curve(lambda epoch: epoch.test_loss)] == [1, 1, 1]


def test_where_none_is_done_a_curve_goes_as_far_as_every_seed_got() -> None:
    cuts = [a_failed_trial(a_trial(seed=seed), epochs=2 + seed) for seed in (0, 1)]
    (found,) = series_of(*cuts[0], *cuts[1])
    assert [point.n for point in found.curve(lambda epoch: epoch.test_loss)] == [2, 2]


def test_a_trial_without_epochs_does_not_cut_the_curve() -> None:
    (found,) = series_of(*a_done_trial(a_trial()), *a_failed_trial(a_trial(seed=1)))
    assert len(found.trained) == 1
    assert [point.n for point in found.curve(lambda epoch: epoch.test_loss)] == [1, 1, 1]


def test_a_series_of_which_nothing_was_trained_has_no_curve() -> None:
    (found,) = series_of(*a_refused_trial(a_trial()))
    assert found.curve(lambda epoch: epoch.test_loss) == []


def test_a_run_without_trials_has_no_series() -> None:
    assert series_of() == []


def test_an_epoch_under_way_is_in_the_curve() -> None:
    started, *_ = a_done_trial(a_trial())
    (found,) = series_of(started, an_epoch(a_trial()))
    assert [point.mean for point in found.curve(lambda epoch: epoch.test_accuracy)] == [0.4]

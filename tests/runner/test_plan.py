from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.tuning import declare
from bench.config import Config, settings_of
from bench.errors import Refused
from bench.records.records import Layer, PointChosen, Trial
from bench.runner.plan import (
    MOST_TRIALS,
    Plan,
    at_chosen,
    check_image_sizes,
    check_recipes,
    check_trials,
    choose_batches,
    make_plan,
    notes_on,
    power_of_two,
    refusal,
)
from tests.builders import (
    MIB,
    a_dataset,
    a_description,
    a_largest_batch,
    a_setting,
    a_trial,
    some_facts,
)

A, B = some_facts("a"), some_facts("b", native_size=299, smallest_size=75)


def plan(**options: Any) -> Plan:
    config = Config(**{"preset": "smoke", "device": "cpu", "image_size": 96, **options})
    return make_plan(config, [A, B], a_dataset())


def choose(choice: str, train_images: int = 640, **largest: int) -> dict[str, int | None]:
    """The batch sizes that a choice comes to for models with these largest batches."""
    trials = [a_trial(model, batch_choice=choice, batch_size=None) for model in largest]
    fits = {(model, a_setting()): a_largest_batch(model, n) for model, n in largest.items()}
    chosen = choose_batches(trials, fits, train_images)
    return {trial.model: size for trial, size in chosen.items()}


def test_seeds_run_there_and_back() -> None:
    order = [(trial.model, trial.seed) for trial in plan(seeds=3).trials]
    assert order == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]


def test_settings_that_come_to_the_same_are_trained_once() -> None:
    """One process has no others to share batch norm's statistics with."""
    how = {"nproc_per_node": (1, 2), "sync_batch_norm": ("yes", "no"), "device": "cuda"}
    trials = [trial for trial in plan(**how).trials if trial.model == "a"]
    kinds = [(t.setting.nproc_per_node, t.setting.sync_batch_norm) for t in trials]
    assert sorted(kinds) == [(1, False), (2, False), (2, True)]


def test_seeds_may_be_other_ones() -> None:
    order = [(trial.model, trial.seed) for trial in plan(seeds=2, first_seed=31).trials]
    assert order == [("a", 31), ("b", 31), ("b", 32), ("a", 32)]


def test_the_plan_is_the_product_of_all_that_varies() -> None:
    many = plan(
        image_size=(96, 128),
        optimizer=("adam", "sgd"),
        precision=("fp32", "bf16"),
        batch_size=("auto", 8, "max"),
        seeds=2,
    )
    assert len(many.trials) == 2 * 2 * 2 * 2 * 3 * 2
    assert len({trial.id for trial in many.trials}) == 96


def test_models_are_neighbours_under_one_setting() -> None:
    order = [(t.setting.optimizer, t.model) for t in plan(optimizer=("adam", "sgd")).trials]
    assert order == [("adam", "a"), ("adam", "b"), ("sgd", "a"), ("sgd", "b")]


def test_a_trial_has_all_that_was_asked_for() -> None:
    first, *_ = plan(batch_size=(16,), optimizer="sgd", precision="bf16").trials
    assert first == Trial("a", 0, a_setting(image_size=96, optimizer="sgd", learning_rate=0.01,
                                            precision="bf16"), "16", 16)  # fmt: skip


@pytest.mark.parametrize(
    ("optimizer", "lr", "rate"),
    [
        (None, None, 0.001),
        ("adam", None, 0.001),
        ("adamw", None, 0.001),
        ("sgd", None, 0.01),
        ("sgd", 0.5, 0.5),
    ],
)
def test_the_learning_rate_is_the_optimizers_unless_given(
    optimizer: Any, lr: float | None, rate: float
) -> None:
    trials = plan(optimizer=optimizer, lr=lr).trials
    assert {trial.setting.learning_rate for trial in trials} == {rate}


def test_a_trial_is_trained_as_its_recipe_says_but_for_what_is_given() -> None:
    def used(**options: Any) -> tuple[Any, ...]:
        s = plan(recipe="onecycle", **options).trials[0].setting
        return s.recipe, s.optimizer, s.learning_rate, s.weight_decay, s.augment

    assert used() == ("onecycle", "sgd", 0.1, 5e-4, "crop")
    assert used(lr=0.5, weight_decay=0.0) == ("onecycle", "sgd", 0.5, 0.0, "crop")
    assert used(augment="none") == ("onecycle", "sgd", 0.1, 5e-4, "none")
    # Rate and decay belong to the optimizer.
    assert used(optimizer="adamw") == ("onecycle", "adamw", 1e-3, None, "crop")
    assert used(optimizer="adam", lr=0.2) == ("onecycle", "adam", 0.2, None, "crop")


def test_a_recipe_may_decay_a_family_less() -> None:
    dense = some_facts("densenet121", family="densenet")
    config = Config(preset="smoke", device="cpu", recipe="onecycle")
    decays = {
        t.model: t.setting.weight_decay for t in make_plan(config, [A, dense], a_dataset()).trials
    }
    assert decays == {"a": 5e-4, "densenet121": 1e-4}


def test_all_that_takes_several_values_has_names_of_its_own() -> None:
    many = plan(
        recipe=("constant", "onecycle"),
        lr=(0.1, 0.01),
        weight_decay=(0.0, 1e-4),
        augment=("none", "crop"),
        channels_last=("yes", "no"),
        pretrained=("no", "yes"),
        freeze=("none", "body"),
        accumulate=(1, 2),
    )
    assert len({trial.id for trial in many.trials}) == len(many.trials) == 2**9 * 3 // 4
    assert len({(t.model, t.setting) for t in many.trials}) == len(many.trials)
    frozen = {t.setting.pretrained for t in many.trials if t.setting.freeze == "body"}
    assert frozen == {True}  # random weights are not frozen


def test_names_of_trials_are_those_of_older_runs() -> None:
    first, *_ = plan(lr=0.5, augment=True, recipe="onecycle", optimizer="adam").trials
    assert first.id == "a 96px adam fp32 bauto seed0"


def test_weights_that_do_not_exist_are_refused() -> None:
    small = some_facts("a:cifar", published_weights=False)
    config = Config(preset="smoke", device="cpu", pretrained=True)
    with pytest.raises(Refused, match="no ImageNet weights for a:cifar; leave it out, or train a"):
        make_plan(config, [A, small], a_dataset())


def test_a_recipe_for_one_model_is_left_out_for_the_others() -> None:
    fast = some_facts("airbench94", family="airbench", native_size=32)
    config = Config(preset="smoke", device="cpu", recipe=("onecycle", "airbench94"))
    trials = make_plan(config, [A, fast], a_dataset()).trials
    assert [(t.model, t.setting.recipe) for t in trials] == [
        ("a", "onecycle"),
        ("airbench94", "onecycle"),
        ("airbench94", "airbench94"),
    ]
    shapes = [(m.name, s) for m in (A, fast) for s in settings_of(m, config)]
    assert len(shapes) == len(trials)


@pytest.mark.parametrize(
    ("recipes", "models", "message"),
    [
        (
            ("airbench94",),
            ("a",),
            "--recipe airbench94 is for airbench94 alone: add it to --models",
        ),
        (
            ("airbench94",),
            ("airbench94", "a"),
            "--recipe airbench94 is not for a: add another recipe",
        ),
    ],
)
def test_a_model_without_a_recipe_is_refused(
    recipes: tuple[str, ...], models: tuple[str, ...], message: str
) -> None:
    with pytest.raises(Refused, match=message):
        check_recipes(recipes, models)
    check_recipes((*recipes, "onecycle"), (*models, "airbench94"))


def test_native_is_each_models_own_size() -> None:
    trials = plan(image_size="native").trials
    assert [trial.setting.image_size for trial in trials] == [224, 299]


def test_settings_that_come_to_the_same_are_run_once() -> None:
    trials = plan(image_size=("native", 224)).trials
    assert [(t.model, t.setting.image_size) for t in trials] == [("a", 224), ("b", 299), ("b", 224)]


def test_a_shape_is_fitted_once_for_all_seeds_and_batches() -> None:
    shapes = plan(seeds=3, batch_size=("auto", "max", 4)).shapes
    assert [model for model, _ in shapes] == ["a", "b"]


def test_open_batch_sizes_stay_open() -> None:
    trials = plan(batch_size=("auto", "own", "max", 4)).trials
    assert {(t.batch_choice, t.batch_size) for t in trials} == {
        ("auto", None),
        ("own", None),
        ("max", None),
        ("4", 4),
    }


def test_images_too_small_for_one_model_are_refused() -> None:
    with pytest.raises(Refused, match="--image-size 64 is too small for b, which needs 75"):
        plan(image_size=64)


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(Refused, match="--batch-size 641 is more than the 640 training images"):
        plan(batch_size=(8, 641))
    assert plan(batch_size=640).trials[0].batch_size == 640


def test_a_plan_that_is_too_large_is_refused_before_it_is_built() -> None:
    with pytest.raises(Refused) as refused:
        plan(seeds=10**9, batch_size=("auto", "max"))
    assert str(refused.value) == (
        "these options make 4,000,000,000 trials, and a run has at most 100,000: lower --seeds or "
        "compare less."
    )


@pytest.mark.parametrize(("models", "seeds"), [(1, MOST_TRIALS), (MOST_TRIALS, 1), (2, 50_000)])
def test_the_largest_plan_is_allowed(models: int, seeds: int) -> None:
    config = Config(preset="smoke", device="cpu", seeds=seeds)
    check_trials(config, models)
    with pytest.raises(Refused, match="trials"):
        check_trials(config, models + 1)


def test_images_larger_than_all_memory_are_refused() -> None:
    check_image_sizes(("native", 1000), 24_000_000)
    sentence = "--image-size 1001 is too large: two images alone need 22 MiB"
    with pytest.raises(Refused, match=f"^{sentence}, and the memory budget is 22 MiB"):
        check_image_sizes(("native", 1001), 24_000_000)
    with pytest.raises(Refused, match="and this machine's memory is"):
        check_image_sizes((10**6,), None)


def test_auto_is_one_batch_that_fits_every_model() -> None:
    assert choose("auto", a=100, b=40) == {"a": 32, "b": 32}


def test_own_is_each_models_power_of_two() -> None:
    assert choose("own", a=100, b=40) == {"a": 64, "b": 32}


def test_max_is_the_largest_that_fits() -> None:
    assert choose("max", a=500, b=41) == {"a": 500, "b": 41}


@pytest.mark.parametrize("choice", ["auto", "own"])
def test_no_batch_is_chosen_above_the_lectures(choice: str) -> None:
    assert choose(choice, a=5000, b=300) == {"a": 128, "b": 128}


@pytest.mark.parametrize("choice", ["auto", "own"])
def test_no_batch_is_chosen_above_the_number_of_images(choice: str) -> None:
    assert choose(choice, train_images=100, a=5000, b=300) == {"a": 64, "b": 64}


def test_a_model_that_fits_nowhere_does_not_spoil_the_others() -> None:
    assert choose("auto", a=100, b=0) == {"a": 64, "b": None}
    assert choose("own", a=100, b=0) == {"a": 64, "b": None}
    assert choose("max", a=100, b=0) == {"a": 100, "b": None}


def test_a_number_is_itself() -> None:
    trial = a_trial(batch_choice="48", batch_size=48)
    assert choose_batches([trial], {}, 640) == {trial: 48}


@pytest.mark.parametrize(("choice", "size"), [("auto", 128), ("own", 128), ("max", None)])
def test_without_a_search(choice: str, size: int | None) -> None:
    trial = a_trial(batch_choice=choice, batch_size=None)
    assert choose_batches([trial], {}, 640) == {trial: size}


@given(
    st.lists(st.integers(2, 3000), min_size=1, max_size=6),
    st.integers(2, 100_000),
)
def test_auto_is_the_largest_power_of_two_that_fits_all(largest: list[int], images: int) -> None:
    sizes = choose("auto", images, **{f"m{i}": n for i, n in enumerate(largest)})
    (size,) = set(sizes.values())
    assert size in (2, 4, 8, 16, 32, 64, 128)
    assert size <= min(*largest, images, 128)
    assert size * 2 > min(*largest, images, 128)


@pytest.mark.parametrize(
    ("limit", "power"), [(0, 0), (-3, 0), (1, 1), (2, 2), (127, 64), (128, 128)]
)
def test_powers_of_two(limit: int, power: int) -> None:
    assert power_of_two(limit) == power


def test_a_trial_that_fits_is_not_refused() -> None:
    assert refusal(a_trial(), 64, a_largest_batch(max_batch=64)) is None
    assert refusal(a_trial(), 64, None) is None


def test_a_model_that_fits_nowhere_is_refused_with_what_it_needs() -> None:
    fit = a_largest_batch(max_batch=0, budget_bytes=64 * MIB, needed_bytes=300 * MIB)
    said = refusal(a_trial(), None, fit)
    assert said is not None
    parts = ("resnet18", "32 px", "in 64 MiB", "needs about 300 MiB", "raise --memory-budget")
    assert [part for part in parts if part not in said] == []


def test_what_is_not_known_is_not_said() -> None:
    said = refusal(a_trial(), None, a_largest_batch(max_batch=0, budget_bytes=None))
    assert said is not None
    assert "MiB" not in said


def test_max_without_a_search_is_refused() -> None:
    trial = replace(a_trial(batch_choice="max"), batch_size=None)
    said = refusal(trial, None, None)
    assert said is not None
    assert "--batch-size max is known only after a search; drop --no-max-batch." in said


def test_one_training_image_is_refused_for_what_it_is() -> None:
    config = Config(preset="smoke", device="cpu")
    with pytest.raises(Refused, match="one training image is too few"):
        make_plan(config, [some_facts()], a_dataset(train_images=1))


def test_a_number_that_does_not_fit_is_refused_with_the_largest() -> None:
    trial = a_trial(batch_choice="101", batch_size=101)
    said = refusal(trial, 101, a_largest_batch(max_batch=100))
    assert said is not None
    assert "--batch-size 101 does not fit" in said
    assert "100 is the largest" in said


@pytest.mark.parametrize(
    ("batch", "setting", "images", "notes"),
    [
        (64, {}, 640, ()),
        (64, {}, 641, ("One image is left out of each epoch: batch norm cannot train on one.",)),
        (
            *(64, {"nproc_per_node": 2}, 131),
            ("3 images are left out of each epoch: batch norm cannot train on one for a process.",),
        ),
        (64, {"nproc_per_node": 2}, 193, ()),
        (
            *(64, {"accumulate": 4}, 640),
            (
                "Batch norm sees 16 images at a time, not 64: with --accumulate its statistics, "
                "and so the training, are not those of a whole batch.",
            ),
        ),
        (64, {"accumulate": 4, "pretrained": True, "freeze": "body"}, 640, ()),
        (512, {"recipe": "fast70"}, 5120, ("The recipe fast70 was made for 70 epochs.",)),
        (
            *(256, {"recipe": "fast70", "nproc_per_node": 2}, 5120),
            ("The recipe fast70 was made for 70 epochs.",),
        ),
        (
            *(256, {"recipe": "fast70"}, 5120),
            ("The recipe fast70 was made for 70 epochs and batches of 512 images.",),
        ),
    ],
)
def test_notes(batch: int, setting: dict[str, Any], images: int, notes: tuple[str, ...]) -> None:
    trial = a_trial(batch_choice=str(batch), batch_size=batch, setting=a_setting(**setting))
    normalised = a_description(layers=(Layer("bn", "BatchNorm2d", 8, 0.0, (4, 8, 8), False),))
    data = a_dataset(train_images=images)
    assert notes_on(trial, normalised, data, epochs=10, searched=True) == notes


def test_parts_of_one_image_are_refused() -> None:
    trial = a_trial(batch_choice="6", batch_size=6, setting=a_setting(accumulate=4))
    assert refusal(trial, 6, None) == (
        "--accumulate 4 makes parts of one image of its batch of 6, which cannot train batch norm; "
        "use at most 3."
    )


def tuned_plan(**options: Any) -> Plan:
    config = Config(preset="smoke", device="cpu", image_size=96, tune=3, **options)
    declared = declare(3, ["adam", "sgd"], a_dataset())
    return make_plan(config, [A, B], a_dataset(validation_images=64), declared)


def test_every_contestant_tries_the_same_points_before_anything_else() -> None:
    trials = tuned_plan(optimizer=("adam", "sgd"), seeds=2).trials
    points = [t for t in trials if t.is_point]
    assert trials[: len(points)] == tuple(points)
    assert len(points) == 2 * 2 * 3
    assert len(trials) == 2 * 2 * (3 + 2 * 2)
    assert len({t.id for t in trials}) == len(trials)
    values = {(t.setting.optimizer, t.setting.learning_rate, t.setting.warmup) for t in points}
    assert len(values) == 2 * 3  # the same for both models
    assert len({warmup for *_, warmup in values}) == 3  # and, where spaces agree, optimizers
    assert {t.seed for t in points}.isdisjoint(t.seed for t in trials if not t.is_point)


def test_what_tuning_changes_takes_no_other_search() -> None:
    plan = tuned_plan(optimizer=("adam", "sgd"), seeds=2)
    assert len(plan.shapes) == 2 * 2
    assert {t.shape for t in plan.trials} == set(plan.shapes)


def test_default_and_tuned_are_neighbours_in_changing_order() -> None:
    again = [t for t in tuned_plan(seeds=2).trials if not t.is_point]
    order = [(t.model, t.seed, t.tuning and t.tuning.part) for t in again]
    assert order == [
        *(("a", 0, "default"), ("a", 0, "tuned"), ("b", 0, "default"), ("b", 0, "tuned")),
        *(("b", 1, "tuned"), ("b", 1, "default"), ("a", 1, "tuned"), ("a", 1, "default")),
    ]


def test_what_was_chosen_is_what_is_trained_again() -> None:
    point, *_, tuned = (t for t in tuned_plan().trials if t.model == "b")
    assert tuned.setting == point.tuning.default  # type: ignore[union-attr]
    choice = PointChosen(tuned.contestant, 3, 0, 1, point.setting, 0.5, {})
    assert at_chosen(tuned, {tuned.contestant: choice}) == replace(tuned, setting=point.setting)
    nothing = PointChosen(tuned.contestant, 3, 3, None, None, None, {})
    assert at_chosen(tuned, {tuned.contestant: nothing}) is None
    assert at_chosen(point, {}) == point


def test_points_are_trials_that_are_counted() -> None:
    config = Config(preset="smoke", device="cpu", tune=1024, seeds=2)
    check_trials(config, MOST_TRIALS // 1028)
    with pytest.raises(Refused, match="trials"):
        check_trials(config, MOST_TRIALS // 1028 + 1)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.recipes import AUGMENTATIONS, CONSTANT, RECIPES, Recipe, Schedule
from bench.settings import OPTIMIZERS

SCHEDULES = {name: r.schedule for name, r in RECIPES.items() if r.schedule is not None}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_row_names_what_there_is(recipe: Recipe) -> None:
    assert recipe.optimizer in OPTIMIZERS
    assert recipe.augment in AUGMENTATIONS
    assert recipe.source


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_goes_from_start_to_end_with_one_peak(schedule: Schedule) -> None:
    ends = [progress for progress, _ in schedule.knots]
    assert (ends[0], ends[-1]) == (0, 1)
    assert ends == sorted(set(ends))
    assert schedule.factor(schedule.warmup) == pytest.approx(1)


@given(st.sampled_from(sorted(SCHEDULES)), st.floats(0, 1))
def test_no_rate_is_above_the_peak_or_negative(name: str, progress: float) -> None:
    assert 0 <= SCHEDULES[name].factor(progress) <= 1 + 1e-12


@pytest.mark.parametrize(
    ("name", "progress", "factor"),
    [
        ("onecycle", 0.125, 0.5),
        ("onecycle", 0.625, 0.5),
        ("onecycle", 1.0, 0.0),
        ("adamw-cosine", 0.0, 1.0),
        ("adamw-cosine", 0.25, 0.8535533905932737),
        ("adamw-cosine", 0.5, 0.5),
        ("fast70", 18.5 / 70, 1.0),
        ("fast70", 67 / 70, 0.001 / 0.4),
        ("fast70", 1.0, 0.0001 / 0.4),
        ("airbench94", 0.0, 0.2),
        ("airbench94", 0.115, 0.6),
        ("airbench94", 0.23, 1.0),
        ("airbench94", 1.0, 0.07),
    ],
)
def test_rates_are_those_of_the_source(name: str, progress: float, factor: float) -> None:
    assert SCHEDULES[name].factor(progress) == pytest.approx(factor)


def test_the_default_is_what_every_run_did_before_there_were_recipes() -> None:
    assert RECIPES["constant"] == Recipe(RECIPES["constant"].source, "adam")


def test_the_lectures_is_that_of_its_notebooks() -> None:
    lecture = RECIPES["lecture"]
    assert (lecture.optimizer, lecture.learning_rate, lecture.schedule) == ("adam", 1e-4, None)
    assert (lecture.normalised, lecture.aux_weight, lecture.augment) == (False, 1.0, "none")


@pytest.mark.parametrize(
    ("epochs", "batch", "said"),
    [
        (70, 512, None),
        (10, 512, "70 epochs"),
        (70, 64, "batches of 512 images"),
        (1, 64, "70 epochs and batches of 512 images"),
    ],
)
def test_what_differs_from_what_it_was_made_for(epochs: int, batch: int, said: str | None) -> None:
    assert RECIPES["fast70"].made_for(epochs, batch) == said
    assert RECIPES["onecycle"].made_for(epochs, batch) is None


@given(st.sampled_from(sorted(SCHEDULES)), st.just(0.0) | st.floats(1e-9, 0.9), st.floats(0, 1))
def test_another_warm_up_keeps_what_comes_after_the_peak(
    name: str, share: float, progress: float
) -> None:
    before, after = SCHEDULES[name], SCHEDULES[name].warmed(share)
    assert after.factor(share) == pytest.approx(1)
    assert after.factor(0) == pytest.approx(0 if share else 1)
    place, own = share + progress * (1 - share), before.warmup
    assert after.factor(place) == pytest.approx(before.factor(own + progress * (1 - own)), abs=1e-6)


def test_a_constant_rate_may_warm_up() -> None:
    warmed = CONSTANT.warmed(0.2)
    assert [warmed.factor(p) for p in (0.0, 0.1, 0.2, 0.6, 1.0)] == pytest.approx([0, 0.5, 1, 1, 1])
    assert CONSTANT.warmed(0).factor(0) == 1

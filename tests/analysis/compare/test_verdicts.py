"""Verdicts: each word where it belongs, and the machine's own drift before any claim."""

import math

import pytest

from bench.analysis.compare.effects import Effect
from bench.analysis.compare.verdicts import Margins, judge, word_of
from bench.analysis.metrics import BY_NAME

SPEED = BY_NAME["images_per_second"]


def ratio(change: float, room: float = 0.01, **more: object) -> Effect:
    """A measured ratio with that half-width."""
    values = {"half_width": room, "p": 0.01, "spread": 0.02} | more
    return Effect("ratio", "paired", 1.0, change, math.log(change), 5, 5, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metric", "up", "down"),
    [
        ("images_per_second", "faster", "slower"),
        ("epoch_seconds", "slower", "faster"),
        ("step_milliseconds", "slower", "faster"),
        ("final_test_accuracy", "higher", "lower"),
        ("peak_memory_bytes", "more", "less"),
        ("max_batch", "more", "less"),
        ("final_test_loss", "higher", "lower"),
        ("energy_joules", "more", "less"),
    ],
)
def test_the_word_of_each_metric(metric: str, up: str, down: str) -> None:
    assert (word_of(BY_NAME[metric], True), word_of(BY_NAME[metric], False)) == (up, down)


@pytest.mark.parametrize(
    ("metric", "change", "word", "better"),
    [
        ("images_per_second", 1.2, "faster", True),
        ("images_per_second", 0.8, "slower", False),
        ("epoch_seconds", 0.8, "faster", True),
        ("peak_memory_bytes", 1.2, "more", False),
        ("first_step_seconds", 1.2, "slower", None),
    ],
)
def test_a_difference_beyond_chance_is_named(
    metric: str, change: float, word: str, better: bool | None
) -> None:
    said = judge(BY_NAME[metric], ratio(change), 0.01)
    assert (said.text, said.better, said.apart) == (word, better, True)


def test_within_the_margin_is_the_same_however_sure() -> None:
    said = judge(SPEED, ratio(1.03), 0.001)
    assert (said.text, said.apart, said.better) == ("same within 5 %", False, None)
    assert said.significant
    assert judge(SPEED, ratio(1.03), 0.001, margins=Margins(0.02)).word == "faster"


def test_an_interval_that_leaves_the_margin_is_not_the_same() -> None:
    said = judge(SPEED, ratio(1.03, 0.03), 0.3)
    assert said.word == "cannot tell"
    assert "more seed" in said.reason
    assert not said.significant


def test_chance_is_never_a_winner() -> None:
    said = judge(SPEED, ratio(1.5, 1.0, spread=1.0), 0.06)
    assert said.word == "cannot tell"


def test_accuracy_has_a_margin_in_points() -> None:
    found = Effect("difference", "paired", 0.7, 0.703, 0.003, 5, 5, 0.005, 0.3, 0.01)
    assert judge(BY_NAME["final_test_accuracy"], found, 0.3).text == "same within 1 point"
    narrow = judge(BY_NAME["final_test_accuracy"], found, 0.3, margins=Margins(points=0.005))
    assert narrow.word == "cannot tell"


def test_one_seed_tells_nothing_but_what_is_needed() -> None:
    found = Effect("ratio", "too few", 1.0, 2.0, math.log(2), 1, 1)
    said = judge(SPEED, found, None)
    assert said.text == "cannot tell: 1 seed; at least 3 a side are needed"


def test_counts_are_equal_more_or_less_without_a_probability() -> None:
    largest = BY_NAME["max_batch"]
    counts = [(100, 100), (100, 102), (100, 200), (200, 100)]
    found = [Effect("ratio", "exact", a, b, math.log(b / a), 1, 1) for a, b in counts]
    said = [judge(largest, one, None).text for one in found]
    assert said == ["equal", "same within 5 %", "more", "less"]


@pytest.mark.parametrize(
    ("metric", "change", "machine", "word"),
    [
        ("images_per_second", 0.9, 0.88, "cannot tell"),
        ("images_per_second", 0.9, 0.9, "cannot tell"),
        ("images_per_second", 0.9, 0.95, "slower"),
        ("images_per_second", 0.9, 1.2, "slower"),
        ("epoch_seconds", 1.1, 0.88, "cannot tell"),
        ("epoch_seconds", 1.1, 1.2, "slower"),
        ("peak_memory_bytes", 1.1, 1.2, "more"),
        ("images_per_second", 0.9, None, "slower"),
    ],
)
def test_what_the_machine_explains_is_not_claimed(
    metric: str, change: float, machine: float | None, word: str
) -> None:
    assert judge(BY_NAME[metric], ratio(change), 0.001, machine=machine).word == word


@pytest.mark.parametrize(
    ("change", "machine", "word", "significant"),
    [
        (1.02, 1.03, "same within 5 %", False),
        (1.02, 0.97, "same within 5 %", True),
        (1.02, 1.2, "cannot tell", False),
        (1.02, 0.8, "cannot tell", False),
    ],
)
def test_a_machine_that_changed_may_also_hide_a_difference(
    change: float, machine: float, word: str, significant: bool
) -> None:
    said = judge(SPEED, ratio(change, 0.005), 0.001, machine=machine)
    assert (said.word, said.significant) == (word, significant)


def test_what_the_machine_explains_is_said_and_breaks_nothing() -> None:
    said = judge(SPEED, ratio(0.9), 0.001, machine=0.88)
    assert said.reason == "the machine itself changed by -12.0 %"
    assert not said.significant

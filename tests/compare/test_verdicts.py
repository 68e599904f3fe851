"""What is said of an effect, in every case that there is."""

import math

import pytest

from bench.compare.effects import Effect
from bench.compare.verdicts import Margins, judge
from bench.metrics import BY_NAME, Metric

RATE, ACCURACY = BY_NAME["images_per_second"], BY_NAME["final_test_accuracy"]
SECONDS, MEMORY = BY_NAME["epoch_seconds"], BY_NAME["peak_memory_bytes"]
MARGINS = Margins()


def found(change: float, room: float, **more: float) -> Effect:
    return Effect(change, change - room, change + room, more.get("p"), room / 3, 3, paired=False)


@pytest.mark.parametrize(
    ("metric", "change", "answer", "word"),
    [
        (RATE, 0.10, "better", "faster"),
        (RATE, -0.10, "worse", "slower"),
        (SECONDS, 0.10, "worse", "slower"),
        (SECONDS, -0.10, "better", "faster"),
        (ACCURACY, 0.05, "better", "higher"),
        (ACCURACY, -0.05, "worse", "lower"),
        (MEMORY, 0.10, "worse", "more"),
        (MEMORY, -0.10, "better", "less"),
    ],
)
def test_a_sure_difference(metric: Metric, change: float, answer: str, word: str) -> None:
    verdict = judge(found(change, 0.02), 0.001, metric, MARGINS)
    assert (verdict.answer, verdict.word) == (answer, word)
    assert verdict.reason == "p = 0.001 after correction"


@pytest.mark.parametrize(
    ("metric", "change", "room", "word"),
    [
        (RATE, 0.01, 0.03, "same within 5 %"),
        (ACCURACY, 0.002, 0.007, "same within 1 points"),
        # Surely different, and surely too little to matter.
        (RATE, 0.02, 0.01, "same within 5 %"),
    ],
)
def test_the_same_within_a_margin(metric: Metric, change: float, room: float, word: str) -> None:
    verdict = judge(found(change, room), 0.001, metric, MARGINS)
    assert (verdict.answer, verdict.word) == ("same", word)


def test_noise_cannot_be_told() -> None:
    verdict = judge(found(0.10, 0.15), 0.3, RATE, MARGINS)
    assert verdict.answer == "cannot tell"
    assert verdict.reason.startswith("about ")
    assert verdict.reason.endswith(" more seeds a side would tell")


def test_significant_alone_but_not_among_so_many_questions() -> None:
    assert judge(found(0.10, 0.09), 0.08, RATE, MARGINS).answer == "cannot tell"


def test_one_seed_cannot_tell() -> None:
    verdict = judge(Effect(0.3, None, None, None, None, 1, False), None, RATE, MARGINS)
    assert (verdict.answer, "--seeds 3" in verdict.reason) == ("cannot tell", True)


@pytest.mark.parametrize(
    ("change", "answer", "word"),
    [(0.0, "same", "equal"), (0.2, "better", "higher"), (-0.2, "worse", "lower")],
)
def test_counts_need_no_interval(change: float, answer: str, word: str) -> None:
    exact = Effect(change, change, change, None, 0.0, 1, False, exact=True)
    verdict = judge(exact, None, BY_NAME["max_batch"], MARGINS)
    assert (verdict.answer, verdict.word) == (answer, word)


@pytest.mark.parametrize(
    ("metric", "change", "machine", "answer"),
    [
        (RATE, -0.10, -0.12, "cannot tell"),  # the machine slowed down by more
        (RATE, -0.10, -0.04, "worse"),  # it explains less than half of it
        (RATE, -0.10, +0.12, "worse"),  # it became faster, so B is slower in spite of it
        (SECONDS, 0.10, -0.12, "cannot tell"),
        (SECONDS, 0.10, 0.12, "worse"),
        (RATE, 0.00, -0.08, "cannot tell"),  # the same on a machine that was slower
        (RATE, 0.00, -0.02, "same"),
    ],
)
def test_the_machine_is_the_yardstick(
    metric: Metric, change: float, machine: float, answer: str
) -> None:
    verdict = judge(found(change, 0.02), 0.001, metric, MARGINS, machine)
    assert verdict.answer == answer
    if answer == "cannot tell":
        share = 100 * abs(math.expm1(machine))
        assert verdict.reason == f"the machine itself was {share:.1f} % slower at B's time"


def test_a_metric_that_is_neither_better_nor_worse() -> None:
    assert judge(found(0.5, 0.1), 0.001, BY_NAME["batch_size"], MARGINS).answer == "differs"

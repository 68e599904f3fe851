"""Two runs compared: false alarms, real differences, and what CI is told."""

from typing import Any

import numpy as np
import pytest

from bench.compare.bounds import parse_bound
from bench.compare.lines import METRICS, Line, broken, compare, metrics_of
from bench.compare.matching import match
from bench.compare.verdicts import Margins
from tests.compare.tables import a_row, a_side, seeds

NOISE = 0.02


def lines_of(a: list[Any], b: list[Any], metrics: tuple[str, ...] = METRICS) -> list[Line]:
    return compare(match(a_side(*a), a_side(*b)).found, metrics_of(metrics), Margins())


def rates(rng: np.random.Generator, n: int, factor: float = 1.0) -> list[float]:
    return [float(r) for r in 100 * factor * np.exp(NOISE * rng.standard_normal(n))]


def a_run(rng: np.random.Generator, n: int = 5, factor: float = 1.0) -> list[Any]:
    """Two models; accuracies with a standard deviation of 1.5 points over the seeds, memory that
    varies by a permille, counts."""
    rows = []
    for model in ("a", "b"):
        for seed, rate in enumerate(rates(rng, n, factor)):
            rows.append(
                a_row(
                    model,
                    seed,
                    images_per_second=rate,
                    final_test_accuracy=float(rng.normal(0.7, 0.015)),
                    peak_memory_bytes=300e6 * float(rng.normal(1, 0.001)),
                )
            )
    return rows


@pytest.mark.parametrize("n", [2, 5])
def test_a_run_against_itself_raises_no_alarm(n: int) -> None:
    """In at least 95 % of repeats nothing of all that is compared is called better or worse."""
    rng, repeats = np.random.default_rng(n), 250
    alarms = sum(
        any(
            line.verdict.answer in ("better", "worse")
            for line in lines_of(a_run(rng, n), a_run(rng, n))
        )
        for _ in range(repeats)
    )
    assert alarms <= repeats * 0.05 + 2.6 * (repeats * 0.05 * 0.95) ** 0.5


def test_a_tenth_slower_is_found_among_all_questions() -> None:
    rng, repeats, found = np.random.default_rng(0), 100, 0
    for _ in range(repeats):
        answers = {
            (line.label, line.metric.name): line.verdict.answer
            for line in lines_of(a_run(rng), a_run(rng, factor=0.9))
        }
        found += answers["a", "images_per_second"] == "worse"
    assert found >= 0.95 * repeats


def test_the_same_numbers_are_equal() -> None:
    rows = a_run(np.random.default_rng(0))
    words = {line.metric.name: line.verdict.word for line in lines_of(rows, rows)}
    assert words["final_test_accuracy"] == "equal"
    assert words["max_batch"] == "equal"
    assert words["images_per_second"] == "same within 5 %"


def test_accuracies_are_compared_seed_by_seed() -> None:
    """Seeds differ by ten points, and B is two points above A in each: pairs see it."""
    a = [a_row(seed=s, final_test_accuracy=0.5 + 0.1 * s) for s in range(4)]
    b = [a_row(seed=s, final_test_accuracy=0.52 + 0.1 * s + 0.001 * (s % 2)) for s in range(4)]
    (line,) = lines_of(a, b, ("final_test_accuracy",))
    assert line.effect.paired
    assert line.verdict.word == "higher"
    # Other seeds are no pairs, and then their differences hide it.
    moved = [
        a_row(seed=s + 1, final_test_accuracy=row.number("final_test_accuracy"))
        for s, row in enumerate(b)
    ]
    (line,) = lines_of(a, moved, ("final_test_accuracy",))
    assert not line.effect.paired
    assert line.verdict.answer == "cannot tell"


def test_times_of_two_runs_are_no_pairs() -> None:
    (line,) = lines_of(seeds("a", [100, 101, 99]), seeds("a", [90, 91, 89]), ("images_per_second",))
    assert not line.effect.paired
    assert line.verdict.word == "slower"


def test_a_slower_machine_is_not_a_slower_model() -> None:
    a = seeds("a", [100, 101, 99], calibration_gflops=90.0)
    b = seeds("a", [90, 91, 89], calibration_gflops=78.0)
    (line,) = lines_of(a, b, ("images_per_second",))
    assert line.verdict.answer == "cannot tell"
    assert line.verdict.reason == "the machine itself was 13.3 % slower at B's time"


def test_what_a_side_does_not_know_is_no_question() -> None:
    a, b = [a_row()], [a_row(images_per_second=None)]
    assert [x.metric.name for x in lines_of(a, b)] == list(METRICS[1:])


def test_noisy_trials_are_counted() -> None:
    a = [a_row(seed=0, noise="its steps vary widely"), a_row(seed=1)]
    assert {line.noisy for line in lines_of(a, [a_row(seed=0), a_row(seed=1)])} == {1}


@pytest.mark.parametrize(
    ("b", "bound", "fails"),
    [
        ([90, 91, 89], "images_per_second:-5%", True),
        ([90, 91, 89], "images_per_second:-15%", False),  # within what is allowed
        ([110, 111, 109], "images_per_second:-5%", False),  # better
        ([80, 101, 89], "images_per_second:-5%", False),  # noise
        ([98.0, 98.1, 97.9], "images_per_second:-1%", True),  # the same, but CI asks for more
        ([99.5, 99.6, 99.4], "images_per_second:-1%", False),
    ],
)
def test_ci_fails_for_a_sure_change_beyond_the_bound(
    b: list[float], bound: str, fails: bool
) -> None:
    a = [100, 100.1, 99.9] if min(b) > 95 else [100, 101, 99]
    (line,) = lines_of(seeds("a", a), seeds("a", b), ("images_per_second",))
    assert (broken(line, [parse_bound(bound)]) is not None) == fails


def test_counts_can_break_a_bound() -> None:
    (line,) = lines_of([a_row(max_batch=100)], [a_row(max_batch=80)], ("max_batch",))
    assert broken(line, [parse_bound("max_batch:-10%")])
    assert not broken(line, [parse_bound("max_batch:-30%")])
    assert not broken(line, [parse_bound("images_per_second:-1%")])

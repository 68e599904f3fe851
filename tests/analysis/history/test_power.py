"""The promises of a history in small; `tests/benchmarks/history_power.py` has the whole table."""

import pytest

from tests.benchmarks.history_power import Design, bound, power


@pytest.mark.parametrize(
    ("design", "found"), [(Design(1, 3), 0.3), (Design(2, 5), 0.75), (Design(3, 3), 0.88)]
)
def test_false_alarms_are_few_and_steps_are_found(design: Design, found: float) -> None:
    seen = power(design, 60)
    assert seen.false <= 0.10  # 5 %, as far as 60 histories tell
    assert found <= seen.found <= 1.0
    assert seen.located >= 0.85


def test_one_run_of_a_commit_is_not_enough_even_for_who_knows_the_noise() -> None:
    assert bound(Design(1, 3), 4000) < 0.85
    assert bound(Design(1, 5), 4000) < 0.90 < 0.95 < bound(Design(2, 5), 4000)

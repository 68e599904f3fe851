"""What marks a trial as noisy, each by itself; and that a quiet one is not marked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.analysis.noise import (
    CHECKS,
    WARMUP_STEPS,
    first_epoch_ratio,
    machine_change,
    noise_of,
    steady_epochs,
    step_spread,
)
from bench.records.records import (
    Calibrated,
    Epoch,
    RankFacts,
    Record,
    Setting,
    Surroundings,
    Telemetry,
)
from bench.records.run import TrialResult, collect
from tests.builders import a_device, a_setting, a_trial, an_epoch, run_start
from tests.builders import a_done_trial as done

QUIET = Surroundings(
    cores=2, other_busy_cores=0.02, cpu_mhz=3000.0, major_faults=0, involuntary_switches=3
)
CARD = Telemetry(300.0, 900.0, 0.95, 5e9, 70.0, 1700.0, 40)


def result_of(
    *epochs: Epoch, more: tuple[Record, ...] = (), setting: Setting | None = None, **device: Any
) -> TrialResult:
    started, *_ = done(a_trial(setting=setting or a_setting()))
    begin, _, data = run_start()
    records = [begin, a_device(**device), data, started, *epochs, *more]
    (result,) = collect(Path("somewhere"), records).trials
    return result


def epochs(count: int = 3, steps: int = 40, spread: float = 0.01, **changes: Any) -> list[Epoch]:
    """Epochs whose steps take about 10 ms, normally distributed by `spread`."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(1, count + 1):
        times = tuple(float(t) for t in 0.010 * (1 + spread * rng.standard_normal(steps)))
        seconds = sum(times)
        values = {"train_seconds": seconds, "cpu_seconds": 1.98 * seconds, "surroundings": QUIET}
        made.append(replace(an_epoch(a_trial(), number), step_times=times, **(values | changes)))
    return made


def test_a_quiet_trial_is_not_marked() -> None:
    assert noise_of(result_of(*epochs())) == ()


def test_what_was_found_is_found_anew_when_the_trial_goes_on() -> None:
    made = epochs()
    result = result_of(*made[:2])
    assert noise_of(result) == ()
    result.epochs.append(replace(made[2], step_times=tuple(3 * t for t in made[2].step_times)))
    assert noise_of(result) != ()


def test_a_trial_that_never_began_is_not_marked() -> None:
    assert noise_of(result_of()) == ()


def test_a_log_without_step_times_says_nothing_of_steps() -> None:
    bare = [replace(e, step_times=(), surroundings=None) for e in epochs()]
    assert noise_of(result_of(*bare)) == ()
    assert step_spread(result_of(*bare)) is None


@pytest.mark.parametrize(("spread", "word"), [(0.12, "noticeably"), (0.30, "widely")])
def test_steps_that_vary(spread: float, word: str) -> None:
    (said,) = noise_of(result_of(*epochs(steps=400, spread=spread)))
    assert said.startswith(f"its steps vary {word} (the middle half of them by ")
    assert "--rerun-noisy 1" in said


def test_the_first_steps_of_a_trial_are_in_no_statistics() -> None:
    first, *others = epochs()
    slow = replace(first, step_times=(9.0,) * WARMUP_STEPS + first.step_times[WARMUP_STEPS:])
    assert step_spread(result_of(slow, *others)) == step_spread(result_of(first, *others))
    found = step_spread(result_of(first, *others))
    assert found is not None
    assert found.n == 3 * 40 - WARMUP_STEPS


def test_of_a_thinned_epoch_fewer_stand_for_the_warm_up() -> None:
    thinned = [replace(e, step_times_every=4) for e in epochs()]
    found = step_spread(result_of(*thinned))
    assert found is not None
    assert found.n == 3 * 40 - 3


def test_an_epoch_that_was_interrupted_is_in_no_statistics() -> None:
    first, second, third = epochs()
    broken = replace(second, resumed=True, train_seconds=99.0, step_times=(9.0,) * 40)
    result = result_of(first, broken, third)
    assert [e.epoch for e in steady_epochs(result)] == [3]
    found = step_spread(result)
    assert found is not None
    assert found.median < 0.011


def test_if_all_later_epochs_were_interrupted_they_count() -> None:
    first, second, _ = epochs()
    assert [e.epoch for e in steady_epochs(result_of(first, replace(second, resumed=True)))] == [2]


def test_outliers_that_cost_time() -> None:
    first, second, third = epochs()
    hit = replace(second, step_times=(*second.step_times[:-1], 0.2))
    (said,) = noise_of(result_of(first, hit, third))
    assert said.startswith("1 of 110 steps are outliers that took ")


def test_an_outlier_that_costs_little_is_counted_but_marks_nothing() -> None:
    first, second, third = epochs()
    hit = replace(second, step_times=(*second.step_times[:-1], 0.013))
    result = result_of(first, hit, third)
    assert noise_of(result) == ()
    found = step_spread(result)
    assert found is not None
    assert len(found.outliers) == 1


def test_early_steps_do_not_make_up_for_a_late_one() -> None:
    first, second, third = epochs()
    *times, _ = second.step_times
    times[10:30] = [0.001] * 20
    hit = replace(second, step_times=(*times, 0.2))
    (said,) = noise_of(result_of(first, hit, third))
    assert said.startswith("1 of 110 steps are outliers that took ")


def test_smaller_last_batches_are_no_noise() -> None:
    """Of 160 images in batches of 64, every third step has 32."""
    made = [
        replace(e, steps=3, images_trained=160, step_times=(*e.step_times[:2], 0.005))
        for e in epochs(12, steps=3)
    ]
    assert noise_of(result_of(*made)) == ()
    # They are counted as whole ones where that is what they are.
    (said,) = noise_of(result_of(*(replace(e, images_trained=192) for e in made)))
    assert said.startswith("its steps vary widely")


@pytest.mark.parametrize(("factor", "how"), [(1.08, "slower"), (0.9, "faster")])
def test_steps_that_had_not_settled(factor: float, how: str) -> None:
    first, second, third = epochs()
    last = replace(third, step_times=tuple(t * factor for t in third.step_times))
    assert any(
        said.startswith("its steps had not settled") and how in said
        for said in noise_of(result_of(first, second, last))
    )


def test_steps_that_settled_within_their_noise() -> None:
    made = epochs(steps=12, spread=0.09)
    times = [t for e in made for t in e.step_times][WARMUP_STEPS:]
    third = len(times) // 3
    first, last = np.median(times[:third]), np.median(times[-third:])
    slower = replace(made[2], step_times=tuple(t * 1.06 * first / last for t in made[2].step_times))
    assert not any("settled" in said for said in noise_of(result_of(*made[:2], slower)))


def test_others_on_the_same_cores() -> None:
    crowded = replace(QUIET, other_busy_cores=0.6)
    (said,) = noise_of(result_of(*epochs(surroundings=crowded)))
    assert said.startswith("other processes used 0.60 of the 2 cores")
    assert "OMP_NUM_THREADS below 2" in said


def test_others_on_spare_cores_disturb_nobody() -> None:
    spare = replace(QUIET, cores=8, other_busy_cores=5.5)
    assert noise_of(result_of(*epochs(surroundings=spare))) == ()


def test_processes_of_the_trial_itself_are_no_others_if_they_are_here() -> None:
    busy = replace(QUIET, other_busy_cores=0.6)
    made = [
        replace(e, ranks=(RankFacts(None, 1.0), RankFacts(None, 0.6 * e.train_seconds)))
        for e in epochs(surroundings=busy)
    ]
    here = a_setting(nproc_per_node=2)
    assert noise_of(result_of(*made, setting=here)) == ()
    apart = a_setting(nproc_per_node=1, nnodes=2)
    (said,) = noise_of(result_of(*made, setting=apart))
    assert said.startswith("other processes used 0.60 of the 2 cores")


def test_threads_that_had_no_processor() -> None:
    made = [replace(e, cpu_seconds=1.2 * e.train_seconds) for e in epochs()]
    (said,) = noise_of(result_of(*made))
    assert said.startswith("its 2 threads had a processor for 60 % of the time")


def test_processor_time_says_nothing_where_a_card_computes() -> None:
    made = [replace(e, cpu_seconds=0.1 * e.train_seconds) for e in epochs()]
    assert noise_of(result_of(*made, kind="cuda", threads=None)) == ()


def test_a_processor_that_changed_its_clock() -> None:
    made = [
        replace(e, surroundings=replace(QUIET, cpu_mhz=3000.0 - 200 * i))
        for i, e in enumerate(epochs())
    ]
    (said,) = noise_of(result_of(*made))
    assert said.startswith("the processor's clock went from 2,600 to 3,000 MHz")


def test_memory_that_was_read_back_from_disk() -> None:
    swapped = replace(QUIET, major_faults=2500)
    (said,) = noise_of(result_of(*epochs(surroundings=swapped)))
    assert said.startswith("2,500 pages of its memory were read back from disk in an epoch")


def test_the_first_epoch_may_read_what_it_needs() -> None:
    first, *others = epochs()
    reading = replace(first, surroundings=replace(QUIET, major_faults=2500))
    assert noise_of(result_of(reading, *others)) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"throttled_by": ("heat (driver)",)}, "the card slowed down (heat (driver))"),
        ({"other_processes": 1}, "1 other process computed on the card"),
        ({"other_processes": 2}, "2 other processes computed on the card"),
        ({"sm_clock_mhz": 1500.0}, "the card's clock went from 1,500 to 1,700 MHz"),
    ],
)
def test_a_card_that_was_disturbed(changes: dict[str, Any], said: str) -> None:
    made = epochs(4, telemetry=CARD)
    made[-1] = replace(made[-1], telemetry=replace(CARD, **changes))
    (found,) = noise_of(result_of(*made, kind="cuda", threads=None))
    assert found.startswith(said)


def test_a_card_at_its_power_limit_is_as_it_should_be() -> None:
    capped = replace(CARD, throttled_by=("power cap",))
    assert noise_of(result_of(*epochs(telemetry=capped), kind="cuda", threads=None)) == ()


def test_a_machine_that_changed_during_the_trial() -> None:
    name = a_trial().id
    before, after = (
        Calibrated(name, at, "fp32", 768, (s,) * 5) for at, s in ((0, 0.010), (3, 0.012))
    )
    result = result_of(*epochs(), more=(before, after))
    assert machine_change(result) == pytest.approx(0.2)
    (said,) = noise_of(result)
    assert said.startswith("a fixed matrix product ran 20 % slower after it than before")
    assert machine_change(result_of(*epochs(), more=(before,))) is None


def test_a_burst_while_the_machine_was_timed_is_no_change_of_it() -> None:
    name = a_trial().id
    calm = Calibrated(name, 0, "fp32", 768, (0.010,) * 9)
    burst = Calibrated(name, 3, "fp32", 768, (0.010,) * 4 + (0.012,) * 5)
    assert noise_of(result_of(*epochs(), more=(calm, burst))) == ()


def test_the_first_epoch_is_told_apart() -> None:
    first, *others = epochs()
    slow = replace(first, train_seconds=3 * others[0].train_seconds)
    assert first_epoch_ratio(result_of(slow, *others)) == pytest.approx(3, rel=0.05)
    assert first_epoch_ratio(result_of(first)) is None


def test_every_check_is_among_those_that_run() -> None:
    assert len(set(CHECKS)) == len(CHECKS) == 9

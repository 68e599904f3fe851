"""What picking an epoch flatters: measured on the images that were picked on, and on others."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.trial_group import trial_groups
from bench.records.records import FinalTest, Record
from bench.records.run import collect
from bench.report.sections.picked_epochs import SECTIONS, optimism
from tests.builders import a_context, a_done_trial, a_trial, an_epoch, run_start, validated

HERE = Path("somewhere")
(SECTION,) = SECTIONS


def records(*seeds: Sequence[float], model: str = "a") -> list[Record]:
    """Trials of a model, a seed per curve."""
    made: list[Record] = []
    for seed, curve in enumerate(seeds):
        trial = a_trial(model, seed)
        start, *_, end = a_done_trial(trial)
        epochs = [an_epoch(trial, n, test_accuracy=value) for n, value in enumerate(curve, 1)]
        made += [start, *epochs, end]
    return made


CURVES = ((0.5, 0.7, 0.6), (0.5, 0.6, 0.58))


def table(log: Sequence[Record]) -> dict[str, str]:
    (made,) = SECTION.tables(a_context(log))
    (row,) = made.rows
    return dict(zip(made.headers, (cell.text for cell in row), strict=True))


def test_without_validation_it_is_the_best_epoch_above_the_last() -> None:
    log = [*run_start(), *records(*CURVES)]
    (group,) = trial_groups(collect(HERE, log))
    mean = optimism(group)
    assert mean is not None
    assert (mean.mean, mean.n) == (pytest.approx((0.1 + 0.02) / 2), 2)
    assert mean.half_width == pytest.approx(12.706 * 0.04, rel=1e-3)
    assert SECTION.finding(a_context(log)) == (
        "Picked on the test images, the best epoch of a has 65 ± 64 % test accuracy: 6 ± 51 points "
        "above the test accuracy after the last epoch, 59 ± 13 %."
    )
    assert table(log)["Best epoch above test (points)"] == "+6 ± 51"
    (remark,) = SECTION.remarks(a_context(log))
    assert "never negative" in remark


def test_with_validation_it_is_what_was_picked_above_the_test() -> None:
    log = validated([*run_start(), *records(*CURVES)])
    (group,) = trial_groups(collect(HERE, log))
    mean = optimism(group)
    assert mean is not None
    assert mean.mean == pytest.approx((0.12 + 0.04) / 2)
    cells = table(log)
    assert cells["Best epoch above test (points)"] == "+8 ± 51"
    assert cells["of it, best above last epoch"] == "+6 ± 51"
    assert cells["of it, last epoch above test"] == "+2.0"
    assert cells["Validation accuracy, best epoch¹ (%)"] == "65 ± 64"


def test_one_seed_tells_it_with_validation_only() -> None:
    one = [*run_start(), *records(CURVES[0])]
    assert SECTION.finding(a_context(one)) is None
    assert SECTION.finding(a_context(validated(one))) == (
        "Picked on the validation images, the best epoch of a has 70.0 % validation accuracy: 12.0 "
        "points above the test accuracy after the last epoch, 58.0 %."
    )


@pytest.mark.parametrize("made", [lambda log: log, validated])
def test_one_epoch_leaves_no_choice(made) -> None:
    assert SECTION.finding(a_context(made([*run_start(), *records((0.5,), (0.6,))]))) is None


def test_the_most_optimistic_of_several_is_named() -> None:
    log = [*run_start(), *records(*CURVES), *records((0.5, 0.6), (0.5, 0.6), model="b")]
    assert "best epoch of a" in str(SECTION.finding(a_context(log)))
    assert "of all models, the most" in str(SECTION.finding(a_context(log)))


def test_worse_validation_images_are_said_to_be_below() -> None:
    log = validated([*run_start(), *records((0.1, 0.2))])
    better = [replace(r, accuracy=0.9) if isinstance(r, FinalTest) else r for r in log]
    assert "70.0 points below the test accuracy" in str(SECTION.finding(a_context(better)))
    log = [*run_start(), *records((0.1, 0.2)), *records((0.1, 0.6), model="b")]
    both = [replace(r, accuracy=0.9) if isinstance(r, FinalTest) else r for r in validated(log)]
    assert "30.0 points below" in str(SECTION.finding(a_context(both)))
    assert "(of all models, the least)" in str(SECTION.finding(a_context(both)))

"""Looks: one colour per model everywhere, and no two groups alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.analysis.trial_group import TrialGroup, trial_groups
from bench.records.records import Record
from bench.records.run import collect
from bench.report.style import PALETTE, looks_of
from tests.builders import a_done_trial, a_setting, a_trial, run_start


def groups_of(*records: Record) -> list[TrialGroup]:
    return trial_groups(collect(Path("somewhere"), [*run_start(), *records]))


def trials(model: str, **settings: Any) -> list[Record]:
    return a_done_trial(a_trial(model, setting=a_setting(**settings)))


def test_a_model_keeps_its_colour_and_changes_its_line() -> None:
    found = groups_of(*trials("a"), *trials("b"), *trials("a", optimizer="sgd"))
    looks = {label: (look.colour, look.line_style) for label, look in looks_of(found).items()}
    assert looks == {
        "a · adam": ("#0072B2", "-"),
        "b · adam": ("#D55E00", "-"),
        "a · sgd": ("#0072B2", "--"),
    }


def batches(model: str, sizes: Sequence[int]) -> list[Record]:
    """A done trial of the model at each batch size."""
    made = [a_trial(model, batch_choice=str(size), batch_size=size) for size in sizes]
    return [record for trial in made for record in a_done_trial(trial)]


def test_the_settings_of_one_model_all_look_different() -> None:
    sizes = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
    found = groups_of(*batches("a", sizes))
    looks = list(looks_of(found).values())
    assert [look.colour for look in looks[:8]] == list(PALETTE)
    assert len(set(looks)) == len(sizes)


def test_so_do_those_of_several_models() -> None:
    sizes = (16, 32, 64, 128, 256, 512, 1024, 2048)
    found = groups_of(*batches("a", sizes), *batches("b", sizes))
    looks = looks_of(found).values()
    assert len(set(looks)) == 2 * len(sizes)
    assert len({look.colour for look in looks}) == 2


def test_no_two_colours_are_the_same() -> None:
    assert len(set(PALETTE)) == 8


def test_more_models_than_colours_start_again() -> None:
    found = groups_of(*(record for i in range(9) for record in trials(f"m{i}")))
    looks = list(looks_of(found).values())
    assert looks[8].colour == looks[0].colour
    assert looks[8].colour != looks[7].colour

"""Like is put beside like; what does not compare is refused in one sentence with its mend."""

from typing import Any

import pytest

from bench.compare.matching import CONDITIONS, match
from bench.errors import Refused
from tests.compare.tables import a_row, a_side


def test_models_are_matched_and_the_others_named() -> None:
    a = a_side(a_row("a"), a_row("b"), a_row("b", 1))
    b = a_side(a_row("b"), a_row("c"))
    found = match(a, b)
    (one,) = found.found
    assert (one.label, len(one.a), len(one.b)) == ("b", 2, 1)
    assert (found.only_a, found.only_b) == (("a",), ("c",))


def test_settings_are_matched_and_named_as_far_as_they_vary() -> None:
    rows = [a_row("a", optimizer=o, image_size=s) for o in ("adam", "sgd") for s in (32, 64)]
    labels = [one.label for one in match(a_side(*rows), a_side(*rows)).found]
    assert labels == ["a 32 px adam", "a 64 px adam", "a 32 px sgd", "a 64 px sgd"]


def test_batch_sizes_are_matched() -> None:
    rows = [a_row("a", batch_size=n, batch_choice=str(n)) for n in (16, 32)]
    assert [m.label for m in match(a_side(*rows), a_side(*rows)).found] == [
        "a batch 16",
        "a batch 32",
    ]


def test_a_batch_that_was_searched_for_may_differ_and_it_is_said() -> None:
    a, b = (a_side(a_row("a", batch_size=n, batch_choice="max")) for n in (1283, 1279))
    (one,) = match(a, b).found
    assert one.note == "batch 1283 against 1279"


def test_another_batch_is_another_setting() -> None:
    a, b = (a_side(a_row("a", batch_size=n, batch_choice=str(n))) for n in (16, 32))
    with pytest.raises(Refused, match="no model with the same settings in common"):
        match(a, b)


DIFFERENCES = {
    "data": {"dataset_sha256": "cd" * 32},
    "preset": {"preset": "quick"},
    "device": {"device_name": "Another CPU"},
    "precision": {"precision": "bf16"},
    "image-size": {"image_size": 64},
    "epochs": {"epochs": 4},
    "augment": {"augment": True},
    "pretrained": {"pretrained": True},
    "channels-last": {"channels_last": False},
}


def test_every_condition_is_tried() -> None:
    assert set(DIFFERENCES) == set(CONDITIONS)


@pytest.mark.parametrize(("name", "values"), DIFFERENCES.items())
def test_what_differs_is_refused_unless_it_is_crossed(name: str, values: dict[str, Any]) -> None:
    a, b = a_side(a_row(), name="first"), a_side(a_row(**values), name="second")
    with pytest.raises(Refused) as refused:
        match(a, b)
    said = str(refused.value)
    assert said.startswith(f"first and second differ in {name} (")
    assert said.endswith(f"name it with --across {name} to compare them all the same.")
    assert len(said.splitlines()) == 1
    (one,) = match(a, b, [name]).found
    assert one.crossed == (name,)


def test_both_values_are_named() -> None:
    a, b = a_side(a_row()), a_side(a_row(device_name="Another CPU", threads=8))
    with pytest.raises(Refused, match=r"\(cpu Test CPU 2 / cpu Another CPU 8\)"):
        match(a, b)


def test_what_is_the_same_is_not_crossed() -> None:
    (one,) = match(a_side(a_row()), a_side(a_row()), ["device"]).found
    assert one.crossed == ()


def test_what_an_older_table_does_not_say_is_taken_as_equal() -> None:
    older = a_row(augment=None, dataset_sha256=None)
    assert match(a_side(older), a_side(a_row())).found


def test_an_unknown_condition() -> None:
    with pytest.raises(Refused, match="--across 'weather' is not one of data, preset"):
        match(a_side(a_row()), a_side(a_row()), ["weather"])

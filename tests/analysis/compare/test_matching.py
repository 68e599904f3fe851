"""What is compared with what, and what is refused: by name, with both values and the mend."""

from pathlib import Path

import pytest

from bench.analysis.compare.matching import Across, Matched, match
from bench.errors import Refused
from tests.analysis.compare.tables import Cells, a_side, rates

SEEDS = (1.0, 2.0)


@pytest.fixture
def sides(tmp_path: Path):
    """Matches two tables of rows."""

    def made(a: list[list[Cells]], b: list[list[Cells]], *across: Across) -> Matched:
        return match(a_side(tmp_path, "a", *a), a_side(tmp_path, "b", *b), across)

    return made


def one(**cells: object) -> list[Cells]:
    return rates(SEEDS, **cells)


def test_models_and_settings_that_are_the_same_match(sides) -> None:
    a = [one(), one(optimizer="sgd"), one(model="only-a")]
    b = [one(model="only-b"), one(optimizer="sgd"), one()]
    found = sides(a, b)
    assert [pair.a.traits["optimizer"] for pair in found.pairs] == ["adam", "sgd"]
    assert [pair.b.traits["optimizer"] for pair in found.pairs] == ["adam", "sgd"]
    assert [group.model for group in found.only_a] == ["only-a"]
    assert [group.model for group in found.only_b] == ["only-b"]
    assert all(pair.across == "" for pair in found.pairs)


@pytest.mark.parametrize(
    ("cells", "said", "across"),
    [
        ({"dataset": "shapes10"}, "dataset is cifar10 (50000 + 10000 images, abababab)", "dataset"),
        ({"dataset_sha256": "cd" * 32}, "images, cdcdcdcd) in", "dataset"),
        ({"train_images": 5000}, "cifar10 (5000 + 10000 images", "dataset"),
        ({"validation_images": 500}, "cifar10 (50000 + 500 + 10000 images, ab", "dataset"),
        ({"preset": "smoke"}, "preset is quick in", "preset"),
        ({"device": "cuda:0"}, "Test CPU (cuda, 2 threads)", "device"),
        ({"device_name": "Other"}, "device is Test CPU (cpu, 2 threads) in", "device"),
        ({"threads": 4}, "Test CPU (cpu, 4 threads) in", "device"),
        ({"epochs": 2}, "epochs is 10 in", "epochs"),
        ({"augment": True}, "augment is False in", "augment"),
        ({"pretrained": True}, "pretrained is False in", "pretrained"),
        ({"channels_last": False}, "channels_last is True in", "channels_last"),
        ({"precision": "bf16"}, "precision is fp32 in", "precision"),
        ({"image_size": 64}, "image_size is 32 in", "image_size"),
        ({"optimizer": "sgd"}, "optimizer is adam in", "optimizer"),
        ({"learning_rate": 0.01}, "learning_rate is 0.001 in", "learning_rate"),
        ({"model": "googlenet"}, "model is resnet18 in", "model"),
        ({"batch_choice": "16", "batch_size": 16}, "batch_size is auto in", "batch_size"),
    ],
)
def test_what_is_not_comparable_is_refused_unless_it_is_told_to(
    sides, cells: dict[str, object], said: str, across: Across
) -> None:
    with pytest.raises(Refused) as refused:
        sides([one()], [one(**cells)])
    sentence = str(refused.value)
    assert said in sentence
    assert f"--across {across}" in sentence
    (pair,) = sides([one()], [one(**cells)], across).pairs
    assert pair.across.startswith(f"{across} ")
    assert " → " in pair.across


def test_all_that_differs_is_named_at_once(sides) -> None:
    with pytest.raises(Refused, match="--across preset device"):
        sides([one()], [one(preset="smoke", threads=4)])
    with pytest.raises(Refused, match="--across optimizer learning_rate"):
        sides([one()], [one(optimizer="sgd", learning_rate=0.01)])


def test_one_crossing_does_not_open_another(sides) -> None:
    with pytest.raises(Refused, match="--across device"):
        sides([one()], [one(preset="smoke", threads=4)], "preset")


def test_what_is_not_crossed_is_not_said(sides) -> None:
    (pair,) = sides([one()], [one(preset="smoke")], "preset", "device").pairs
    assert pair.across == "preset quick → smoke"


def test_two_cards_of_a_kind_are_one_device(sides) -> None:
    a, b = (one(device=f"cuda:{n}", device_name="Card", threads="") for n in range(2))
    assert len(sides([a], [b]).pairs) == 1


def test_a_batch_that_came_to_the_same_matches(sides) -> None:
    assert len(sides([one()], [one(batch_choice="128")]).pairs) == 1


def test_the_batch_that_was_asked_for_goes_before_what_it_came_to(sides) -> None:
    a = [one(batch_size=64)]
    b = [one(batch_size=128), one(batch_choice="64", batch_size=64)]
    found = sides(a, b)
    assert [(p.a.batch_sizes, p.b.batch_sizes) for p in found.pairs] == [("64", "128")]
    assert [group.batch_sizes for group in found.only_b] == ["64"]


def test_several_that_would_match_one_are_refused(sides) -> None:
    b = [one(precision="bf16"), one(precision="fp16")]
    with pytest.raises(Refused, match="has several to compare resnet18") as refused:
        sides([one()], b, "precision")
    assert "bf16" in str(refused.value)
    assert "fp16" in str(refused.value)
    with pytest.raises(Refused, match="has several to compare"):
        sides(b, [one()], "precision")


def test_two_models_of_two_runs_can_be_compared(sides) -> None:
    (pair,) = sides([one()], [one(model="googlenet")], "model").pairs
    assert pair.across == "model resnet18 → googlenet"


def test_a_side_that_is_mixed_in_itself_is_refused(sides) -> None:
    mixed = [one(), one(model="b", preset="smoke")]
    with pytest.raises(Refused, match=r"a\.csv has more than one preset: quick and smoke"):
        sides(mixed, [one()])


@pytest.mark.parametrize("name", ["augment", "pretrained", "channels_last"])
def test_what_an_older_table_does_not_say_rules_nothing_out(sides, name: str) -> None:
    assert sides([one(**{name: ""})], [one()]).pairs

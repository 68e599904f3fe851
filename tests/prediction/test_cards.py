"""Every card has a usable name, a plausible size and a source; anything else is a size."""

import csv
import re
from pathlib import Path

import pytest

from bench.config import DEFAULT_CARDS
from bench.errors import Refused
from bench.prediction import cards as cards_module
from bench.prediction.cards import card_called, cards, find_card

GIB = 2**30


def test_there_are_cards_people_teach_and_train_with() -> None:
    assert len(cards()) >= 25
    for name in (*DEFAULT_CARDS, "rtx3090", "a100-40gb", "h100-80gb"):
        assert name in cards()


def test_laptops_of_four_six_and_eight_gigabytes_are_there() -> None:
    sizes = {round(cards().get(name).memory_bytes / GIB) for name in cards()}
    assert {4, 6, 8} <= sizes


@pytest.mark.parametrize("name", list(cards()))
def test_a_row_is_sound(name: str) -> None:
    card = cards().get(name)
    assert re.fullmatch(r"[a-z][a-z0-9-]*", name)
    assert card.label
    assert GIB < card.memory_bytes < 300 * GIB
    assert card.source.startswith("https://")
    size = re.search(r"-(\d+)gb", name)
    if size:
        assert 0.85 < card.memory_bytes / (int(size[1]) * GIB) < 1.02


def test_a_named_card_keeps_a_reserve_and_a_size_does_not() -> None:
    assert find_card("T4").usable_bytes(GIB) == find_card("t4").memory_bytes - GIB
    assert find_card("21.5GiB").usable_bytes(GIB) == int(21.5 * GIB)


def test_an_unknown_card_is_refused_with_the_nearest() -> None:
    with pytest.raises(Refused, match=r"unknown card .rtx309.: did you mean .*rtx3090"):
        find_card("rtx309")


def test_a_number_alone_is_no_size() -> None:
    with pytest.raises(Refused, match=r"unknown card '3090'.*rtx3090"):
        find_card("3090")


@pytest.mark.parametrize("size", ["0GiB", "-3GiB", "+3GiB"])
def test_no_size_is_refused(size: str) -> None:
    with pytest.raises(Refused, match=f"^--card '{re.escape(size)}' is not a size"):
        find_card(size)


@pytest.mark.parametrize("name", [name for name in cards() if cards().get(name).peaks])
def test_peaks_are_plausible_and_have_a_source(name: str) -> None:
    peaks = cards().get(name).peaks
    assert peaks is not None
    assert peaks.source.startswith("https://")
    assert 5e12 < peaks.fp32 < 150e12
    assert 200e9 < peaks.bandwidth < 10e12
    for rate, least, most in ((peaks.tf32, 1, 8), (peaks.fp16, 1.9, 17), (peaks.bf16, 1.9, 17)):
        assert rate is None or least * peaks.fp32 * 0.99 <= rate <= most * peaks.fp32
    assert peaks.bf16 in (None, peaks.fp16)
    assert (peaks.bf16 is None) == (peaks.tf32 is None)


def test_cards_that_people_train_with_have_peaks() -> None:
    for name in ("t4", "p100-16gb", "v100-16gb", "a100-40gb", "rtx2080ti", "rtx3060-12gb"):
        assert cards().get(name).peaks
    for name in ("rtx3090", "rtx4060", "rtx4090", "l4", "a10g", "h100-80gb"):
        assert cards().get(name).peaks


@pytest.mark.parametrize("name", list(cards()))
def test_power_is_plausible_and_has_a_source(name: str) -> None:
    path = Path(cards_module.__file__).with_name("cards.csv")
    with path.open(newline="", encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["name"] == name)
    watts = cards().get(name).board_power_watts
    assert bool(watts) == row["power_source"].startswith("https://") == bool(row["power_quote"])
    if watts is not None:
        assert 30 < watts <= 1000
        assert f"{watts:.0f}" in row["power_quote"]
        assert cards().get(name).peaks


@pytest.mark.parametrize(
    ("name", "gib", "card"),
    [
        ("NVIDIA GeForce RTX 3060", 11.8, "rtx3060-12gb"),
        ("NVIDIA GeForce RTX 3060 Laptop GPU", 5.8, "rtx3060-laptop-6gb"),
        ("NVIDIA GeForce RTX 4060 Ti", 7.7, None),
        ("Tesla T4", 14.6, "t4"),
        ("Tesla V100-SXM2-16GB", 15.8, "v100-16gb"),
        ("Tesla V100-SXM2-32GB", 31.7, "v100-32gb"),
        ("NVIDIA A100-SXM4-80GB", 79.2, "a100-80gb"),
        ("NVIDIA H100 80GB HBM3", 79.1, "h100-80gb"),
        ("NVIDIA H100 PCIe", 79.1, None),
        ("NVIDIA H200", 139.8, "h200"),
        ("Test Card", 1.5, None),
    ],
)
def test_a_card_is_known_by_what_its_driver_calls_it(
    name: str, gib: float, card: str | None
) -> None:
    found = card_called(name, int(gib * GIB))
    assert (found and found.name) == card

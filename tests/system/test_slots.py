"""Several devices at once, with torch's own answers replaced: there is no card."""

from types import SimpleNamespace

import pytest
import torch

from bench.errors import Refused
from bench.system.devices import cuda
from bench.system.slots import open_slots


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """Three cards alike; `current` of the first is the card that torch would use."""
    cards = [SimpleNamespace(name="Test Card", total_memory=8 << 30) for _ in range(3)]

    def check(name: str, device: torch.device) -> None:
        if device.index >= len(cards):
            raise Refused(f"--device {name}: the cards here are cuda:0 to cuda:{len(cards) - 1}.")
        cards[0].current = device.index

    monkeypatch.setattr(cuda, "check_card", check)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: cards[device.index])
    return cards


def test_all_cards_are_slots_and_the_first_is_for_everything_else(
    cards: list[SimpleNamespace],
) -> None:
    device, slots = open_slots("auto", "all", 1)
    assert str(device.torch) == "cuda:0"
    assert cards[0].current == 0
    assert [facts.device for facts in slots] == ["cuda:0", "cuda:1", "cuda:2"]


def test_cards_are_named_by_number(cards: list[SimpleNamespace]) -> None:
    device, slots = open_slots("cuda", "2,0", 1)
    assert str(device.torch) == "cuda:2"
    assert cards[0].current == 2
    assert [facts.device for facts in slots] == ["cuda:2", "cuda:0"]


def test_a_card_too_many_is_refused(cards: list[SimpleNamespace]) -> None:
    with pytest.raises(Refused, match="the cards here are cuda:0 to cuda:2"):
        open_slots("auto", "0,3", 1)


def test_unlike_cards_are_refused(cards: list[SimpleNamespace]) -> None:
    cards[1].name = "Other Card"
    with pytest.raises(Refused, match=r"cards of one kind.*cuda:0 Test Card, cuda:1 Other Card"):
        open_slots("auto", "all", 1)
    assert len(open_slots("auto", "0,2", 1)[1]) == 2


def test_the_cpu_is_one_slot_unless_it_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = [8]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    assert open_slots("cpu", None, 1)[1] == ()
    assert threads == [8]
    device, slots = open_slots("cpu", None, 3)
    assert threads == [8, 2]
    assert device.facts() == slots[0]
    assert [facts.threads for facts in slots] == [2, 2, 2]
    with pytest.raises(Refused, match="--share-node 3: torch has 2 threads here"):
        open_slots("cpu", None, 3)


def test_cards_are_not_shared(cards: list[SimpleNamespace]) -> None:
    with pytest.raises(Refused, match="--share-node is for the CPU"):
        open_slots("cuda", None, 2)

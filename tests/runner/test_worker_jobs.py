"""What a worker does before a trial."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.errors import Refused
from bench.records.messages import PrepareJob
from bench.runner.worker import jobs
from bench.system.devices import open_device
from models import REGISTRY
from tests.builders import a_device, a_setting


@pytest.mark.parametrize("deterministic", [True, False])
def test_warming_up_leaves_a_process_as_deterministic_as_it_is_to_be(
    deterministic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening a precision sets how cuDNN chooses its algorithms, for whatever comes after it."""
    opened: list[tuple[Any, ...]] = []
    really = jobs.open_precision

    def seen(*how: Any) -> Any:
        opened.append(how)
        return really(*how)

    monkeypatch.setattr(jobs, "open_precision", seen)
    jobs._warm_up(REGISTRY.get("lenet"), open_device("cpu"), a_setting(), deterministic)
    assert opened == [("fp32", "cpu", deterministic)]


@pytest.mark.parametrize(
    ("slots", "ranks", "card", "most"),
    [(0, 1, 80, 40), (0, 1, 400, 80), (4, 1, 400, 20), (0, 4, 400, 20), (2, 1, 60, 30)],
)
def test_images_may_take_half_of_what_is_free_for_a_process(
    slots: int,
    ranks: int,
    card: int,
    most: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the card, and of 160 bytes in the machine, which each process takes for itself."""

    def prepared(request: Any, *_: object) -> None:
        assert request.memory_bytes == most
        raise Refused("it was asked for")

    opened = SimpleNamespace(kind="cpu", available_memory=lambda: card)
    machine = SimpleNamespace(available_memory=lambda: 160)
    monkeypatch.setattr(jobs, "open_slots", lambda *_: (opened, (a_device(),) * slots))
    monkeypatch.setattr(jobs, "check_ranks", lambda *_, **__: None)
    monkeypatch.setattr(jobs, "open_device", {"cpu": machine}.get)
    monkeypatch.setattr(jobs, "prepare_data", prepared)
    what = ("lenet",), "cuda", ("fp32",), "folder", "images", None, None, (32,), str(tmp_path)
    with pytest.raises(Refused, match="it was asked for"):
        jobs.prepare(PrepareJob(*what, nproc_per_node=ranks))

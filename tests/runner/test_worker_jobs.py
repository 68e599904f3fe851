"""What a worker does before a trial."""

from typing import Any

import pytest

from bench.runner.worker import jobs
from bench.system.devices import open_device
from models import REGISTRY
from tests.builders import a_setting


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

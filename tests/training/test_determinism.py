import os
import warnings

import pytest
import torch

from bench.training.determinism import CUBLAS_WORKSPACE, determinism


@pytest.fixture(autouse=True)
def no_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)


def test_nothing_changes_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with determinism(enabled=False) as met:
        assert not torch.are_deterministic_algorithms_enabled()
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    assert met == set()


def test_within_the_block_algorithms_are_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with determinism(enabled=True):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == CUBLAS_WORKSPACE
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark


def test_an_operation_without_one_is_named_and_other_warnings_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *rest: passed.append(str(message)))
    with determinism(enabled=True) as met:
        for _ in range(2):
            # On the CPU, too, this one has none: torch's own alert.
            torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
        warnings.filterwarnings("always", "something else")
        warnings.warn("something else", UserWarning, stacklevel=1)
    assert met == {"put_"}
    assert passed == ["something else"]


def test_what_is_deterministic_is_not_named() -> None:
    with determinism(enabled=True) as met:
        torch.nn.Conv2d(3, 4, 3)(torch.zeros(1, 3, 8, 8)).sum().backward()
    assert met == set()

import pytest
import torch
import torch.utils.backend_registration as backends

from bench.errors import Refused
from bench.prediction import torch_private


def test_where_neither_way_works_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    helper = "_setup_privateuseone_for_python_backend"
    monkeypatch.delattr(backends, helper, raising=False)
    monkeypatch.setattr(torch_private, "_GUARDS", "as_windows_names_it")
    with pytest.raises(Refused) as refused:
        torch_private.do_without_card()
    assert str(refused.value) == (
        f"memory prediction does not work with torch {torch.__version__} on this system; "
        "install torch 2.10 or newer, built with CUDA."
    )

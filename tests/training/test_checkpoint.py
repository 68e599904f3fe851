"""Files of tensors: written whole or not at all, and never a pickle."""

from pathlib import Path

import pytest
import torch

from bench.errors import Unsaved
from bench.training import checkpoint
from bench.training.checkpoint import load, write_state


class Full:
    """A file on a disk that is full, as torch's writer sees it."""

    def write(self, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None: ...


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(tmp_path / "a.pt", {"a": torch.ones(3)})
    before = (tmp_path / "a.pt").read_bytes()
    save = torch.save
    monkeypatch.setattr(checkpoint.torch, "save", lambda values, _file: save(values, Full()))
    with pytest.raises(Unsaved, match=r"^cannot write .*a\.pt: ") as unsaved:
        write_state(tmp_path / "a.pt", {"a": torch.zeros(100_000)})
    assert "\n" not in str(unsaved.value)
    assert (tmp_path / "a.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize("data", [b"", b"junk", b"PK\x03\x04"])
def test_what_cannot_be_read_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(data)
    assert load(tmp_path / "a.pt", "trial") is None


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    torch.save({"version": 1, "trial": "trial", "evil": Path("x")}, tmp_path / "a.pt")
    assert load(tmp_path / "a.pt", "trial") is None


def test_a_checkpoint_of_another_trial_or_version_is_not_read(tmp_path: Path) -> None:
    write_state(tmp_path / "a.pt", {"version": 1, "trial": "trial"})
    assert load(tmp_path / "a.pt", "trial") is not None
    assert load(tmp_path / "a.pt", "another") is None
    write_state(tmp_path / "a.pt", {"version": 99, "trial": "trial"})
    assert load(tmp_path / "a.pt", "trial") is None

"""Files of tensors: written whole or not at all, and never a pickle."""

from pathlib import Path

import pytest
import torch

from bench.errors import Unsaved
from bench.recipes import RECIPES
from bench.training import checkpoint
from bench.training.checkpoint import Training, load, write_state
from bench.training.optimizers import open_schedule, optimizer_of
from bench.training.precision import Precision
from models.building.network import Network
from tests.builders import a_setting


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


def a_training(seed: int) -> Training:
    torch.manual_seed(seed)
    network = Network(torch.nn.Linear(3, 2), {})
    optimizer = optimizer_of(a_setting(optimizer="sgd"), network, 4)
    schedule = RECIPES["onecycle"].schedule
    assert schedule is not None
    rates = open_schedule(optimizer, schedule, 10)
    return Training(
        network, optimizer, Precision("fp32", None, "cpu", None), torch.Generator(), rates
    )


def updates(training: Training, count: int) -> list[float]:
    """The rate of each update, on ones."""
    seen = []
    assert training.schedule is not None
    for _ in range(count):
        seen.append(training.optimizer.param_groups[0]["lr"])
        training.network(torch.ones(4, 3)).square().sum().backward()
        training.optimizer.step()
        training.schedule.step()
        training.optimizer.zero_grad()
    return seen


def test_a_schedule_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    whole, first, second = a_training(0), a_training(0), a_training(1)
    rates = updates(whole, 10)
    before = updates(first, 4)
    state = {"version": 1, "trial": "t", "training": first.state()}
    write_state(tmp_path / "a.pt", state)
    values = load(tmp_path / "a.pt", "t")
    assert values is not None
    second.restore(values["training"])
    assert before + updates(second, 6) == rates
    weights = (list(training.network.parameters()) for training in (whole, second))
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))

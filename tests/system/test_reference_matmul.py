import pytest
import torch

from bench.system import reference_matmul
from bench.system.devices import open_device
from bench.system.devices.cpu import CpuDevice
from bench.system.reference_matmul import LEAST, MOST, UNTIMED, calibrate, machine_peaks


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_product_is_timed_so_often(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CpuDevice, "matmul_size", 64)
    found = calibrate(open_device("cpu"), "a trial", 3, precision)
    assert (found.trial, found.epochs, found.precision, found.size) == ("a trial", 3, precision, 64)
    assert len(found.seconds) == MOST
    assert all(seconds > 0 for seconds in found.seconds)


def test_the_random_numbers_of_training_are_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CpuDevice, "matmul_size", 8)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    calibrate(open_device("cpu"), "a trial", 0, "fp32")
    assert torch.equal(torch.rand(3), expected)


def test_it_computes_in_the_precision_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    product = torch.mm

    def mm(a: torch.Tensor, b: torch.Tensor, **options: torch.Tensor) -> torch.Tensor:
        seen.append((a.dtype, b.dtype))
        return product(a, b, **options)

    monkeypatch.setattr(CpuDevice, "matmul_size", 8)
    monkeypatch.setattr(torch, "mm", mm)
    calibrate(open_device("cpu"), "a trial", 0, "bf16", torch.bfloat16)
    assert set(seen) == {(torch.bfloat16, torch.bfloat16)}


def test_times_are_between_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product that takes long is timed the least number of times; the first ones warm up."""

    class Scripted(CpuDevice):
        def __init__(self) -> None:
            super().__init__()
            self.now = 0.0

        def mark(self) -> float:
            self.now += 0.25
            return self.now

    monkeypatch.setattr(CpuDevice, "matmul_size", 8)
    found = calibrate(Scripted(), "a trial", 0, "fp32")
    assert found.seconds == (0.25,) * LEAST


def test_what_was_measured_just_now_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """But the product runs, so that what libraries keep in memory for it is the same."""
    monkeypatch.setattr(CpuDevice, "matmul_size", 8)
    last = calibrate(open_device("cpu"), "a trial", 3, "fp32")
    seen, product = [], torch.mm
    monkeypatch.setattr(torch, "mm", lambda *a, **k: (seen.append(1), product(*a, **k)))
    shared = calibrate(open_device("cpu"), "the next", 0, "fp32", known=last)
    assert (shared.trial, shared.epochs, shared.shared) == ("the next", 0, True)
    assert shared.seconds == last.seconds
    assert not last.shared
    assert len(seen) == UNTIMED


def test_the_copy_reads_and_writes_all_of_a_large_array(monkeypatch: pytest.MonkeyPatch) -> None:
    class Scripted(CpuDevice):
        now = 0.0

        def mark(self) -> float:
            self.now += 0.25
            return self.now

    monkeypatch.setattr(CpuDevice, "matmul_size", 8)
    monkeypatch.setattr(reference_matmul, "COPIED_BYTES", 4096)
    flops, bandwidth = machine_peaks(Scripted())
    assert flops == pytest.approx(2 * 8**3 / 0.25)
    assert bandwidth == pytest.approx(2 * 4096 / 0.25)

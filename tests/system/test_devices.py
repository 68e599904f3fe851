import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.errors import Refused
from bench.system.devices import cuda, is_ambiguous, is_out_of_memory, open_device
from bench.system.devices.base import DEVICES
from bench.system.devices.cpu import CpuDevice
from bench.system.devices.cuda import CudaDevice

linux = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA holds only on Linux")


def in_a_child(code: str) -> str:
    """What Python code prints; a limit on memory stays in its process."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("whatever it says"),
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 5.10 GB)"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 1000 bytes. Error code 12 (Cannot allocate memory)"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("std::bad_alloc"),
        RuntimeError("could not create a memory object"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED"),
        RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
    ],
    ids=lambda error: str(error)[:40],
)
def test_out_of_memory(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        RuntimeError("could not create a primitive"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"),
        ValueError("out of memory"),
        KeyError("out of memory"),
    ],
    ids=lambda error: str(error)[:40],
)
def test_anything_else(error: Exception) -> None:
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    ("message", "ambiguous"),
    [
        ("could not create a primitive", True),
        ("could not execute a primitive", True),
        ("could not create a primitive descriptor for a convolution forward", True),
        ("the probe's process ended with SIGSEGV.", True),
        ("the probe's process ended with SIGKILL.", False),
        ("rank 0 of 2 was killed by SIGSEGV.", True),
        ("rank 0 of 2 was killed (SIGKILL): memory ran out, most likely.", False),
        ("could not create a memory object", False),
        ("can't allocate memory", False),
    ],
)
def test_ambiguous(message: str, ambiguous: bool) -> None:
    assert is_ambiguous(message) is ambiguous


class TestOpenDevice:
    def test_cpu(self) -> None:
        device = open_device("cpu")
        assert isinstance(device, CpuDevice)
        assert device.facts().kind == "cpu"
        assert device.facts().memory_bytes >= device.available_memory() > 2**20

    def test_auto_without_a_card(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        assert open_device("auto").kind == "cpu"

    @pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
    def test_no_card(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.version, "cuda", "12.8")
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        with pytest.raises(Refused) as refused:
            open_device(name)
        sentence = "no CUDA card is here; run this where there is one, or use --device cpu."
        assert str(refused.value) == f"--device {name}: {sentence}"

    def test_a_card_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.version, "cuda", "12.8")
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        with pytest.raises(Refused, match=r"--device cuda:2: the cards here are cuda:0 to cuda:1"):
            open_device("cuda:2")

    def test_a_limit_of_mps_is_lifted_and_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fractions: list[float] = []
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
        monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 8 * 2**30)
        monkeypatch.setattr(torch.mps, "set_per_process_memory_fraction", fractions.append)
        device = open_device("mps")
        with device.kept_limit():
            assert device.limit_memory(2**30) == 2**30
            with device.unlimited():
                assert fractions == [0.125, 0.0]
            assert fractions[-1] == 0.125
        assert fractions == [0.125, 0.0, 0.125, 1.7]

    def test_no_mps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        with pytest.raises(Refused, match="there is no MPS device here; use --device cpu"):
            open_device("mps")

    def test_a_new_kind_is_one_entry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert list(DEVICES) == ["cpu", "cuda", "mps"]
        monkeypatch.setitem(DEVICES._entries, "xpu", lambda name: CpuDevice())
        assert open_device("xpu:1").kind == "cpu"

    def test_an_unknown_kind(self) -> None:
        with pytest.raises(Refused, match=r"unknown device 'cdua': did you mean cuda"):
            open_device("cdua:0")


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What a process says that measures its memory, and then limits it."""
    return in_a_child("""
        import resource
        import torch
        from bench.system.devices import is_out_of_memory
        from bench.system.devices.cpu import CpuDevice

        def try_one(mib):
            try:
                torch.ones(mib * 2**18)
            except RuntimeError as error:
                return "out of memory" if is_out_of_memory(error) else str(error)
            return "fits"

        device = CpuDevice()
        torch.ones(2**20)
        print(device.limit_memory(None), resource.getrlimit(resource.RLIMIT_DATA)[0])
        before = device.peak_memory()
        torch.ones(100 * 2**18)
        device.release()
        print((device.peak_memory() - before) // 2**20)

        limit = device.limit_memory(64 * 2**20)
        print(limit, try_one(32), try_one(128), try_one(32), sep=", ")
        with device.unlimited():
            print(try_one(128))
        print(try_one(128))
    """).splitlines()


class TestCpuMemory:
    def test_no_card_no_bus_no_retries(self) -> None:
        device = CpuDevice()
        assert (device.pci_bus_id(), device.reserved_memory()) == (None, None)
        assert device.allocation_retries() == 0

    @linux
    def test_no_budget_is_no_limit_and_peak_memory_is_what_was_added(self, told: list[str]) -> None:
        limit, added, *_ = told
        assert limit == "None -1"
        assert 30 <= int(added) <= 130

    @linux
    def test_a_limit_is_real_and_can_be_lifted(self, told: list[str]) -> None:
        assert told[2:] == ["67108864, fits, out of memory, fits", "fits", "out of memory"]

    @linux
    def test_a_hard_limit_that_is_there_already_stays(self) -> None:
        said = in_a_child("""
            import resource
            from bench.system.devices.cpu import CpuDevice

            most = 2**36
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))
            for budget in (2**26, 2**40):
                CpuDevice().limit_memory(budget)
                soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
                print(soft < most, hard == most)
        """)
        assert said.splitlines() == ["True True", "False True"]


class TestCudaMemory:
    """Torch's own answers replaced: there is no card."""

    @pytest.fixture
    def card(self, monkeypatch: pytest.MonkeyPatch) -> CudaDevice:
        monkeypatch.setattr(cuda, "check_card", lambda name, device: None)
        facts = SimpleNamespace(total_memory=1000)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
        return CudaDevice("cuda:0")

    @pytest.mark.parametrize(("reserved", "spilled"), [(900, 0), (1000, 0), (1300, 300)])
    def test_what_is_reserved_beyond_the_card_has_spilled(
        self, reserved: int, spilled: int, card: CudaDevice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: reserved)
        assert card.spilled_bytes() == spilled

    @pytest.mark.parametrize(("budget", "limit"), [(None, 800), (500, 500), (900, 800)])
    def test_what_the_process_holds_already_is_part_of_the_limit(
        self,
        budget: int | None,
        limit: int,
        card: CudaDevice,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        fractions: list[float] = []
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (600, 1000))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 200)
        monkeypatch.setattr(
            torch.cuda,
            "set_per_process_memory_fraction",
            lambda fraction, device: fractions.append(fraction),
        )
        assert card.limit_memory(budget) == limit
        assert fractions == ([] if budget is None else [budget / 1000])

    def test_the_fraction_is_given_back(
        self, card: CudaDevice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fractions = [0.5]
        monkeypatch.setattr(
            torch.cuda, "get_per_process_memory_fraction", lambda device: fractions[-1]
        )
        monkeypatch.setattr(
            torch.cuda,
            "set_per_process_memory_fraction",
            lambda fraction, device: fractions.append(fraction),
        )
        with card.kept_limit():
            fractions.append(0.1)
        assert fractions[-1] == 0.5
        with card.unlimited():
            assert fractions[-1] == 1.0
        assert fractions[-1] == 0.5

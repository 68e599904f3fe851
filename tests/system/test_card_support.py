"""Cards that torch cannot use: torch's own answers are replaced, because there is no card."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.errors import Refused
from bench.system import gpu_telemetry
from bench.system.devices import card_support, open_device
from bench.system.devices.card_support import runs_on

BUILDS = "https://pytorch.org/get-started/previous-versions"


def fails(message: str) -> Callable[..., Any]:
    def call(*_args: Any, **_options: Any) -> Any:
        raise RuntimeError(message)

    return call


@pytest.fixture
def torch_with_a_card(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A card that works, until a test breaks it."""
    answers: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_arch_list": lambda: ["sm_75", "sm_80", "compute_90"],
        "get_device_capability": lambda device: (8, 6),
        "get_device_name": lambda device: "RTX 3060",
        "set_device": lambda device: None,
        "synchronize": lambda device: None,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch, "__version__", "2.9.1")
    monkeypatch.setattr(torch, "zeros", lambda *shape, device: None)
    monkeypatch.setattr(card_support, "driver_version", lambda: "470.82")
    return monkeypatch


def refusal(name: str = "auto") -> str:
    with pytest.raises(Refused) as refused:
        open_device(name)
    return str(refused.value)


@pytest.mark.parametrize(
    ("code", "card", "runs"),
    [
        ("sm_80", (8, 0), True),
        ("sm_80", (8, 6), True),
        ("sm_80", (8, 9), True),
        ("sm_86", (8, 0), False),
        ("sm_80", (9, 0), False),
        ("sm_80", (7, 5), False),
        ("sm_90", (12, 0), False),
        ("compute_90", (12, 0), True),
        ("compute_90", (9, 0), True),
        ("compute_90", (8, 9), False),
        ("sm_90a", (9, 0), True),
        ("compute_90a", (10, 0), False),
        ("sm_100f", (10, 3), True),
        ("compute_100f", (12, 0), False),
        ("sm_120", (12, 1), True),
        ("gfx90a", (9, 0), False),
    ],
)
def test_what_code_runs_on_a_card(code: str, card: tuple[int, int], runs: bool) -> None:
    assert runs_on(code, card) is runs


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_a_card_that_works(name: str, torch_with_a_card: pytest.MonkeyPatch) -> None:
    assert open_device(name).torch == torch.device("cuda", 0)


def test_a_card_without_code(torch_with_a_card: pytest.MonkeyPatch) -> None:
    torch_with_a_card.setattr(torch.cuda, "get_device_capability", lambda device: (6, 0))
    torch_with_a_card.setattr(torch.cuda, "get_device_name", lambda device: "Tesla P100")
    assert refusal("cuda:0") == (
        "--device cuda:0: torch 2.9.1 has no code for this Tesla P100 (compute capability 6.0), "
        f"only for sm_75, sm_80, compute_90; install another build ({BUILDS}), or use --device cpu."
    )


def test_ptx_serves_a_card_that_is_newer(torch_with_a_card: pytest.MonkeyPatch) -> None:
    torch_with_a_card.setattr(torch.cuda, "get_device_capability", lambda device: (12, 0))
    assert open_device("cuda").kind == "cuda"


def test_amds_architectures_are_not_compared(torch_with_a_card: pytest.MonkeyPatch) -> None:
    torch_with_a_card.setattr(torch.version, "cuda", None)
    torch_with_a_card.setattr(torch.version, "hip", "6.4")
    torch_with_a_card.setattr(torch.cuda, "get_arch_list", lambda: ["gfx90a"])
    assert open_device("cuda").kind == "cuda"


def test_an_old_driver(torch_with_a_card: pytest.MonkeyPatch) -> None:
    """NVML counts the card, CUDA cannot start: `auto` does not train on the CPU instead."""
    message = "The NVIDIA driver on your system is too old (found version 11040). Please update"
    torch_with_a_card.setattr(torch.cuda, "is_available", lambda: False)
    torch_with_a_card.setattr(torch.cuda, "init", fails(message))
    assert refusal() == (
        "--device cuda: driver 470.82 is too old for torch 2.9.1; update the driver, install a "
        f"torch for an older CUDA ({BUILDS}), or use --device cpu."
    )


def test_a_driver_that_does_not_start(torch_with_a_card: pytest.MonkeyPatch) -> None:
    torch_with_a_card.setattr(torch.cuda, "is_available", lambda: False)
    torch_with_a_card.setattr(torch.cuda, "init", fails("Error 802: system not yet initialized.\n"))
    assert refusal("cuda") == (
        "--device cuda: CUDA does not start (Error 802: system not yet initialized); check the "
        "driver with nvidia-smi, or use --device cpu."
    )


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            "CUDA error: CUDA-capable device(s) is/are busy or unavailable\nCUDA kernel errors",
            "another process has this card to itself; wait for it (nvidia-smi shows it)",
        ),
        (
            "CUDA error: out of memory\nCUDA kernel errors might",
            "its memory is full; end what uses it (nvidia-smi shows it)",
        ),
        (
            "CUDA error: no kernel image is available for execution on the device\nCUDA kernel",
            "torch 2.9.1 has no code for this RTX 3060 (compute capability 8.6), only for sm_75, "
            f"sm_80, compute_90; install another build ({BUILDS})",
        ),
        (
            "CUDA error: uncorrectable ECC error encountered\nCUDA kernel",
            "the card does not compute (CUDA error: uncorrectable ECC error encountered); "
            "try another",
        ),
    ],
    ids=["exclusive", "full", "no kernel", "broken"],
)
def test_the_first_use_fails(
    message: str, sentence: str, torch_with_a_card: pytest.MonkeyPatch
) -> None:
    torch_with_a_card.setattr(torch, "zeros", fails(message))
    assert refusal("cuda:0") == f"--device cuda:0: {sentence}, or use --device cpu."


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_build_without_cuda(name: str, torch_with_a_card: pytest.MonkeyPatch) -> None:
    torch_with_a_card.setattr(torch.version, "cuda", None)
    assert refusal(name) == (
        "--device cuda: torch 2.9.1 was built without CUDA; install another build "
        f"({BUILDS}), or use --device cpu."
    )


def test_a_build_without_cuda_is_enough_where_no_card_is(
    torch_with_a_card: pytest.MonkeyPatch,
) -> None:
    torch_with_a_card.setattr(torch.version, "cuda", None)
    torch_with_a_card.setattr(card_support, "driver_version", lambda: None)
    assert open_device("auto").kind == "cpu"


class TestPciBusId:
    @pytest.fixture
    def card(self, torch_with_a_card: pytest.MonkeyPatch) -> Callable[..., str | None]:
        def bus_id(**properties: Any) -> str | None:
            facts = SimpleNamespace(**properties)
            torch_with_a_card.setattr(torch.cuda, "get_device_properties", lambda device: facts)
            return open_device("cuda").pci_bus_id()

        return bus_id

    def test_from_cuda(self, card: Callable[..., str | None]) -> None:
        assert card(pci_domain_id=0, pci_bus_id=0x81, pci_device_id=0) == "00000000:81:00.0"

    def test_from_nvml_where_torch_does_not_say(
        self, card: Callable[..., str | None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nvml = SimpleNamespace(
            nvmlInit=lambda: None,
            nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
            nvmlDeviceGetPciInfo=lambda handle: SimpleNamespace(
                busId={b"GPU-5fd4": "00000000:81:00.0"}[handle]
            ),
        )
        monkeypatch.setattr(gpu_telemetry, "_ask_nvml", lambda question: question(nvml))
        assert card(uuid="5fd4") == "00000000:81:00.0"

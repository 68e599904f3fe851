"""Whether this torch can compute on a CUDA card, asked before anything starts."""

import re

import torch

from bench.errors import Refused, first_line
from bench.system.devices.memory_errors import is_out_of_memory
from bench.system.gpu_telemetry import driver_version

_ARCHITECTURE = re.compile(r"(?P<kind>sm|compute)_(?P<major>\d+)(?P<minor>\d)(?P<only>a|f)?")

_BUILDS = "https://pytorch.org/get-started/previous-versions"
_OTHER_BUILD = f"install another build ({_BUILDS})"


def has_card() -> bool:
    """Whether a card is here, even if this torch cannot use it."""
    if _built_for_cards():
        return torch.cuda.device_count() > 0
    return driver_version() is not None


def check_card(name: str, device: torch.device) -> None:
    """Make a card the current device and compute on it for the first time; `name` is the user's.

    Raises:
        Refused: there is no such card, or this torch cannot compute on it.
    """
    problem = _absence(device) or _driver_problem() or _code_problem(device) or _first_use(device)
    if problem:
        raise Refused(f"--device {name}: {problem}, or use --device cpu.")


def _absence(device: torch.device) -> str | None:
    if not _built_for_cards():
        return f"torch {torch.__version__} was built without CUDA; {_OTHER_BUILD}"
    count = torch.cuda.device_count()
    if count == 0:
        return "no CUDA card is here; run this where there is one"
    if device.index >= count:
        return f"the cards here are cuda:0 to cuda:{count - 1}; use one of them"
    return None


def _driver_problem() -> str | None:
    if torch.cuda.is_available():
        return None
    reason = "torch.cuda.is_available() is false"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except Exception as error:  # its own words are the best there are
        reason = first_line(error)
    if "too old" in reason:
        return (
            f"driver {driver_version()} is too old for torch {torch.__version__}; update the "
            f"driver, install a torch for an older CUDA ({_BUILDS})"
        )
    return f"CUDA does not start ({reason.rstrip('.')}); check the driver with nvidia-smi"


def _code_problem(device: torch.device) -> str | None:
    """A build has machine code for some architectures only."""
    built_for = torch.cuda.get_arch_list()
    card = torch.cuda.get_device_capability(device)
    if torch.version.cuda is None or not built_for:
        return None
    return None if any(runs_on(code, card) for code in built_for) else _no_code(device)


def runs_on(code: str, card: tuple[int, int]) -> bool:
    """Whether code for an architecture runs on a card of that compute capability.

    Machine code (`sm_80`) runs on later cards of its generation, PTX (`compute_80`) on all later
    ones; `sm_90a` and `compute_90a` on that architecture only, with an `f` within the generation
    (https://docs.nvidia.com/cuda/cuda-c-programming-guide/#compute-capabilities).
    """
    found = _ARCHITECTURE.fullmatch(code)
    if found is None:
        return False
    least = int(found["major"]), int(found["minor"])
    if found["only"] == "a":
        return card == least
    same_generation = card[0] == least[0]
    ptx = found["kind"] == "compute" and found["only"] is None
    return card >= least and (same_generation or ptx)


def _no_code(device: torch.device) -> str:
    major, minor = torch.cuda.get_device_capability(device)
    card = f"{torch.cuda.get_device_name(device)} (compute capability {major}.{minor})"
    return (
        f"torch {torch.__version__} has no code for this {card}, only for "
        f"{', '.join(torch.cuda.get_arch_list())}; {_OTHER_BUILD}"
    )


def _first_use(device: torch.device) -> str | None:
    try:
        torch.cuda.set_device(device)
        torch.zeros(1, device=device)
        torch.cuda.synchronize(device)
    except RuntimeError as error:
        reason = first_line(error)
        if "no kernel image" in reason:
            return _no_code(device)
        if "busy or unavailable" in reason:
            return "another process has this card to itself; wait for it (nvidia-smi shows it)"
        if is_out_of_memory(error):
            return "its memory is full; end what uses it (nvidia-smi shows it)"
        return f"the card does not compute ({reason.rstrip('.')}); try another"
    return None


def _built_for_cards() -> bool:
    return torch.version.cuda is not None or torch.version.hip is not None

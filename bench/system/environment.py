"""What is needed to say "under the same conditions": versions and hardware, nothing personal."""

import contextlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

from bench.records.records import DeviceFacts
from bench.system.devices import container_limit, cpu_name
from bench.system.gpu_telemetry import power_limit_watts

_PACKAGES = ("archbench", "torch", "torchvision", "timm", "numpy", "pandas", "pillow")


def environment(device: DeviceFacts, pci_bus_id: str | None = None) -> dict[str, Any]:
    """Versions, processor, memory, card and the harness's commit; no names of users or hosts.

    What a container may use is None outside of one, or where it has no limit.
    """
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": versions(),
        "device": device.name,
        "device_memory_bytes": device.memory_bytes,
        "cpu_cores": psutil.cpu_count(logical=False),
        "cpu_threads": psutil.cpu_count(),
        "cpu_affinity": _affinity(),
        "torch_threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average_1min": round(psutil.getloadavg()[0], 2),
        "cuda": torch.version.cuda,
        "cudnn": _cudnn(),
        "driver": _driver() if device.kind == "cuda" else None,
        "power_limit_watts": power_limit_watts(pci_bus_id),
        "cpu": cpu_name(),
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "container_cpus": _container_cpus(),
        "container_memory_bytes": _container_memory(),
        "threads_asked": os.environ.get("OMP_NUM_THREADS"),
        "commit": _commit(),
    }


def versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on."""
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _cudnn() -> int | None:
    if not torch.cuda.is_available():
        return None
    number: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return number


def _affinity() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _first_line(path: str) -> str | None:
    with contextlib.suppress(OSError, IndexError):
        return Path(path).read_text().split("\n")[0].strip() or None
    return None


def _container_cpus() -> float | None:
    """The processors' worth of time that a control group (version 2, then 1) may use."""
    quota, _, period = (_first_line("/sys/fs/cgroup/cpu.max") or "").partition(" ")
    if not period:
        quota = _first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") or ""
        period = _first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us") or ""
    with contextlib.suppress(ValueError, ZeroDivisionError):
        return int(quota) / int(period) if int(quota) > 0 else None
    return None


def _container_memory() -> int | None:
    limit = container_limit()
    return limit if limit < psutil.virtual_memory().total else None


def _driver() -> str | None:
    import pynvml

    try:
        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return None


def _commit() -> str | None:
    """The commit of the harness, with `+changes` if files differ from it."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        describe = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+changes"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return describe.stdout.strip()

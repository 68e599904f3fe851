"""The conditions of a measurement: versions and hardware, nothing personal."""

import contextlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from bench.records.records import DeviceFacts
from bench.system.devices import torch_facts
from bench.system.gpu_telemetry import driver_version, power_limit_watts
from bench.system.host import container_cpus, container_memory_bytes, cpu_name, first_line_of

_PACKAGES = ("archbench", "torch", "torchvision", "timm", "numpy", "pandas", "pillow")


def environment(device: DeviceFacts, pci_bus_id: str | None = None) -> dict[str, Any]:
    """Versions, processor, memory, card, and commits with their dates: the harness's, and that of
    the repository that it was started in, if it is another. No names of users or hosts.

    A container's limits are None outside a container, or where it has none.
    """
    root, here = Path(__file__).parents[2], Path.cwd()
    # Installed packages may lie in a folder of somebody else's repository.
    harness = root if (root / ".git").exists() else None
    project = None if here.is_relative_to(root) else here
    facts, limit = torch_facts(), container_memory_bytes()
    memory = psutil.virtual_memory().total
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": versions(),
        "device": device.name,
        "device_memory_bytes": device.memory_bytes,
        "cpu_cores": psutil.cpu_count(logical=False),
        "cpu_threads": psutil.cpu_count(),
        "cpu_affinity": _affinity(),
        "torch_threads": facts["threads"],
        "memory_bytes": memory,
        "load_average_1min": round(psutil.getloadavg()[0], 2),
        "cuda": facts["cuda"],
        "cudnn": facts["cudnn"],
        "driver": driver_version() if device.kind == "cuda" else None,
        "power_limit_watts": power_limit_watts(pci_bus_id),
        "cpu": cpu_name(),
        "governor": first_line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "container_cpus": container_cpus(),
        "container_memory_bytes": limit if limit < memory else None,
        "threads_asked": os.environ.get("OMP_NUM_THREADS"),
        "commit": harness and _commit(harness),
        "committed_at": harness and _committed_at(harness),
        "project_commit": project and _commit(project),
        "project_committed_at": project and _committed_at(project),
    }


def versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on."""
    installed = {}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            installed[package] = version(package)
    return installed


def interface_of(address: str) -> str | None:
    """The network interface of this machine that has an address; None if none has."""
    interfaces = psutil.net_if_addrs().items()
    return next((name for name, has in interfaces if address in [a.address for a in has]), None)


def _affinity() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _commit(folder: Path) -> str | None:
    """The commit that a folder of a repository is at, with `+changes` if files differ from it."""
    return _git(folder, "describe", "--always", "--abbrev=12", "--dirty=+changes")


def _committed_at(folder: Path) -> str | None:
    """The date of that commit (ISO 8601)."""
    return _git(folder, "log", "-1", "--format=%cI")


def _git(folder: Path, *words: str) -> str | None:
    """What git says of a folder; None if it is in no repository, or there is no git."""
    try:
        said = subprocess.run(
            ["git", "-C", str(folder), *words],  # noqa: S607
            capture_output=True,
            encoding="utf-8",  # what a console has is another on Windows, and lacks some bytes
            errors="replace",
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() or None

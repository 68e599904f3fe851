"""The machine that this process runs on: its processor, and what a container may use of it."""

import contextlib
import os
import platform
import subprocess
from pathlib import Path


def cpu_name() -> str:
    """The processor's name as its maker writes it, or on systems that do not say, its kind."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        # Python calls every processor of Apple's "arm".
        words = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(words, capture_output=True, text=True, timeout=5, check=True)
            if name := said.stdout.strip():
                return str(name)
    return platform.processor() or platform.machine() or os.name


def container_memory_bytes() -> int:
    """The memory limit of the container's processes together; huge without a limit."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            return int(Path(path).read_text())
    return 2**63


def container_cpus() -> float | None:
    """Processors' worth of time that a control group (version 2, then 1) may use; None without a
    limit."""
    quota, _, period = (first_line_of("/sys/fs/cgroup/cpu.max") or "").partition(" ")
    if not period:
        quota = first_line_of("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") or ""
        period = first_line_of("/sys/fs/cgroup/cpu/cpu.cfs_period_us") or ""
    with contextlib.suppress(ValueError, ZeroDivisionError):
        return int(quota) / int(period) if int(quota) > 0 else None
    return None


def first_line_of(path: str) -> str | None:
    """The first line of a file of the system; None if it cannot be read or is empty."""
    with contextlib.suppress(OSError, IndexError):
        return Path(path).read_text().split("\n")[0].strip() or None
    return None

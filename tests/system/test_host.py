import platform
import subprocess
import sys
from pathlib import Path

import pytest

from bench.system.host import container_cpus, container_memory_bytes, cpu_name, first_line_of


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"/sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"/sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            {
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2.0,
        ),
        (
            {
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({}, None),
    ],
)
def test_what_a_container_may_use(
    files: dict[str, str], cpus: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> str:
        if str(path) not in files:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr(Path, "read_text", read)
    assert container_cpus() == cpus


def test_the_governor_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path: "performance\n")
    assert first_line_of("/sys/anything") == "performance"


def test_a_container_without_a_limit_on_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path: "max\n")
    assert container_memory_bytes() == 2**63


def test_a_containers_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path: "1073741824\n")
    assert container_memory_bytes() == 2**30


def test_the_processors_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path: "a: b\nmodel name\t: Fast CPU 9\n")
    assert cpu_name() == "Fast CPU 9"


@pytest.mark.parametrize("answers", [True, False])
def test_the_processors_name_on_a_mac(answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> str:
        raise FileNotFoundError(path)

    def run(words: list[str], **how: object) -> "subprocess.CompletedProcess[str]":
        if not answers:
            raise FileNotFoundError(words[0])
        return subprocess.CompletedProcess(words, 0, "Apple M2 Pro\n")

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert cpu_name() == ("Apple M2 Pro" if answers else "arm")


@pytest.mark.parametrize("name", ["host", "malloc", "cpu_load", "gpu_telemetry"])
def test_what_a_parent_process_may_import_needs_no_torch(name: str) -> None:
    code = f"import sys, bench.system.{name}; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0

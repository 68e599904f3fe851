import json
import platform
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.records.records import DeviceFacts
from bench.system import environment as module
from bench.system.environment import environment

CPU = DeviceFacts("cpu", "cpu", "Some CPU", 2**33, 2)


def test_says_what_a_measurement_depends_on() -> None:
    found = environment(CPU)
    assert found["python"] == platform.python_version()
    assert found["packages"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert (found["device"], found["device_memory_bytes"]) == ("Some CPU", 2**33)
    assert found["cpu_threads"] >= found["cpu_affinity"] >= 1
    assert found["torch_threads"] == torch.get_num_threads()
    assert found["driver"] is None
    assert found["power_limit_watts"] is None
    assert found["cpu"]


def test_no_names_of_users_hosts_or_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("USER", "LOGNAME", "HOME", "HOSTNAME"):
        monkeypatch.setenv(variable, "secret")
    monkeypatch.setattr(platform, "node", lambda: "secret")
    monkeypatch.setattr(socket, "gethostname", lambda: "secret")
    text = json.dumps(environment(CPU))
    for name in ("secret", platform.uname().node, str(Path.cwd()), str(Path(__file__).parents[2])):
        assert name not in text


def test_the_commit_says_whether_files_were_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def answer(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "0123456789ab+changes\n", "")

    monkeypatch.setattr(subprocess, "run", answer)
    monkeypatch.setattr(Path, "exists", lambda path: path.name == ".git")
    assert module._commit() == "0123456789ab+changes"
    assert "--dirty=+changes" in asked[0]


@pytest.mark.parametrize(
    "error", [FileNotFoundError("git"), subprocess.CalledProcessError(128, "git")]
)
def test_no_git_no_commit(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    assert module._commit() is None

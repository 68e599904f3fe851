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


def git(folder: Path, *words: str) -> str:
    """What git says in a folder, whoever its user is."""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_of_the_project_and_whether_its_files_were_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert environment(CPU)["project_commit"] is None
    (tmp_path / "net.py").write_text("first")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first", "--date", "2026-01-02T03:04:05+00:00")
    found = environment(CPU)
    assert found["project_commit"] == git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert found["project_committed_at"] == git(tmp_path, "log", "-1", "--format=%cI")
    (tmp_path / "net.py").write_text("second")
    assert environment(CPU)["project_commit"] == f"{found['project_commit']}+changes"


def test_a_tag_with_any_letters_names_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("first")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    git(tmp_path, "tag", "-a", "Á-1", "-m", "tagged")
    # As on Windows: without an encoding, that of the console is taken.
    monkeypatch.setattr("subprocess._text_encoding", lambda: "cp1252")
    assert environment(CPU)["project_commit"] == "Á-1"


def test_the_harness_is_no_project_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(module.__file__).parents[2]
    monkeypatch.chdir(root)
    found = environment(CPU)
    assert found["project_commit"] is found["project_committed_at"] is None
    if (root / ".git").exists():
        assert found["commit"]
        assert found["committed_at"] == git(root, "log", "-1", "--format=%cI")


@pytest.mark.parametrize(
    "error", [FileNotFoundError("git"), subprocess.CalledProcessError(128, "git")]
)
def test_no_git_no_commit(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    assert module._commit(Path()) is None

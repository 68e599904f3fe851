"""What leaves a machine names none of its folders, and not the machine."""

import platform
from pathlib import Path

import pytest

from bench.records.records import RunStarted, TrialEnded
from bench.records.redaction import public, public_options, public_text, without_paths
from tests.builders import a_failed_trial, a_trial, run_start, some_records


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open '/home/me/a.png'", "cannot open 'a.png'"),
        ("C:\\Users\\me\\x.png failed", "x.png failed"),
        ("\\\\server\\share\\x.png", "x.png"),
        ("see file:///home/me/x.npy.", "see x.npy."),
        ("~/data/cifar and /data", "cifar and data"),
        ("/home/me/net.py:Net, line 3", "net.py:Net, line 3"),
        ("64 images/s, batch 32/64, 1 / 2", "64 images/s, batch 32/64, 1 / 2"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("cannot mount nas:/export/jo/a.png", "cannot mount nas:a.png"),
    ],
)
def test_paths_lose_their_folders(text: str, shown: str) -> None:
    assert without_paths(text) == shown


def test_a_home_with_spaces_is_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/Jo Doe"))
    assert "Doe" not in without_paths("no space left in /home/Jo Doe/results/x")


def test_a_user_without_a_home_is_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert without_paths("cannot open '/home/me/a.png'") == "cannot open 'a.png'"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open '/home/me/secret-client/a.png'", "cannot open 'a.png'"),
        ("/home/me/acme/x.png failed, as in /home/me", "x.png failed, as in HOME"),
        ("/home/melissa/thesis/a.png", "a.png"),
        ("no file '/mnt/shared drive/client/a.png' there", "no file 'a.png' there"),
        (r"no file 'D:\shared drive\client\a.png' there", "no file 'a.png' there"),
        (r"'C:\\Users\\me\\OneDrive - ETH\\thesis\\a.png'", "'a.png'"),
        (r"'\\server\my share\client\x.png'", "'x.png'"),
        ("'~/My Drive/client/x'", "'x'"),
        ("'file:///home/me/My Drive/client/x.npy'", "'x.npy'"),
        ("it's 1/2 of 'x/y' and 'a'", "it's 1/2 of 'x/y' and 'a'"),
    ],
)
def test_nothing_is_left_of_what_lies_in_a_home(
    text: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert without_paths(text) == shown


def test_options_and_reasons_name_neither_folder_nor_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "jos-laptop.example.org")
    records = run_start(
        models=("/home/jo/net.py:Net", "resnet18"),
        data_dir=Path("/home/jo/images"),
        output=Path("/home/jo/run"),
        claims=Path("/home/jo/claims.csv"),
    )
    reason = "/home/jo/x is full on jos-laptop, says jos-laptop.example.org."
    records += a_failed_trial(a_trial(), reason=reason)
    made = [public(record) for record in records]
    assert "jo" not in str(made).replace("major", "")
    started, *_, ended = made
    assert isinstance(started, RunStarted)
    assert isinstance(ended, TrialEnded)
    assert started.config["models"] == ["net.py:Net", "resnet18"]
    assert [started.config[name] for name in ("data_dir", "output", "claims")] == [
        *("DIR", "DIR", "FILE")
    ]
    assert ended.reason == "x is full on HOST, says HOST."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Connection closed by peer [10.0.0.5]:42516", "Connection closed by peer [ADDRESS]:42516"),
        ("no answer from 192.168.1.20.", "no answer from ADDRESS."),
        ("torch 2.6.0 and driver 535.104.05", "torch 2.6.0 and driver 535.104.05"),
    ],
)
def test_a_sentence_names_no_address(
    text: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "node", lambda: "jos-laptop")
    assert public_text(text) == shown


def test_the_address_of_a_cluster_names_no_host() -> None:
    started, *_ = run_start(ray_address="node7.example.org:6379")
    made = public(started)
    assert isinstance(made, RunStarted)
    assert made.config["ray_address"] == "HOST:PORT"
    assert public_options({"ray_address": "auto"}) == {"ray_address": "auto"}
    assert public_options({"ray_address": None}) == {"ray_address": None}


def test_nothing_else_changes() -> None:
    records = some_records()
    assert [public(record) for record in records] == records

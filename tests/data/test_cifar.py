"""Without a network: torchvision's data set classes and the server are stubs."""

import contextlib
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data import cifar
from bench.data.catalogue import SOURCES
from bench.data.dataset import Arrays
from bench.data.prepare import DataRequest, prepare
from bench.errors import Refused


class OnDisk:
    """What torchvision's CIFAR10 is once its files are there."""

    url, filename, tgz_md5 = "https://example.org/cifar.tar.gz", "cifar.tar.gz", "0" * 32
    classes = ("cat", "dog")

    def __init__(self, root: str, train: bool = True, download: bool = False) -> None:
        self.data = np.full((4 if train else 2, 32, 32, 3), 7, dtype=np.uint8)
        self.targets = [0, 1, 0, 1] if train else [1, 0]


class NotOnDisk(OnDisk):
    def __init__(self, root: str, train: bool = True, download: bool = False) -> None:
        if download:
            raise urllib.error.URLError("cut off")
        raise RuntimeError("Dataset not found or corrupted.")


def use(monkeypatch: pytest.MonkeyPatch, kind: type[OnDisk], reachable: bool) -> None:
    monkeypatch.setattr(cifar, "_dataset_class", lambda name: kind)
    monkeypatch.setattr(cifar, "_reachable", lambda url: reachable)


def test_what_is_on_disk_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, OnDisk, reachable=False)
    source = cifar.load("cifar10", tmp_path)
    assert (source.name, source.classes) == ("cifar10", ("cat", "dog"))
    assert isinstance(source.train, Arrays)
    assert source.train.images.shape == (4, 32, 32, 3)
    assert source.train.labels.tolist() == [0, 1, 0, 1]
    assert source.mean == (0.4914, 0.4822, 0.4465)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_no_network_says_what_to_do(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, NotOnDisk, reachable=False)
    with pytest.raises(Refused) as refused:
        SOURCES.get(name)(tmp_path)
    assert str(refused.value) == (
        f"{name} is not in {tmp_path} and its server cannot be reached; connect to a network, put "
        "cifar.tar.gz there (see --data-dir), or use --dataset shapes10."
    )


def test_a_broken_download_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, NotOnDisk, reachable=True)
    with pytest.raises(Refused, match=r"could not be downloaded into .*cut off"):
        cifar.load("cifar10", tmp_path)


@pytest.mark.parametrize("reachable", [False, True])
def test_auto_falls_back_with_a_note(
    reachable: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, NotOnDisk, reachable)
    facts = prepare(DataRequest("auto", str(tmp_path), 20, 10, 32, 10**9), tmp_path)
    assert (facts.name, facts.asked, facts.train_images) == ("shapes10", "auto", 20)
    assert facts.notes == (
        "CIFAR-10 is not on disk and could not be fetched: shapes10 stands in for it.",
        "shapes10 is generated: its accuracies say nothing about photographs.",
    )


def test_auto_prefers_cifar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, OnDisk, reachable=False)
    assert SOURCES.get("auto")(tmp_path).name == "cifar10"


def test_shapes10_says_that_it_is_generated() -> None:
    assert SOURCES.get("shapes10")(None).notes == (
        "shapes10 is generated: its accuracies say nothing about photographs.",
    )


class TestReachable:
    def test_a_server_that_never_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Name resolution has no time limit of its own: the call must return all the same."""
        given_up = threading.Event()

        def hang(*_args: Any, **_options: Any) -> None:
            assert given_up.wait(30)
            raise urllib.error.URLError("too late")

        monkeypatch.setattr(cifar, "REACH_SECONDS", 0.05)
        monkeypatch.setattr(urllib.request, "urlopen", hang)
        assert cifar._reachable("https://example.org") is False
        given_up.set()

    def test_a_server_that_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: contextlib.nullcontext())
        assert cifar._reachable("https://example.org") is True

    def test_a_refused_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_args: Any, **_options: Any) -> None:
            raise urllib.error.URLError("refused")

        monkeypatch.setattr(urllib.request, "urlopen", refuse)
        assert cifar._reachable("https://example.org") is False

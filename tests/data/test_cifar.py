"""Without a network: a small data set, and a server on this machine."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data import cifar, download
from bench.data.catalogue import SOURCES
from bench.data.dataset import Files, Packed, Source
from bench.data.download import Limits
from bench.data.prepare import DataRequest, prepare
from bench.data.published import PUBLISHED
from bench.errors import Refused
from bench.records.records import DatasetFacts
from tests.data.server import Answer, Server, fails, sends, serving, trickles
from tests.data.small_cifar import (
    FORMS,
    PYTHON_ARCHIVE,
    RECORDS,
    png,
    small_cifar10,
    write_files,
)

REAL = PUBLISHED["cifar10"]
GENERATED = "shapes10 is generated: its accuracies say nothing about photographs."


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """CIFAR-10 is small, nobody has it, and the user's folder is empty."""
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(PUBLISHED, "cifar10", small_cifar10())
    monkeypatch.setattr(download, "LIMITS", Limits(measure=5, wait=60, silence=5))
    return tmp_path / "cache" / "data"


def answers(monkeypatch: pytest.MonkeyPatch, server: Server, answer: Answer) -> None:
    monkeypatch.setitem(PUBLISHED, "cifar10", small_cifar10(server.url("/x", answer)))


def ignore(message: object) -> None:
    pass


def load(data_dir: Path | None = None, name: str = "cifar10", tell: Any = ignore) -> Source:
    return SOURCES.get(name)(data_dir, tell)


def prepared(data_dir: Path | None, into: Path, dataset: str = "cifar10") -> DatasetFacts:
    into.mkdir(parents=True)
    where = None if data_dir is None else str(data_dir)
    return prepare(DataRequest(dataset, where, None, None, 32, 10**9), into)


def test_images_and_labels_are_in_their_published_order(tmp_path: Path) -> None:
    FORMS["python archive"](tmp_path / "mine")
    source = load(tmp_path / "mine")
    assert (source.name, source.classes[6], source.mean) == (
        "cifar10",
        "frog",
        (0.4914, 0.4822, 0.4465),
    )
    assert isinstance(source.train, Packed)
    train = source.train.read()
    records = np.concatenate([RECORDS["data_batch_1"], RECORDS["data_batch_2"]])
    assert train.labels.tolist() == records[:, 0].tolist()
    assert train.images.shape == (12, 32, 32, 3)
    assert train.images[7, 3, 5, 2] == records[7, 1 + 2 * 1024 + 3 * 32 + 5]


class TestPlaces:
    def test_a_shared_folder_is_read_and_never_written_to(
        self, tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room = tmp_path / "room"
        FORMS["python archive"](room)
        monkeypatch.setenv("ARCHBENCH_DATA", str(room))
        for path in (room, *room.iterdir()):
            path.chmod(0o555)
        before = [(p, p.stat().st_mtime_ns) for p in (room, *room.rglob("*"))]
        try:
            facts = prepared(None, tmp_path / "into", "auto")
        finally:
            room.chmod(0o755)
        assert (facts.name, facts.asked, facts.train_images) == ("cifar10", "auto", 12)
        assert [(p, p.stat().st_mtime_ns) for p in (room, *room.rglob("*"))] == before
        assert not small.exists()

    def test_what_a_flag_names_comes_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for place in ("room", "mine"):
            FORMS["python folder"](tmp_path / place)
        monkeypatch.setenv("ARCHBENCH_DATA", str(tmp_path / "room"))
        assert cifar.locate("cifar10", None) == tmp_path / "room/cifar-10-batches-py/data_batch_1"
        assert cifar.locate("cifar10", tmp_path / "mine") == (
            tmp_path / "mine/cifar-10-batches-py/data_batch_1"
        )

    def test_a_shared_folder_that_is_missing_or_empty_is_no_problem(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
    ) -> None:
        answers(monkeypatch, server, sends(PYTHON_ARCHIVE))
        monkeypatch.setenv("ARCHBENCH_DATA", str(tmp_path / "missing"))
        assert load().name == "cifar10"
        assert not (tmp_path / "missing").exists()

    def test_a_shared_folder_that_may_not_be_read_is_not_looked_into(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
    ) -> None:
        def denied(path: Path) -> bool:
            if path.is_relative_to(tmp_path / "locked"):
                raise PermissionError(13, "Permission denied", str(path))
            return os.path.isfile(path)

        answers(monkeypatch, server, sends(PYTHON_ARCHIVE))
        monkeypatch.setenv("ARCHBENCH_DATA", str(tmp_path / "locked"))
        monkeypatch.setattr(Path, "is_file", denied)
        assert cifar.locate("cifar10", None) is None
        assert load().name == "cifar10"

    def test_something_else_under_the_name_is_refused(self, tmp_path: Path) -> None:
        write_files(tmp_path / "mine", {"cifar-10-python.tar.gz": b"hello"})
        for dataset in ("cifar10", "auto"):
            with pytest.raises(Refused, match=r"python\.tar\.gz is not cifar10 as it was publ"):
                prepared(tmp_path / "mine", tmp_path / dataset, dataset)

    def test_what_an_interrupted_download_left_in_our_own_folder_is_replaced(
        self, small: Path, monkeypatch: pytest.MonkeyPatch, server: Server
    ) -> None:
        write_files(small, {"cifar-10-python.tar.gz": PYTHON_ARCHIVE[:1000]})
        answers(monkeypatch, server, sends(PYTHON_ARCHIVE))
        assert load().name == "cifar10"
        assert (small / "cifar-10-python.tar.gz").read_bytes() == PYTHON_ARCHIVE


class TestDownload:
    @pytest.mark.parametrize("named", [False, True])
    def test_into_the_users_folder_or_where_a_flag_says(
        self,
        named: bool,
        small: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        server: Server,
    ) -> None:
        answers(monkeypatch, server, sends(PYTHON_ARCHIVE))
        mine = tmp_path / "mine"
        assert prepared(mine if named else None, tmp_path / "into").train_images == 12
        archives = [(folder / "cifar-10-python.tar.gz").exists() for folder in (small, mine)]
        assert archives == [not named, named]

    def test_no_network_says_what_to_do(
        self, small: Path, monkeypatch: pytest.MonkeyPatch, server: Server
    ) -> None:
        answers(monkeypatch, server, fails(503))
        with pytest.raises(Refused) as refused:
            load()
        assert str(refused.value) == (
            "cifar-10-python.tar.gz could not be downloaded (127.0.0.1 answered 503); connect to a "
            f"network, put cifar-10-python.tar.gz into {small} (see --data-dir), or use "
            "--dataset shapes10."
        )

    def test_progress_is_told(self, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
        answers(monkeypatch, server, sends(PYTHON_ARCHIVE))
        told: list[Any] = []
        load(tell=told.append)
        assert told[-1].phase == "downloading cifar-10-python.tar.gz from 127.0.0.1"


class TestAuto:
    def test_prefers_cifar(self, tmp_path: Path) -> None:
        FORMS["binary folder"](tmp_path / "mine")
        assert load(tmp_path / "mine", "auto").name == "cifar10"

    def test_unreachable(self, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
        answers(monkeypatch, server, fails(503))
        source = load(name="auto")
        assert source.name == "shapes10"
        assert source.notes == (
            "CIFAR-10 is not on disk and could not be fetched: shapes10 stands in for it.",
            GENERATED,
        )

    def test_too_slow(self, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
        answers(monkeypatch, server, trickles(PYTHON_ARCHIVE, 20))
        monkeypatch.setattr(download, "LIMITS", Limits(measure=0.2, wait=0.5))
        note, generated = load(name="auto").notes
        assert note.startswith("cifar-10-python.tar.gz would take ")
        assert note.endswith(
            "B/s: shapes10 stands in for it; `python -m bench data cifar10` fetches it."
        )
        assert generated == GENERATED

    def test_is_decided_within_ten_seconds(self) -> None:
        assert len(REAL.archive.urls) * Limits().measure < 10


class TestImageFolder:
    """Nothing proves that image files are the published ones, so they are not called so."""

    @pytest.fixture
    def images(self, tmp_path: Path) -> Path:
        for part, name in (("train", "data_batch_1"), ("test", "test_batch")):
            for label, title in enumerate(small_cifar10().classes):
                folder = tmp_path / "mine" / part / title
                folder.mkdir(parents=True)
                (folder / "0.png").write_bytes(png(RECORDS[name][label % len(RECORDS[name])]))
        return tmp_path / "mine"

    @pytest.mark.parametrize("dataset", ["cifar10", "auto"])
    def test_is_named_as_what_it_is(self, dataset: str, images: Path, tmp_path: Path) -> None:
        facts = prepared(images, tmp_path / "into", dataset)
        assert (facts.name, facts.asked, facts.train_images) == ("folder", dataset, 10)
        assert facts.notes == (
            "There are image files with the classes of cifar10; whether they are the "
            "published images cannot be checked, so the data set is called folder.",
        )

    def test_a_mistake_in_them_is_said_and_nothing_else_is_taken(self, images: Path) -> None:
        shutil.rmtree(images / "test" / "truck")
        with pytest.raises(Refused, match="class 'truck' is in only one of train and test"):
            load(images, "auto")

    def test_other_classes_are_not_looked_at(self, images: Path) -> None:
        (images / "train" / "cat").rename(images / "train" / "cow")
        assert load(images, "auto").name == "shapes10"

    def test_files_are_read_as_ever(self, images: Path) -> None:
        assert isinstance(load(images).train, Files)


def test_shapes10_says_that_it_is_generated() -> None:
    assert load(name="shapes10").notes == (GENERATED,)

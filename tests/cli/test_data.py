"""The verb `data`, with a small data set and a server on this machine."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.data import download
from bench.data.cache import open_cache
from bench.data.download import Limits
from bench.data.published import PUBLISHED
from tests.data.server import Server, ranges, serving, trickles
from tests.data.small_cifar import FORMS, PYTHON_ARCHIVE, small_cifar10

NAME = "cifar-10-python.tar.gz"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str]]:
    """Run the verb: exit code, and what was printed."""
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(PUBLISHED, "cifar10", small_cifar10())

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["bench", "data", *words])
        code = main()
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


Data = Callable[..., tuple[int, str]]


def test_a_data_set_is_fetched_ahead(
    data: Data, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        PUBLISHED, "cifar10", small_cifar10(server.url("/x", ranges(PYTHON_ARCHIVE)))
    )
    archive = tmp_path / "cache" / "data" / NAME
    assert data("cifar10") == (0, f"cifar10: {archive}\n")
    assert archive.read_bytes() == PYTHON_ARCHIVE
    assert data("cifar10") == (0, f"cifar10: {archive}\n")
    assert len(server.asked) == 1


def test_into_a_folder_that_is_named(
    data: Data, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FORMS["python folder"](tmp_path / "cache" / "data")
    monkeypatch.setitem(
        PUBLISHED, "cifar10", small_cifar10(server.url("/x", ranges(PYTHON_ARCHIVE)))
    )
    room = tmp_path / "room"
    assert data("cifar10", "--to", str(room)) == (0, f"cifar10: {room / NAME}\n")
    assert (room / NAME).read_bytes() == PYTHON_ARCHIVE


def test_a_slow_server_is_waited_for_and_the_time_is_said(
    data: Data, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly = trickles(PYTHON_ARCHIVE, 2_000)
    monkeypatch.setitem(PUBLISHED, "cifar10", small_cifar10(server.url("/x", slowly)))
    monkeypatch.setattr(download, "LIMITS", Limits(0.1, 0.05, 1.0, 1.0))
    code, printed = data("cifar10")
    assert code == 0
    assert re.search(rf"! {NAME} from 127\.0\.0\.1 will take \d+ s at \d+ kB/s\.", printed)
    assert re.search(r"downloading .* of \d+ kB at [\d.]+ kB/s, \d+ s left", printed)


def test_what_somebody_has_already_is_found(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FORMS["binary archive"](tmp_path / "room")
    monkeypatch.setenv("ARCHBENCH_DATA", str(tmp_path / "room"))
    found = tmp_path / "room" / "cifar-10-binary.tar.gz"
    assert data("cifar10") == (0, f"cifar10: {found}\n")
    code, printed = data()
    assert code == 0
    assert f"cifar10: {found}\ncifar100: not on disk\n" in printed
    assert f"looked for in: {tmp_path / 'room'}\n" in printed
    assert "0 data sets, 0 B of at most 5.0 GB" in printed


def test_the_cache_is_emptied_and_downloads_stay(data: Data, tmp_path: Path) -> None:
    FORMS["python archive"](tmp_path / "cache" / "data")
    open_cache().folder.mkdir(parents=True)
    assert data("--empty-cache")[0] == 0
    assert not open_cache().folder.exists()
    assert (tmp_path / "cache" / "data" / NAME).exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cifar11"], "'cifar11' must be one of cifar10, cifar100: did you mean cifar10"),
        (["--to", "x"], "--to needs a data set: name cifar10 or cifar100."),
        (
            ["cifar10", "--to", "/dev/null/x"],
            "/dev/null/x/cifar-10-python.tar.gz cannot be written",
        ),
        (["--empty"], "unknown option --empty: did you mean --empty-cache"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], said: str, data: Data) -> None:
    code, printed = data(*words)
    assert code == 2
    assert printed.startswith(f"archbench: {said}")
    assert printed.count("\n") == 1

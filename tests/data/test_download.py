"""Against a server on this machine, which behaves as badly as it can."""

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from bench.data import download
from bench.data.download import Limits, RemoteFile, TooSlow, Unavailable, fetch
from bench.errors import Refused
from bench.records.messages import Progress, Warned
from tests.data.server import (
    Answer,
    Server,
    fails,
    hangs,
    ranges,
    redirects,
    sends,
    serving,
    trickles,
)

CONTENT = hashlib.shake_256(b"content").digest(200_000)
NAME = "data.tar.gz"
LIMITS = Limits(measure=5, wait=60, silence=5)
"""No test that is not about time fails on a busy machine."""
HURRIED = Limits(measure=0.4, wait=0.5, silence=5, steady=1.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


class Told:
    """What a user was told."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def __call__(self, message: Progress | Warned) -> None:
        self.messages.append(message)

    @property
    def warnings(self) -> list[str]:
        return [message.text for message in self.messages if isinstance(message, Warned)]


@pytest.fixture
def get(server: Server, tmp_path: Path) -> Callable[..., Path]:
    """Fetch `content` from servers that answer so, in that order."""

    def fetched(*answers: Answer, content: bytes = CONTENT, **options: Any) -> Path:
        urls = tuple(server.url(f"/{number}", answer) for number, answer in enumerate(answers))
        file = RemoteFile(NAME, len(content), hashlib.sha256(content).hexdigest(), urls)
        told = options.pop("told", Told())
        return fetch(file, tmp_path, told, **{"patient": False, "limits": LIMITS} | options)

    return fetched


Get = Callable[..., Path]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def refusal(get: Get, *answers: Answer, **options: Any) -> str:
    with pytest.raises(Unavailable) as refused:
        get(*answers, **options)
    (start, reason) = str(refused.value).removesuffix(").").split(" (127.0.0.1 ")
    assert start == f"{NAME} could not be downloaded"
    return reason


def test_it_is_kept_under_its_name_and_nothing_else_is(get: Get, tmp_path: Path) -> None:
    told = Told()
    assert get(sends(CONTENT), told=told).read_bytes() == CONTENT
    assert names(tmp_path) == [NAME]
    last = told.messages[-1]
    assert isinstance(last, Progress)
    assert last.phase == f"downloading {NAME} from 127.0.0.1"
    assert (last.total, last.unit) == (len(CONTENT), "bytes")


def test_what_is_there_is_not_fetched_again(get: Get, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    assert get() == tmp_path / NAME


def test_what_is_there_and_is_something_else_is_replaced(get: Get, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT[:-1] + b"x")
    assert get(sends(CONTENT)).read_bytes() == CONTENT


def test_a_server_that_breaks_off_is_asked_for_the_rest(get: Get, server: Server) -> None:
    assert get(ranges(CONTENT, stop_after=80_000)).read_bytes() == CONTENT
    assert server.asked == [("/0", None), ("/0", "bytes=80000-"), ("/0", "bytes=160000-")]


def test_what_came_before_too_many_breaks_is_kept_for_the_next_time(
    get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MOST_BREAKS", 2)
    assert refusal(get, ranges(CONTENT, stop_after=80_000)) == "broke off 2 times"
    [part] = [path for path in tmp_path.iterdir() if path.suffix == ".part"]
    assert part.read_bytes() == CONTENT[:160_000]


def test_a_server_that_ignores_ranges_sends_everything_again(get: Get, server: Server) -> None:
    def once_broken(request: Any) -> None:
        sends(CONTENT[: 1000 if len(server.asked) == 1 else None], length=len(CONTENT))(request)

    assert get(once_broken).read_bytes() == CONTENT
    assert server.asked == [("/0", None), ("/0", "bytes=1000-")]


def test_a_server_that_always_breaks_off_at_once_is_left(get: Get) -> None:
    assert refusal(get, sends(b"", length=len(CONTENT))) == "broke off"


def test_an_interrupted_download_goes_on_in_the_next_run(get: Get, server: Server) -> None:
    def interrupted(message: Progress | Warned) -> None:
        if isinstance(message, Progress) and message.done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(trickles(CONTENT, 50_000, 0.3), told=interrupted)
    assert get(ranges(CONTENT)).read_bytes() == CONTENT
    path, start = server.asked[-1]
    assert path == "/0"
    assert start in ("bytes=50000-", "bytes=100000-", "bytes=150000-")


def test_other_bytes_are_not_kept(get: Get, tmp_path: Path) -> None:
    others = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    assert refusal(get, sends(others)) == "sent other bytes than were published"
    assert names(tmp_path) == []


def test_bytes_of_one_source_do_not_spoil_those_of_the_next(get: Get, server: Server) -> None:
    assert get(sends(bytes(len(CONTENT))), ranges(CONTENT)).read_bytes() == CONTENT
    assert server.asked == [("/0", None), ("/1", None)]


@pytest.mark.parametrize("length", [len(CONTENT) - 1, len(CONTENT) + 1, 10**12])
def test_a_file_of_another_length_is_not_even_read(length: int, get: Get) -> None:
    reason = refusal(get, sends(CONTENT, length=length))
    assert reason == f"has a file of {length:,} bytes instead of 200,000"


def test_more_bytes_than_were_said(get: Get, tmp_path: Path) -> None:
    def endless(request: Any) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(CONTENT + b"x" * 100_000)

    assert refusal(get, endless) == "sent more bytes than were published"


def test_a_range_that_is_not_the_one_asked_for(get: Get, server: Server) -> None:
    def wrong(request: Any) -> None:
        if len(server.asked) == 1:
            sends(CONTENT[:1000], length=len(CONTENT))(request)
        else:
            what = f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"
            sends(CONTENT, status=206, Content_Range=what)(request)

    assert refusal(get, wrong).startswith("answered with another range (bytes 0-199999/200000")


@pytest.mark.parametrize("status", [403, 404, 416, 500, 503])
def test_an_error_names_the_host_and_the_next_source_is_tried(status: int, get: Get) -> None:
    assert refusal(get, fails(status)) == f"answered {status}"
    assert get(fails(status), sends(CONTENT)).read_bytes() == CONTENT


def test_a_redirect_is_followed(get: Get, server: Server) -> None:
    other = server.url("/other", sends(CONTENT))
    assert get(redirects(other)).read_bytes() == CONTENT


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x", "data:,x"])
def test_a_redirect_to_another_scheme_is_refused(to: str, get: Get) -> None:
    reason = refusal(get, redirects(to))
    assert reason == "redirects to an address of a kind that is refused"


def test_https_is_never_left_for_http() -> None:
    with download._session("https://example.org/x") as session:
        assert list(session.adapters) == ["https://"]


def test_a_redirect_in_a_circle(get: Get, server: Server) -> None:
    assert refusal(get, redirects("/0")) == "redirects for ever"


def test_nobody_listens(get: Get, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1 cannot be reached"):
            fetch(RemoteFile(NAME, 1, "0" * 64, (url,)), tmp_path, Told(), patient=True)


class TestSlow:
    def test_who_is_not_patient_is_told_how_long_it_would_take(
        self, get: Get, tmp_path: Path
    ) -> None:
        start = time.monotonic()
        with pytest.raises(TooSlow, match=rf"{NAME} would take \d+ (s|minutes) at [\d.]+ k?B/s"):
            get(trickles(CONTENT, 20), limits=HURRIED)
        assert time.monotonic() - start < 2
        assert not (tmp_path / NAME).exists()

    def test_the_next_source_may_be_faster(self, get: Get) -> None:
        got = get(trickles(CONTENT, 20), sends(CONTENT), limits=HURRIED)
        assert got.read_bytes() == CONTENT

    def test_who_is_patient_waits_for_the_fastest_and_is_told(
        self, get: Get, server: Server
    ) -> None:
        told = Told()
        slow, faster = trickles(CONTENT, 200), trickles(CONTENT, 5_000)
        got = get(slow, faster, slow, told=told, patient=True, limits=Limits(0.1, 0.1, 5.0, 1.0))
        assert got.read_bytes() == CONTENT
        (warning,) = told.warnings
        assert warning.startswith(f"{NAME} from 127.0.0.1 will take ")
        assert [path for path, _ in server.asked] == ["/0", "/1", "/2", "/1"]
        assert any(isinstance(m, Progress) and m.rate for m in told.messages)

    def test_who_is_patient_waits_for_a_source_that_answers_late(
        self, get: Get, server: Server
    ) -> None:
        def late(request: Any) -> None:
            time.sleep(0.8)
            sends(CONTENT)(request)

        told = Told()
        got = get(fails(503), late, told=told, patient=True, limits=HURRIED)
        assert got.read_bytes() == CONTENT
        assert told.warnings == ["127.0.0.1 did not answer in time: waiting for it."]
        assert [path for path, _ in server.asked] == ["/0", "/1", "/1"]

    def test_silence_is_not_waited_for(self, get: Get) -> None:
        given_up = threading.Event()
        try:
            reason = refusal(get, hangs(given_up), limits=HURRIED)
        finally:
            given_up.set()
        assert reason == "did not answer in time"

    def test_a_source_that_falls_silent_is_left_by_who_is_patient(
        self, get: Get, server: Server
    ) -> None:
        given_up = threading.Event()

        def stalls(request: Any) -> None:
            request.send_response(200)
            request.send_header("Content-Length", str(len(CONTENT)))
            request.end_headers()
            for at in range(0, 4000, 100):
                request.wfile.write(CONTENT[at : at + 100])
                time.sleep(0.01)
            given_up.wait(5)

        limits = Limits(measure=0.2, wait=0.5, silence=0.3, steady=0.2)
        try:
            reason = refusal(get, stalls, patient=True, limits=limits)
        finally:
            given_up.set()
        assert reason.startswith(("stopped sending", "broke off"))

    def test_the_look_up_of_a_name_that_never_ends(
        self, get: Get, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        given_up = threading.Event()

        def hang(*_arguments: object, **_options: object) -> None:
            given_up.wait(10)
            raise socket.gaierror("too late")

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        file = RemoteFile(NAME, 10, "0" * 64, ("http://nobody.example/x",))
        try:
            with pytest.raises(Unavailable, match=r"nobody\.example did not answer in time"):
                fetch(file, tmp_path, Told(), patient=False, limits=HURRIED)
        finally:
            given_up.set()


class TestTwoAtOnce:
    def test_the_second_waits_and_finds_it_there(self, get: Get, server: Server) -> None:
        results: list[Path] = []
        warned = Told()
        slowly = trickles(CONTENT, 20_000, 0.03)
        first = threading.Thread(target=lambda: results.append(get(slowly)))
        first.start()
        while not server.asked:
            time.sleep(0.01)
        results.append(get(slowly, told=warned, patient=True))
        first.join()
        assert [path.read_bytes() for path in results] == [CONTENT, CONTENT]
        assert warned.warnings == [f"another process is downloading {NAME}: waiting for it."]
        assert len(server.asked) == 1

    def test_who_is_not_patient_does_not_wait(self, get: Get, tmp_path: Path) -> None:
        with (
            FileLock(tmp_path / f".{NAME}.lock"),
            pytest.raises(TooSlow, match=f"another process is downloading {NAME}"),
        ):
            get(sends(CONTENT))


def test_a_file_system_without_locks(get: Get, without_locks: None) -> None:
    with pytest.raises(Refused, match=f"{NAME} cannot be written: its file system has no locks"):
        get(sends(CONTENT))


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match=r"file/data.tar.gz cannot be written: "):
        fetch(RemoteFile(NAME, 1, "0" * 64, ()), tmp_path / "file", Told(), patient=True)

"""One file over HTTP: from the first of several sources that is fast enough, resumed after a break,
and kept only if its SHA-256 is the one that was published.

Not pooch: version 1.9 starts every download afresh, and its one time limit is for the wait between
two packets, so that a server that trickles holds it for ever. requests brings certificates, proxies
and redirects; what is here decides which source to use, and for how long.
"""

import contextlib
import hashlib
import os
import queue
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import requests
import urllib3
from filelock import FileLock, Timeout
from requests.adapters import HTTPAdapter

from bench.errors import Refused
from bench.records.messages import Progress, Warned
from bench.units import duration_text, size_text

Tell = Callable[[Progress | Warned], object]
"""Called with what a user should see while data are fetched."""

BLOCK_BYTES = 2**16
MOST_REDIRECTS = 5
MOST_BREAKS = 20


@dataclass(frozen=True)
class RemoteFile:
    """A file that is known to its last byte, and the addresses that have it."""

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Limits:
    """Seconds: `measure` until a source's rate is judged, `wait` that a file may still take for its
    source to be good enough, `silence` until a source that sends nothing is left, `steady` over
    which a rate is taken."""

    measure: float = 2.5
    wait: float = 120.0
    silence: float = 30.0
    steady: float = 10.0


LIMITS = Limits()


class Unfetched(Refused):
    """A file could not be had; what was found on disk is another matter."""


class Unavailable(Unfetched):
    """No source has the file; the message gives the reasons."""


class TooSlow(Unfetched):
    """It would take longer than somebody waits who is not patient."""


class _Unusable(Exception):
    """A source does not have the file."""


class _Late(_Unusable):
    """A source has sent nothing yet."""


class _BrokeOff(_Unusable):
    """A source ended too early; the rest can be asked for."""


class _Slow(Exception):
    """A source would take too long: `left` bytes at `rate` bytes a second."""

    def __init__(self, left: int, rate: float) -> None:
        super().__init__(f"{duration_text(left / rate)} at {size_text(rate)}/s")
        self.rate = rate


def fetch(
    file: RemoteFile, folder: Path, tell: Tell, *, patient: bool, limits: Limits | None = None
) -> Path:
    """Have the file in a folder, downloaded if it is not there, and return its path.

    Sources are tried in turn, each for `limits.measure` seconds. Where none is fast enough, a
    patient caller waits for the fastest of them, and is told how long that will take; then for
    those that had sent nothing yet.

    Raises:
        TooSlow: nobody has it fast enough for a caller that is not patient.
        Unavailable: nobody has it.
        Unfetched: the folder cannot be written to.
    """
    target = folder / file.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(target, tell, patient):
            if not (target.is_file() and sha256_of(target) == file.sha256):
                _fetch(file, target, tell, patient, limits or LIMITS)
    except NotImplementedError as error:
        reason = "its file system has no locks; name another folder"
        raise Unfetched(f"{target} cannot be written: {reason}.") from error
    except OSError as error:
        raise Unfetched(f"{target} cannot be written: {error.strerror or error}.") from error
    return target


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _alone(target: Path, tell: Tell, patient: bool) -> Iterator[None]:
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not patient:
            raise TooSlow(f"another process is downloading {target.name}.") from None
        tell(Warned(f"another process is downloading {target.name}: waiting for it."))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(file: RemoteFile, target: Path, tell: Tell, patient: bool, limits: Limits) -> None:
    slow: dict[str, _Slow] = {}
    reasons: dict[str, str] = {}
    late: list[str] = []

    def received(url: str, wait: float | None) -> bool:
        try:
            _Download(file, url, target, tell, limits, wait).run()
        except _Slow as error:
            slow[url] = error
        except _Unusable as error:
            reasons[url] = f"{_host(url)} {error}"
            if isinstance(error, _Late):
                late.append(url)
        return url not in slow and url not in reasons

    if any(received(url, limits.wait) for url in file.urls):
        return
    fastest = sorted(slow, key=lambda url: -slow[url].rate)
    if fastest and not patient:
        raise TooSlow(f"{file.name} would take {slow[fastest[0]]}.")
    for url in fastest:
        tell(Warned(f"{file.name} from {_host(url)} will take {slow.pop(url)}."))
        if received(url, None):
            return
    for url in late if patient else ():
        tell(Warned(f"{reasons.pop(url)}: waiting for it."))
        if received(url, None):
            return
    raise Unavailable(f"{file.name} could not be downloaded ({', '.join(reasons.values())}).")


class _Download:
    """One file from one source, into a part file of its own until it is complete: whatever a source
    sends, it cannot spoil what came from another."""

    def __init__(
        self,
        file: RemoteFile,
        url: str,
        target: Path,
        tell: Tell,
        limits: Limits,
        wait: float | None,
    ) -> None:
        source = hashlib.sha256(url.encode()).hexdigest()[:8]
        self.file, self.url, self.target = file, url, target
        self.tell, self.limits, self.wait = tell, limits, wait
        self.part = target.with_name(f".{target.name}.{source}.part")

    def run(self) -> None:
        """Raises _Slow or _Unusable."""
        for _ in range(MOST_BREAKS):
            before = self._done()
            try:
                self._receive(before)
                break
            except _BrokeOff:
                if self._done() <= before:
                    raise
        else:
            raise _BrokeOff(f"broke off {MOST_BREAKS} times")
        if self._done() != self.file.size or sha256_of(self.part) != self.file.sha256:
            self.part.unlink()
            raise _Unusable("sent other bytes than were published")
        os.replace(self.part, self.target)
        for left in self.target.parent.glob(f".{self.target.name}.*.part"):
            left.unlink(missing_ok=True)

    def _done(self) -> int:
        size = self.part.stat().st_size if self.part.exists() else 0
        if size > self.file.size:
            self.part.unlink()
            return 0
        return size

    def _receive(self, done: int) -> None:
        if done == self.file.size:
            return
        meter, shown = _Meter(self.limits.steady), 0.0
        with _Stream(self.url, done, self.limits.silence) as stream, self.part.open("ab") as part:
            for item in stream.items(tick=self.limits.measure / 4):
                if isinstance(item, _Answer):
                    done = self._checked(item, done)
                    part.truncate(done)
                elif item:
                    part.write(item)
                    part.flush()
                    done += len(item)
                    meter.add(len(item))
                    if done > self.file.size:
                        raise _Unusable("sent more bytes than were published")
                self._judge(meter, done)
                if meter.now - shown >= min(0.5, self.limits.measure):
                    shown = meter.now
                    self._show(done, meter.rate)
        if done < self.file.size:
            raise _BrokeOff(f"broke off after {size_text(done)}")

    def _checked(self, answer: "_Answer", done: int) -> int:
        """Where the bytes of an answer belong; raises _Unusable if they are of another file."""
        if answer.status not in (200, 206):
            raise _Unusable(f"answered {answer.status}")
        # A server that ignores the range sends everything, with 200.
        start = done if answer.status == 206 else 0
        total, given = self.file.size, answer.content_range
        if answer.status == 206 and given != f"bytes {done}-{total - 1}/{total}":
            raise _Unusable(f"answered with another range ({given[:40]})")
        if answer.length is not None and answer.length != total - start:
            raise _Unusable(f"has a file of {answer.length + start:,} bytes instead of {total:,}")
        return start

    def _judge(self, meter: "_Meter", done: int) -> None:
        if meter.silent > self.limits.silence:
            raise _BrokeOff("stopped sending")
        if self.wait is None or meter.elapsed < self.limits.measure or done >= self.file.size:
            return
        left, rate = self.file.size - done, meter.rate
        if rate * self.wait < left:
            raise _Slow(left, rate) if rate else _Late("did not answer in time")

    def _show(self, done: int, rate: float) -> None:
        phase = f"downloading {self.file.name} from {_host(self.url)}"
        self.tell(Progress(phase, done, self.file.size, rate or None, "bytes"))


class _Meter:
    """Bytes a second over the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._start = self._last = monotonic()
        self._seconds, self._total = seconds, 0
        self._marks = deque([(self._start, 0)])

    def add(self, count: int) -> None:
        self._last = self.now
        self._total += count
        self._marks.append((self._last, self._total))

    @property
    def now(self) -> float:
        return monotonic()

    @property
    def elapsed(self) -> float:
        return self.now - self._start

    @property
    def silent(self) -> float:
        return self.now - self._last

    @property
    def rate(self) -> float:
        while len(self._marks) > 1 and self._marks[1][0] < self.now - self._seconds:
            self._marks.popleft()
        then, total = self._marks[0]
        return (self._total - total) / max(self.now - then, 1e-9)


@dataclass(frozen=True)
class _Answer:
    status: int
    length: int | None
    content_range: str


class _Stream:
    """A source, read in a thread: the look-up of a name has no time limit, and neither does a
    header that trickles. The thread ends soon after the stream is left."""

    def __init__(self, url: str, start: int, silence: float) -> None:
        self._url, self._start, self._silence = url, start, silence
        self._queue: queue.Queue[_Answer | bytes | Exception] = queue.Queue(64)
        self._left = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *error: object) -> None:
        self._left.set()

    def items(self, tick: float) -> Iterator[_Answer | bytes]:
        """The answer and then its bytes; an empty one whenever nothing came for `tick` seconds."""
        while True:
            try:
                item = self._queue.get(timeout=tick)
            except queue.Empty:
                item = b""
            else:
                if item == b"":
                    return
            if isinstance(item, Exception):
                raise item
            yield item

    def _put(self, item: _Answer | bytes | Exception) -> None:
        while not self._left.is_set():
            with contextlib.suppress(queue.Full):
                return self._queue.put(item, timeout=0.1)

    def _read(self) -> None:
        ranges = {"Range": f"bytes={self._start}-"} if self._start else {}
        headers = {"Accept-Encoding": "identity", "User-Agent": "archbench", **ranges}
        try:
            with (
                _session(self._url) as session,
                session.get(
                    self._url, headers=headers, stream=True, timeout=self._silence
                ) as answer,
            ):
                self._put(_answer(answer))
                while not self._left.is_set():
                    block = answer.raw.read1(BLOCK_BYTES, decode_content=False)
                    self._put(block)
                    if not block:
                        return
        except requests.exceptions.InvalidSchema:
            self._put(_Unusable("redirects to an address of a kind that is refused"))
        except requests.exceptions.TooManyRedirects:
            self._put(_Unusable("redirects for ever"))
        except requests.exceptions.ConnectionError:
            self._put(_BrokeOff("cannot be reached"))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError):
            self._put(_BrokeOff("broke off"))


def _session(url: str) -> requests.Session:
    """A session that follows no redirect to another scheme, except from http to https."""
    session = requests.Session()
    session.max_redirects = MOST_REDIRECTS
    session.adapters.clear()
    for scheme in dict.fromkeys((urlsplit(url).scheme, "https")):
        session.mount(f"{scheme}://", HTTPAdapter())
    return session


def _answer(response: requests.Response) -> _Answer:
    length = response.headers.get("Content-Length", "")
    known = re.fullmatch(r"[0-9]{1,18}", length)
    content_range = response.headers.get("Content-Range", "")
    return _Answer(response.status_code, int(length) if known else None, content_range)


def _host(url: str) -> str:
    return urlsplit(url).hostname or url

"""An HTTP server on this machine, whose addresses answer as a test says."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """`routes` are answers by path; `asked` has the path and the range of every request."""

    def __init__(self) -> None:
        self.routes: dict[str, Answer] = {}
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers.get("Range")))
                with contextlib.suppress(ConnectionError):
                    outer.routes[self.path](self)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str, answer: Answer) -> str:
        """The address of an answer."""
        self.routes[path] = answer
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.close()


def sends(data: bytes, length: int | None = None, status: int = 200, **headers: str) -> Answer:
    """Everything, whatever the range; with another length than it has, if one is given."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        _head(request, status, len(data) if length is None else length, headers)
        request.wfile.write(data)

    return answer


def ranges(data: bytes, stop_after: int | None = None) -> Answer:
    """The range that is asked for; the connection ends after so many bytes of it."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        start = int((request.headers.get("Range") or "bytes=0-")[6:-1])
        what = {"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        _head(request, 206 if start else 200, len(data) - start, what)
        request.wfile.write(data[start : None if stop_after is None else start + stop_after])

    return answer


def trickles(data: bytes, step: int = 1, pause: float = 0.01) -> Answer:
    """A few bytes at a time."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        _head(request, 200, len(data), {})
        for at in range(0, len(data), step):
            request.wfile.write(data[at : at + step])
            request.wfile.flush()
            time.sleep(pause)

    return answer


def hangs(until: threading.Event) -> Answer:
    """Nothing at all."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        until.wait(10)

    return answer


def fails(status: int) -> Answer:
    return lambda request: request.send_error(status)


def redirects(to: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        _head(request, 302, 0, {"Location": to})

    return answer


def _head(
    request: BaseHTTPRequestHandler, status: int, length: int, headers: dict[str, str]
) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(length))
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()

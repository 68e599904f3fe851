"""A worker process, as its parent sees it: started, read from, answered, and always ended.

The parent waits in a blocking read and imports no torch. A worker ends by itself when its standard
input closes, which happens even if the parent is killed.
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from bench.errors import OutOfMemoryKilled, WorkerDied
from bench.records.messages import (
    STOP,
    Failure,
    Job,
    ProbeRequest,
    TrainJob,
    decode_message,
    encode_message,
)
from bench.runner.warm_worker import fork_worker, warm_up
from bench.runner.worker_handle import TimeLimit, WorkerHandle
from bench.system.malloc import allocator_environment

_ROOT = Path(__file__).parents[2]


class Worker(WorkerHandle):
    """One job in a process of its own; use as a context manager.

    It is forked from a warm template where that is safe. Training under a memory limit on the CPU
    has a fresh process: there a forked one was seen to crash, or to fail elsewhere than in an
    allocation, more often.

    Args:
        job: what to do.
        log: file for the worker's standard error.
        limited: whether it runs under a memory limit on the CPU (see `bench.system.malloc`); None
            leaves the C library's allocator as it comes.
        timeout: seconds after which it is killed; None for no limit.
    """

    def __init__(
        self, job: Job, log: Path, *, limited: bool | None = False, timeout: float | None = None
    ) -> None:
        self._log = log
        environment = _environment(limited)
        with log.open("ab") as errors:
            fresh = limited is True and isinstance(job, TrainJob)
            forked = None if fresh else fork_worker(environment, errors)
            self._process = forked or subprocess.Popen(
                [sys.executable, "-P", "-m", "bench.runner.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
            )
        self._limit = TimeLimit(timeout, self.end)
        self.send(encode_message(job))

    def __exit__(self, kind: object, *error: object) -> None:
        self._limit.cancel()
        if kind is not None:
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()

    def receive(self) -> Any:
        """The next line of its output."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._ended()
            return None
        try:
            message = decode_message(line)
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise WorkerDied(f"its worker sent a damaged line ({error}).") from error
        if isinstance(message, Failure):
            raise message.error(message.reason)
        return message

    def send(self, data: bytes) -> None:
        """Send a line; a worker that has ended does not get it."""
        assert self._process.stdin is not None
        # A pipe that is closed is an invalid argument on Windows.
        with contextlib.suppress(OSError):
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def answer(self) -> None:
        """An empty line."""
        self.send(b"\n")

    def end(self) -> None:
        """Kills it."""
        self._process.kill()

    def stop(self) -> None:
        """Writes past the buffer, which the main program may be filling."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            os.write(self._process.stdin.fileno(), STOP)

    def ask(self, request: ProbeRequest) -> Any:
        """The request, as a line."""
        self.send(encode_message(request))
        return self.reply()

    def _ended(self) -> None:
        code = self._process.wait()
        self._limit.check()
        if code < 0:
            name = signal_name(-code)
            if name == "SIGKILL":  # a name, because Windows has no such signal to compare with
                reason = "its worker was killed (SIGKILL): memory ran out, most likely."
                raise OutOfMemoryKilled(reason)
            raise WorkerDied(f"its worker was killed by {name}.")
        if code:
            raise WorkerDied(f"its worker ended with exit code {code}: {self._last_line()}")

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it gave no reason."


def expect_workers(*, limited: bool) -> None:
    """Have such workers start faster: what they need is imported meanwhile."""
    warm_up(_environment(limited))


def signal_name(number: int) -> str:
    """The name of a signal, or its number where it has none."""
    names = {s.value: s.name for s in signal.Signals}
    return names.get(number, f"signal {number}")


def _environment(limited: bool | None) -> dict[str, str]:
    """This process's environment, with our code first on the path and no pickles in weights."""
    paths = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    ours = {"PYTHONPATH": paths, "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}
    allocator = {} if limited is None else allocator_environment(limited)
    return os.environ | allocator | ours

"""Warm workers: a template process per environment, from which jobs are forked.

Where the platform has no safe fork, or a template cannot be started, there is none, and workers
start as fresh processes. A template has the environment that its children shall have, for the C
allocator and OpenMP read theirs when they are loaded; another environment needs another template.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from bench.runner.worker.template import READY


def _is_available() -> bool:
    """Elsewhere than on Linux, fork is missing (Windows) or unsafe once system libraries are loaded
    (macOS); kernels before 5.3, and some containers, cannot say when a process ends."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):  # some builds of Python have no such function
        return False
    return True


AVAILABLE = _is_available()
"""Whether workers can be forked here."""

START_SECONDS = 120
"""How long an import of torch may take; then workers start as fresh processes."""

MOST_TEMPLATES = 2
"""A run has workers of two environments at most, under a memory limit on the CPU or not, and a
template takes the memory of an import."""


@dataclass
class ForkedProcess:
    """A forked worker, with what `subprocess.Popen` has that a parent of workers needs."""

    pid: int
    stdin: BinaryIO
    stdout: BinaryIO
    status: BinaryIO
    _watch: int | None = None
    _code: int | None = None

    def __post_init__(self) -> None:
        # A descriptor of the process, unlike its number, never means another process.
        with contextlib.suppress(OSError):
            self._watch = os.pidfd_open(self.pid)

    def kill(self) -> None:
        """End it at once; nothing happens if it has ended."""
        if self._watch is not None:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._watch, signal.SIGKILL)

    def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        if self._code is None:
            line = self.status.readline()
            self._code = int(line) if line else -signal.SIGKILL
            self.status.close()
            if self._watch is not None:
                os.close(self._watch)
                self._watch = None
        return self._code


class Template:
    """A template process, which imports while its parent goes on; raises OSError if it cannot be
    started."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "bench.runner.worker.template", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=dict(environment),
            )
        self._ready = False

    def _wait(self) -> None:
        """Wait until it has imported; raises OSError if it does not in time."""
        self._control.settimeout(START_SECONDS)
        try:
            self._ready = self._control.recv(len(READY)) == READY
        except TimeoutError:
            self._process.kill()
        if not self._ready:
            raise OSError("the template was not ready in time")

    def fork(self, errors: BinaryIO) -> ForkedProcess:
        """A child that does a worker's job, with `errors` as its standard error; raises OSError if
        there can be none."""
        if not self._ready:
            self._wait()
        (job, to_job), (from_job, answers), (status, told) = (os.pipe() for _ in range(3))
        try:
            descriptors = [job, answers, errors.fileno(), told]
            socket.send_fds(self._control, [os.fsencode(os.getcwd())], descriptors)
        except OSError:
            for descriptor in (to_job, from_job, status):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (job, answers, told):
                os.close(descriptor)
        lines = open(status, "rb")  # noqa: SIM115 - closed when the exit code has been read
        number = lines.readline()
        stdin, stdout = open(to_job, "wb"), open(from_job, "rb")  # noqa: SIM115
        if not number:
            for pipe in (lines, stdin, stdout):
                pipe.close()
            raise OSError("the template ended before it had forked")
        return ForkedProcess(int(number), stdin, stdout, lines)

    def close(self) -> None:
        """Let it end; children go on."""
        self._control.close()
        self._process.wait()


_templates: dict[frozenset[tuple[str, str]], Template] = {}


def warm_up(environment: Mapping[str, str]) -> None:
    """Start a template of that environment, if there is none, without waiting for it."""
    key = frozenset(environment.items())
    if not AVAILABLE or key in _templates:
        return
    while len(_templates) >= MOST_TEMPLATES:
        _templates.pop(next(iter(_templates))).close()
    with contextlib.suppress(OSError):
        _templates[key] = Template(environment)


def fork_worker(environment: Mapping[str, str], errors: BinaryIO) -> ForkedProcess | None:
    """A worker forked from a template of that environment; None where that cannot be done."""
    key = frozenset(environment.items())
    for _ in range(2):  # a template may have died since it was started
        warm_up(environment)
        if key not in _templates:
            return None
        try:
            return _templates[key].fork(errors)
        except OSError:
            _templates.pop(key).close()
    return None

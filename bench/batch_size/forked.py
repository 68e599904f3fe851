"""Run a call in a forked child, so that nothing it leaves behind is there for the next one.

On the CPU a search needs this: oneDNN keeps the code it compiles for every new batch size, which
counts against a memory limit (measured: 230 MiB after seven sizes of GoogLeNet). A child starts in
milliseconds where a new process imports torch for seconds, and one that is killed costs itself
alone.

The parent must not have run anything in torch's thread pool, which does not survive a fork.
"""

import contextlib
import ctypes
import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection

from bench.errors import Crashed, OutOfMemoryKilled, TrialFailed, WorkerDied
from bench.records.records import Probe
from bench.system.devices import is_ambiguous

_PR_SET_PDEATHSIG = 1


def in_child(call: Callable[[], bytes]) -> bytes:
    """The bytes that `call` returns, computed in a child that ends with it.

    Raises:
        OutOfMemoryKilled: the child was killed by SIGKILL.
        Crashed: it was ended by another signal.
        WorkerDied: it ended without an answer in any other way.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(call, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        return ours.recv_bytes()
    except EOFError:
        child.join()
        by_signal = Crashed if (child.exitcode or 0) < 0 else WorkerDied
        error = OutOfMemoryKilled if child.exitcode == -signal.SIGKILL else by_signal
        raise error(f"the probe's process ended with {_ending(child.exitcode)}.") from None
    finally:
        ours.close()
        child.join()


def settled(attempt: Callable[[bool], Probe], *, limited: bool = True) -> Probe:
    """What `attempt`, told whether to keep to the memory limit, says; if that may mean that memory
    ran out or something else, what works without the limit had run out of memory.

    Raises:
        TrialFailed: it does not work without the limit either.
    """
    probe = attempt(limited)
    if probe.reason is None or not is_ambiguous(probe.reason):
        return probe
    if not limited:
        raise TrialFailed(f"training at batch {probe.batch_size} failed: {probe.reason}")
    settled(attempt, limited=False)
    return probe


def _answer(call: Callable[[], bytes], pipe: Connection) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    pipe.send_bytes(call())


def _ending(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"

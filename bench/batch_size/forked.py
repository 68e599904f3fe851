"""Probes in forked children, so that nothing of one is left for the next.

A search on the CPU needs this: oneDNN keeps the code that it compiles for every new batch size,
which counts against a memory limit (measured: 230 MiB after seven sizes of GoogLeNet). A child
starts in milliseconds, where a new process would import torch for seconds, and can be killed
without stopping the search.

The parent must not have run anything in torch's thread pool, which does not survive a fork.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

from bench.errors import (
    BenchError,
    Crashed,
    OutOfMemoryKilled,
    Refused,
    TrialFailed,
    WorkerDied,
    first_line,
)
from bench.records.messages import Failure, Message, SearchJob, decode_message, encode_message
from bench.records.records import Probe
from bench.system.devices import is_ambiguous

_PR_SET_PDEATHSIG = 1


def in_child(call: Callable[[], bytes]) -> bytes:
    """The bytes that `call` returns, computed in a child process.

    Raises:
        Refused: this system has no fork.
        OutOfMemoryKilled: the child was killed by SIGKILL.
        Crashed: it was ended by another signal.
        WorkerDied: it ended without an answer in any other way.
    """
    if not hasattr(os, "fork"):
        raise Refused("this takes a forked process, which Windows does not have: use WSL or Linux.")
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(call, sender), daemon=True)
    child.start()
    sender.close()
    try:
        return receiver.recv_bytes()
    except EOFError:
        child.join()
        by_signal = Crashed if (child.exitcode or 0) < 0 else WorkerDied
        error = OutOfMemoryKilled if child.exitcode == -signal.SIGKILL else by_signal
        raise error(f"the probe's process ended with {_ending(child.exitcode)}.") from None
    finally:
        receiver.close()
        child.join()


def message_from_child(call: Callable[[], Message]) -> Any:
    """The message that `call` returns, computed in a child process.

    Raises:
        TrialFailed: the call raised an error, or the child ended without an answer.
    """

    def encoded() -> bytes:
        try:
            return encode_message(call())
        except BenchError as error:
            return encode_message(Failure(str(error)))
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            if "autograd's threading in combination with fork" in str(error):
                reason = (
                    "a backward pass has run in this process beside a card, after which torch "
                    "trains in no forked one: do this before any training, or in a fresh process."
                )
            return encode_message(Failure(reason))

    message = decode_message(in_child(encoded))
    if isinstance(message, Failure):
        raise TrialFailed(message.reason)
    return message


def probe_in_child(job: SearchJob, batch_size: int, call: Callable[[], Probe]) -> Probe:
    """The probe that `call` makes in a child process, failed if the child is killed.

    Raises:
        TrialFailed: training failed for a reason that is not memory.
    """
    start = perf_counter()
    try:
        probe: Probe = message_from_child(call)
    except (OutOfMemoryKilled, Crashed) as error:
        seconds = perf_counter() - start
        return Probe(job.model, job.setting, batch_size, False, None, seconds, str(error))
    return probe


def settled(attempt: Callable[[bool], Probe], *, limited: bool = True) -> Probe:
    """The probe that `attempt(limited)` makes, under the memory limit or not.

    If its error may mean that memory ran out, or something else, the same batch is tried without
    the limit: if that works, it was memory.

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


def die_with_parent() -> None:
    """Have this process killed when its parent ends, where the system can do that (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _send(call: Callable[[], bytes], pipe: Connection) -> None:
    die_with_parent()
    pipe.send_bytes(call())


def _ending(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"

"""What holds a slot of a cluster, on its node: it runs workers there as a local run does."""

import contextlib
import hashlib
import os
import queue
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.records.logits import LABELS
from bench.records.messages import (
    PrepareJob,
    TrainJob,
    WorkerEnded,
    decode_message,
    encode_message,
)
from bench.runner.scratch import scratch_folder
from bench.runner.worker_process import Worker

ROOT = Path(__file__).parents[2]

QUIET_SECONDS = 1.0
"""It answers at least so often, whether there is something to say or not."""


class SlotActor:
    """On a node: runs one worker at a time. Its methods take and return plain values.

    Args:
        threads: `OMP_NUM_THREADS` of the process that started the run; Ray sets one of its own.
    """

    def __init__(self, threads: str | None) -> None:
        os.environ.pop("OMP_NUM_THREADS", None)
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = threads
        self._exit = contextlib.ExitStack()
        self._scratch = self._exit.enter_context(scratch_folder())
        self._log = self._scratch / "worker.log"
        self._worker: Worker | None = None
        self._listener: threading.Thread | None = None
        self._said: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def code(self) -> str:
        """The hash of the harness's own code on this node."""
        return code_sha256()

    def shares(self, path: str) -> bool:
        """Whether a folder of the driver can be written to here."""
        return os.access(path, os.W_OK | os.X_OK)

    def free_port(self) -> int:
        """A port at which nothing listens."""
        with socket.socket() as opened:
            opened.bind(("", 0))
            return int(opened.getsockname()[1])

    def begin(self, job: bytes, scratch: str, shared: bool, limited: bool | None) -> None:
        """Start a worker; `scratch` is the driver's folder of prepared images, for which this
        node's stands in. What is not `shared` is written here, too."""
        self._end()
        own = self._own(decode_message(job), scratch, shared)
        self._said = queue.SimpleQueue()
        self._worker = Worker(own, self._log, limited=limited)
        listening = (self._worker, self._said)
        self._listener = threading.Thread(target=self._listen, args=listening, daemon=True)
        self._listener.start()

    def read(self) -> list[bytes]:
        """What the worker has said since the last call, as soon as there is anything."""
        lines = []
        with contextlib.suppress(queue.Empty):
            lines.append(self._said.get(timeout=QUIET_SECONDS))
            while True:
                lines.append(self._said.get_nowait())
        return lines

    def write(self, what: str, request: bytes = b"") -> None:
        """`answer`, `stop` or `end` the worker, or `ask` it something."""
        if self._worker is None:
            return
        if what == "ask":
            self._worker.send(request)
        else:
            getattr(self._worker, what)()

    def files(self, job: bytes, scratch: str) -> dict[str, bytes]:
        """What a trial that has ended wrote here for the driver, by the driver's paths; with what
        only it needed removed, so that the trial can be repeated."""
        given, own = decode_message(job), self._own(decode_message(job), scratch, False)
        for path in (own.checkpoint, own.start):
            Path(path).unlink(missing_ok=True)
        pairs = [(given.kernels, own.kernels), (given.logits, own.logits)]
        if given.logits:
            pairs.append((_labels_beside(given.logits), _labels_beside(own.logits)))
        return {g: Path(o).read_bytes() for g, o in pairs if o and Path(o).is_file()}

    def close(self) -> None:
        """End the worker and remove what was written here."""
        self._end()
        self._exit.close()

    def _end(self) -> None:
        if self._worker is not None and self._listener is not None:
            self._worker.end()
            self._listener.join()

    def _own(self, job: Any, scratch: str, shared: bool) -> Any:
        """A job with this node's paths in place of the driver's."""
        if isinstance(job, PrepareJob):
            return replace(job, data_folder=str(self._scratch))
        if not isinstance(job, TrainJob):
            return job
        data = job.data_folder.replace(scratch, str(self._scratch), 1)
        job = replace(job, data_folder=data)
        if shared:
            return job

        def here(path: str | None) -> str | None:
            return path and str(self._scratch / Path(path).name)

        return replace(
            job,
            checkpoint=here(job.checkpoint),
            start=here(job.start),
            kernels=here(job.kernels),
            logits=here(job.logits),
        )

    def _listen(self, worker: Worker, said: "queue.SimpleQueue[bytes]") -> None:
        ended = WorkerEnded()
        with worker:
            try:
                for message in worker.messages():
                    said.put(encode_message(message))
            except BenchError as error:
                ended = WorkerEnded(type(error).__name__, str(error))
        said.put(encode_message(ended))


def _labels_beside(path: str) -> str:
    return str(Path(path).with_name(LABELS))


def code_sha256() -> str:
    """The hash of the harness's own code and data, in the order of their paths."""
    digest = hashlib.sha256()
    for room in ("bench", "models"):
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in (".py", ".csv"):
                digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()

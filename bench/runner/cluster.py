"""Trials over the machines of a Ray cluster; the only module that imports ray.

An actor holds each slot: a card, or the processors of a node. It runs workers there as a local run
does and passes on what they say. This process alone decides what runs, and writes the log.
"""

import contextlib
import hashlib
import os
import queue
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench import errors
from bench.errors import BenchError, NodeLost, Refused, WorkerDied
from bench.records.messages import (
    Job,
    Prepared,
    PrepareJob,
    ProbeRequest,
    TrainJob,
    WorkerEnded,
    decode_message,
    encode_message,
)
from bench.records.records import DeviceFacts
from bench.runner.scratch import scratch_folder
from bench.runner.worker_process import Worker

ROOT = Path(__file__).parents[2]

SAME = ("python", "cuda", "driver")
"""What must be the same on every node, besides packages and the harness's own code."""

PREPARE_SECONDS = 3600.0
"""How long a node may take to start its actor, or to download the images."""

CONNECT_SECONDS = 5.0
"""How long a cluster may take to answer the very first time."""

QUIET_SECONDS = 1.0
"""An actor answers at least so often, whether there is something to say or not."""

Call = Callable[..., Any]


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
        """What a trial has written here for the driver, by the driver's paths."""
        given, own = decode_message(job), self._own(decode_message(job), scratch, False)
        pairs = [(given.kernels, own.kernels), (given.logits, own.logits)]
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


@dataclass
class Slot:
    """A slot as the driver sees it. `node` is a hash of the node's name."""

    number: int
    actor: Any
    node: str
    address: str
    timeout: float
    shared: bool = False

    def call(self, method: str, *arguments: Any) -> Any:
        """Call the actor; raises NodeLost if it does not answer in time."""
        import ray

        try:
            reference = getattr(self.actor, method).remote(*arguments)
            return ray.get(reference, timeout=self.timeout)
        except ray.exceptions.RayTaskError as error:
            cause = error.as_instanceof_cause()
            if isinstance(cause, BenchError):
                raise cause from error
            raise
        except (ray.exceptions.RayError, TimeoutError) as error:
            raise NodeLost(f"slot {self.number} (node {self.node}) no longer answers.") from error


class RemoteWorker:
    """A worker on a node, with what `bench.runner.worker_process.Worker` has.

    A time limit of a trial is kept here: of a node that is gone, nobody else would.
    """

    def __init__(
        self,
        slot: Slot,
        scratch: Path,
        job: Job,
        log: Path,
        *,
        limited: bool | None = False,
        timeout: float | None = None,
    ) -> None:
        self._slot, self._scratch, self._job = slot, str(scratch), encode_message(job)
        self._trains = isinstance(job, TrainJob)
        self._lines: deque[bytes] = deque()
        self._timer = None if timeout is None else threading.Timer(timeout, self._time_out)
        self._timed_out = False
        slot.call("begin", self._job, self._scratch, slot.shared, limited)
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        self._limit = timeout

    def __enter__(self) -> "RemoteWorker":
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if kind is not None:
            self.end()

    def messages(self) -> Iterator[Any]:
        """What the worker sends, until it ends. Raises as a local worker does, and NodeLost."""
        while (message := self.receive()) is not None:
            yield message

    def receive(self) -> Any:
        """The next message, or None when the job is done."""
        while not self._lines:
            self._lines.extend(self._slot.call("read"))
        message = decode_message(self._lines.popleft())
        if not isinstance(message, WorkerEnded):
            return message
        if message.error is not None:
            if self._timed_out:
                raise errors.TimedOut(f"it took longer than --trial-timeout {self._limit:g} s.")
            kind = getattr(errors, message.error, None)
            known = isinstance(kind, type) and issubclass(kind, BenchError)
            raise (kind if kind and known else WorkerDied)(message.reason)
        if self._trains and not self._slot.shared:
            for path, content in self._slot.call("files", self._job, self._scratch).items():
                Path(path).write_bytes(content)
        return None

    def answer(self) -> None:
        """Let a worker continue that waits after a record."""
        self._slot.call("write", "answer")

    def ask(self, request: ProbeRequest) -> Any:
        """Send a request and return the reply."""
        self._slot.call("write", "ask", encode_message(request))
        reply = self.receive()
        if reply is None:
            raise WorkerDied("its worker ended before the answer.")
        return reply

    def stop(self) -> None:
        """Ask a training worker to finish its step, save a checkpoint, and end."""
        self._slot.actor.write.remote("stop")

    def end(self) -> None:
        """End it now, although it may have more to say."""
        self._slot.actor.write.remote("end")

    def _time_out(self) -> None:
        self._timed_out = True
        self.end()


class Cluster:
    """The slots of a cluster; use as a context manager, which leaves no actor behind."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots = tuple(slots)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        import ray

        for slot in self.slots:
            with contextlib.suppress(Exception):
                ray.get(slot.actor.close.remote(), timeout=5)
            with contextlib.suppress(Exception):
                ray.kill(slot.actor)
        ray.shutdown()

    def workers(self, scratch: Path, folder: Path) -> list[Call]:
        """For each slot what starts a worker in it; `folder` is the run's."""
        for slot in self.slots:
            slot.shared = bool(slot.call("shares", str(folder.absolute())))
        return [partial(RemoteWorker, slot, scratch) for slot in self.slots]

    def prepare(self, job: PrepareJob, scratch: Path) -> Prepared:
        """Prepare every node, and see to it that all are alike.

        Raises:
            Refused: a node cannot do it, or differs from the others in what results depend on; the
                message names it.
        """
        code, first, devices = code_sha256(), None, list[DeviceFacts]()
        for slot in self.slots:
            if replace(slot, timeout=PREPARE_SECONDS).call("code") != code:
                raise Refused(
                    f"{slot.address} has another archbench than this machine: install the same "
                    "everywhere."
                )
            prepared = self._prepared(slot, job, scratch)
            first = first or prepared
            if problem := _difference(first, prepared):
                raise Refused(
                    f"{slot.address} and {self.slots[0].address} differ in {problem}: make them "
                    "alike, or start a cluster without one of them."
                )
            devices.append(prepared.device)
        assert first is not None
        nodes = tuple(slot.node for slot in self.slots)
        return replace(first, slots=tuple(devices), nodes=nodes)

    @staticmethod
    def _prepared(slot: Slot, job: PrepareJob, scratch: Path) -> Prepared:
        slot = replace(slot, timeout=PREPARE_SECONDS)
        try:
            with RemoteWorker(slot, scratch, job, Path(os.devnull)) as worker:
                for message in worker.messages():
                    if isinstance(message, Prepared):
                        return message
        except Refused as error:
            raise Refused(f"{slot.address}: {error}") from error
        raise BenchError(f"{slot.address}: the data could not be prepared.")


def open_cluster(address: str, *, device: str, timeout: float) -> Cluster:
    """The slots of a running cluster: every card, or, on the CPU, every node. The `device` may be
    `auto`, which means cards if there are any.

    Raises:
        Refused: there is no such cluster, ray is not installed, or its versions differ.
    """
    try:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
    except ImportError:
        raise Refused(
            '--ray-address needs Ray: pip install "archbench[cluster]", on every node.'
        ) from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    before = signal.getsignal(signal.SIGTERM)
    try:
        _check_answers(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError) as error:
        reason = errors.first_line(error).rstrip(".")
        raise Refused(
            f"--ray-address {address}: no cluster to work with ({reason}); start one with `ray "
            "start --head`."
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # Ray has set one of its own
    nodes = [node for node in ray.nodes() if node["Alive"]]
    on_cpu = device == "cpu" or not (
        device == "cuda" or any(node["Resources"].get("GPU") for node in nodes)
    )
    places = []
    for node in sorted(nodes, key=lambda node: node["NodeID"]):
        held = node["Resources"]
        if on_cpu and held.get("CPU"):
            places.append((node, {"num_cpus": held["CPU"]}))
        elif not on_cpu:
            places += [(node, {"num_gpus": 1})] * int(held.get("GPU", 0))
    if not places:
        ray.shutdown()
        what = "processors" if on_cpu else "cards"
        raise Refused(f"--ray-address {address}: no node of that cluster has free {what}.")
    kind = ray.remote(SlotActor)
    threads = os.environ.get("OMP_NUM_THREADS")
    slots = []
    for number, (node, resources) in enumerate(places):
        where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        actor = kind.options(
            **resources, scheduling_strategy=where, max_concurrency=4, max_restarts=0
        ).remote(threads)
        name = hashlib.sha256(node["NodeID"].encode()).hexdigest()[:4]
        slots.append(Slot(number, actor, name, node["NodeManagerAddress"], timeout))
    return Cluster(slots)


def _check_answers(address: str) -> None:
    """Raises OSError or ValueError if nothing answers at HOST:PORT; Ray would try for minutes."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()


def code_sha256() -> str:
    """The hash of the harness's own code and data, in the order of their paths."""
    digest = hashlib.sha256()
    for room in ("bench", "models"):
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in (".py", ".csv"):
                digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _difference(a: Prepared, b: Prepared) -> str | None:
    """What two nodes differ in that results depend on, in words; None if in nothing."""
    if a.dataset != b.dataset:
        return "their images"
    for name in SAME:
        if a.environment.get(name) != b.environment.get(name):
            return f"{name} ({b.environment.get(name)} and {a.environment.get(name)})"
    if a.environment.get("packages") != b.environment.get("packages"):
        one, other = (p.environment.get("packages", {}) for p in (b, a))
        name = next(n for n in (*one, *other) if one.get(n) != other.get(n))
        return f"{name} ({one.get(name)} and {other.get(name)})"
    kinds = [
        (p.device.kind, p.device.name, p.device.memory_bytes, p.device.threads) for p in (a, b)
    ]
    return None if kinds[0] == kinds[1] else f"their device ({b.device.name} and {a.device.name})"

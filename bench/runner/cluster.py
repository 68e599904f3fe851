"""Trials over the machines of a Ray cluster; the only module that imports ray.

An actor holds each slot: a card, or the processors of a node, or those of several nodes that train
one trial together. This process alone decides what runs, and writes the log.
"""

import contextlib
import hashlib
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bench.errors import BenchError, NodeLost, Refused, first_line
from bench.records.messages import Job, Prepared, PrepareJob, SearchJob, TrainJob
from bench.records.records import DeviceFacts
from bench.runner.remote_worker import NodesWorker, RemoteWorker
from bench.runner.slot_actor import SlotActor, code_sha256
from bench.runner.worker_handle import Start, WorkerHandle

SAME = ("python", "cuda", "driver")
"""What must be the same on every node, besides packages and the harness's own code."""

PREPARE_SECONDS = 3600.0
"""How long a node may take to start its actor, or to download the images."""

CONNECT_SECONDS = 5.0
"""How long a cluster may take to answer the very first time."""


@dataclass(eq=False)
class Slot:
    """A slot as the driver sees it. `node` is a hash of the node's name."""

    number: int
    actor: Any
    node: str
    address: str
    timeout: float
    shared: bool = False

    def tell(self, method: str, *arguments: Any) -> None:
        """Call the actor and wait for nothing."""
        getattr(self.actor, method).remote(*arguments)

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


class Cluster:
    """The slots of a cluster, each a slot on one node or more; use as a context manager, which
    leaves no actor behind."""

    def __init__(self, slots: Sequence[Sequence[Slot]]) -> None:
        self.slots = slots
        self._all = [slot for nodes in slots for slot in nodes]

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        import ray

        for slot in self._all:
            with contextlib.suppress(Exception):
                ray.get(slot.actor.close.remote(), timeout=5)
            with contextlib.suppress(Exception):
                ray.kill(slot.actor)
        ray.shutdown()

    def check_shared(self, output: Path) -> None:
        """Raises Refused if a node cannot write to the folder that a run folder will be in."""
        parents = (output.absolute(), *output.absolute().parents)
        existing = next(folder for folder in parents if folder.is_dir())
        with tempfile.TemporaryDirectory(prefix=".archbench-", dir=existing) as folder:
            for slot in self._all:
                if not slot.call("shares", folder):
                    raise Refused(
                        f"{slot.address} cannot write to {existing}: --nnodes needs a run folder "
                        "(--output) on storage that all nodes share."
                    )

    def workers(self, scratch: Path, folder: Path) -> list[Start]:
        """For each slot what starts a worker in it; `folder` is the run's."""
        for slot in self._all:
            slot.shared = bool(slot.call("shares", str(folder.absolute())))

        def on(nodes: Sequence[Slot]) -> Start:
            def start(job: Job, log: Path, **how: Any) -> WorkerHandle:
                if isinstance(job, SearchJob | TrainJob) and (several := _nodes_of(job)) > 1:
                    return NodesWorker(nodes[:several], scratch, job, log, **how)
                return RemoteWorker(nodes[0], scratch, job, log, **how)

            return start

        return [on(nodes) for nodes in self.slots]

    def prepare(self, job: PrepareJob, scratch: Path) -> Prepared:
        """Prepare every node, and see to it that all are alike.

        Raises:
            Refused: a node cannot do it, or differs from the others in what results depend on; the
                message names it.
        """
        code, first, devices = code_sha256(), None, dict[Slot, DeviceFacts]()
        for slot in self._all:
            if replace(slot, timeout=PREPARE_SECONDS).call("code") != code:
                raise Refused(
                    f"{slot.address} has another archbench than this machine: install the same "
                    "everywhere."
                )
            prepared = self._prepared(slot, job, scratch)
            first = first or prepared
            if problem := _difference(first, prepared):
                raise Refused(
                    f"{slot.address} and {self._all[0].address} differ in {problem}: make them "
                    "alike, or start a cluster without one of them."
                )
            devices[slot] = prepared.device
        assert first is not None
        names = tuple("+".join(slot.node for slot in nodes) for nodes in self.slots)
        slots = tuple(devices[nodes[0]] for nodes in self.slots)
        return replace(first, slots=slots, nodes=names)

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


def open_cluster(
    address: str, *, device: str, timeout: float, nodes: int = 1, cards: int = 1
) -> Cluster:
    """The slots of a running cluster: so many cards, or, on the CPU, the processors of a node; each
    of them on so many nodes. The `device` may be `auto`, which means cards if there are any.

    Raises:
        Refused: there is no such cluster, ray is not installed, or its versions differ.
    """
    try:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
    except ImportError:
        raise Refused("--ray-address needs Ray: pip install ray, on every node.") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    before = signal.getsignal(signal.SIGTERM)
    try:
        _check_answers(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError) as error:
        reason = first_line(error).rstrip(".")
        raise Refused(
            f"--ray-address {address}: no cluster to work with ({reason}); start one with `ray "
            "start --head`."
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # Ray has set one of its own
    alive = sorted((n for n in ray.nodes() if n["Alive"]), key=lambda node: node["NodeID"])
    on_cpu = device == "cpu" or not (
        device == "cuda" or any(node["Resources"].get("GPU") for node in alive)
    )
    kind, threads = ray.remote(SlotActor), os.environ.get("OMP_NUM_THREADS")

    def open_slot(number: int, node: dict[str, Any]) -> Slot:
        held = {"num_cpus": node["Resources"]["CPU"]} if on_cpu else {"num_gpus": cards}
        where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        how = {"scheduling_strategy": where, "max_concurrency": 4, "max_restarts": 0}
        name = hashlib.sha256(node["NodeID"].encode()).hexdigest()[:4]
        actor = kind.options(**held, **how).remote(threads)
        return Slot(number, actor, name, node["NodeManagerAddress"], timeout)

    def room(node: dict[str, Any]) -> int:
        free = node["Resources"]
        return bool(free.get("CPU")) if on_cpu else int(free.get("GPU", 0)) // cards

    places = grouped([[node] * room(node) for node in alive], nodes)
    if not places:
        ray.shutdown()
        what = "processors" if on_cpu else f"{cards} cards" if cards > 1 else "cards"
        there = "no node" if nodes == 1 else f"fewer than {nodes} nodes"
        raise Refused(f"--ray-address {address}: {there} of that cluster has free {what}.")
    return Cluster([[open_slot(k, node) for node in group] for k, group in enumerate(places)])


def grouped(places: Sequence[Sequence[Any]], nodes: int) -> list[list[Any]]:
    """The places of every node, in groups of so many, each on another node; those that no group can
    be made of are left out.

    >>> grouped([["a", "a"], ["b"], ["c", "c"]], 2)
    [['a', 'b'], ['a', 'c']]
    """
    rows = ([p for p in row if p is not None] for row in zip_longest(*places))
    return [row[k : k + nodes] for row in rows for k in range(0, len(row) - nodes + 1, nodes)]


def _nodes_of(job: SearchJob | TrainJob) -> int:
    return (job.setting if isinstance(job, SearchJob) else job.trial.setting).nnodes


def _check_answers(address: str) -> None:
    """Raises OSError or ValueError if nothing answers at HOST:PORT; Ray would try for minutes."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()


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

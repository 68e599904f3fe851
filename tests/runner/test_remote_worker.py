"""Workers on several nodes as one, with nodes that say what a test has them say."""

import queue
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError, NodeLost, OutOfMemoryKilled, TimedOut, TrialFailed
from bench.records import messages
from bench.records.messages import ProbeRequest, Ready, WorkerEnded, decode_message, encode_message
from bench.records.records import Probe, Setting, Trial
from bench.runner.cluster import Cluster, grouped
from bench.runner.cluster import Slot as ClusterSlot
from bench.runner.remote_worker import NodesWorker, RemoteWorker
from tests.builders import a_dataset

SETTING = Setting(32, "adam", 1e-3, "fp32", nnodes=2)
CONDITIONS = messages.Conditions("cpu", a_dataset(), None, 0)
TRAIN = messages.TrainJob(Trial("lenet", 0, SETTING, "8", 8), 1, "data", CONDITIONS, "c", "s")
SEARCH = messages.SearchJob("lenet", SETTING, CONDITIONS)
PROBE = Probe("lenet", SETTING, 8, True, 100, 1.0, steps=3)
NOT = replace(PROBE, fits=False, peak_memory_bytes=None, reason="rank 1: out of memory")


@dataclass
class Node:
    """A slot whose workers say what is in `says`, one list for each worker that is begun."""

    address: str
    says: list[list[Any]]
    shared: bool = True
    jobs: list[Any] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    lines: "queue.SimpleQueue[Any]" = field(default_factory=queue.SimpleQueue)

    def call(self, method: str, *arguments: Any) -> Any:
        if method == "free_port":
            return 4711
        if method == "begin":
            self.jobs.append(decode_message(arguments[0]))
            self.lines = queue.SimpleQueue()
            for line in self.says.pop(0):
                self.lines.put(line)
        if method == "write" and arguments[0] == "ask":
            self.asked.append(decode_message(arguments[1]))
        if method == "read":
            line = self.lines.get(timeout=10)
            if isinstance(line, Exception):
                raise line
            return [encode_message(line)]
        return None

    def tell(self, method: str, *arguments: Any) -> None:
        self.told.append(arguments[0])
        if arguments[0] == "end":
            self.lines.put(ended("WorkerDied", "ended"))


def ended(kind: str | None = None, reason: str = "") -> WorkerEnded:
    return WorkerEnded(kind, reason)


def train(first: list[Any], second: list[Any]) -> tuple[list[Any], list[Node]]:
    """What the worker of both nodes says."""
    nodes = [Node("10.0.0.1", [first]), Node("10.0.0.2", [second])]
    with NodesWorker(nodes, Path("scratch"), TRAIN, Path("log")) as worker:
        return list(worker.messages()), nodes


def test_all_are_told_where_to_meet_and_the_first_speaks() -> None:
    said, nodes = train([messages.Stopped(), ended()], [ended()])
    assert said == [messages.Stopped()]
    meetings = [node.jobs[0].meeting for node in nodes]
    assert meetings == [
        messages.Meeting("10.0.0.1", 4711, number, f"10.0.0.{number + 1}") for number in (0, 1)
    ]
    assert threading.active_count() < 20


@pytest.mark.parametrize(
    ("first", "second", "cause"),
    [
        ([ended("TrialFailed", "lost its peer")], [ended("WorkerDied", "killed")], "killed"),
        ([ended("WorkerDied", "killed")], [ended("TrialFailed", "lost its peer")], "killed"),
        ([], [NodeLost("gone")], "gone"),
        ([NodeLost("gone")], [ended("WorkerDied", "killed")], "gone"),
        ([ended()], [ended("TrialFailed", "no space")], "no space"),
    ],
)
def test_the_cause_is_said_not_what_follows(
    first: list[Any], second: list[Any], cause: str
) -> None:
    with pytest.raises(BenchError, match=cause):
        train(first, second)


def test_one_that_takes_too_long_is_ended_and_says_so() -> None:
    node = Node("10.0.0.1", [[]])
    slow = RemoteWorker(node, Path("scratch"), TRAIN, Path("log"), timeout=0.05)
    with pytest.raises(TimedOut, match=r"it took longer than --trial-timeout 0\.05 s"), slow:
        list(slow.messages())
    assert "end" in node.told


def probed(first: list[list[Any]], second: list[list[Any]]) -> tuple[list[Any], list[Node]]:
    """What comes of as many probes as there are lists but one."""
    nodes = [Node("10.0.0.1", first), Node("10.0.0.2", second)]
    with NodesWorker(nodes, Path("scratch"), SEARCH, Path("log")) as worker:
        assert worker.receive() == Ready(1, {})
        return [worker.ask(ProbeRequest(8))], nodes


def test_a_batch_fits_if_it_fits_on_all_nodes() -> None:
    ready = Ready(1, {})
    [fits], nodes = probed([[ready, PROBE]], [[ready, replace(PROBE, peak_memory_bytes=200)]])
    assert (fits.fits, fits.peak_memory_bytes) == (True, 200)
    assert [node.asked[0].meeting.node for node in nodes] == [0, 1]


def test_a_node_whose_ranks_lost_the_others_starts_again() -> None:
    ready, follows = Ready(1, {}), ended("TrialFailed", "rank 0 of 2: connection closed")
    [found], nodes = probed([[ready, follows], [ready, ready]], [[ready, NOT]])
    assert (found.fits, found.reason) == (False, NOT.reason)
    assert [len(node.jobs) for node in nodes] == [2, 1]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (ended("TrialFailed", "a bug"), TrialFailed),
        (ended("OutOfMemoryKilled", "killed"), OutOfMemoryKilled),
        (NodeLost("gone"), NodeLost),
    ],
)
def test_what_is_no_lack_of_memory_is_raised(reply: Any, kind: type[BenchError]) -> None:
    ready = Ready(1, {})
    with pytest.raises(kind):
        probed([[ready, PROBE]], [[ready, reply]])


def test_places_of_a_group_are_on_different_nodes() -> None:
    assert grouped([["a"] * 3, ["b"]], 2) == [["a", "b"]]
    assert grouped([["a", "a"], ["b", "b"]], 1) == [["a"], ["b"], ["a"], ["b"]]


def test_nodes_that_train_together_need_a_run_folder_that_all_can_write_to(tmp_path: Path) -> None:
    class Apart(ClusterSlot):
        def call(self, method: str, *arguments: Any) -> Any:
            assert Path(arguments[0]).is_dir()
            return False

    apart = Apart(0, None, "ab12", "10.0.0.2", 1.0)
    with pytest.raises(BenchError, match=r"10\.0\.0\.2 cannot write to .*storage that all nodes"):
        Cluster([[apart]]).check_shared(tmp_path / "not" / "yet")
    assert not list(tmp_path.iterdir())

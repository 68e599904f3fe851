"""A local Ray cluster of several nodes: seeds spread, a node that dies, and what is refused."""

import contextlib
import gc
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import Config, load_run, resume, run
from bench.errors import Refused
from bench.records.records import Epoch, TrialEnded
from tests.report.undrawn import markdown_of

if sys.platform == "linux":
    # Ray reads them when it is imported.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"}

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(600),
]

MODELS = ("lenet", "resnet18")


def config(output: Path, **changes: Any) -> Config:
    options: dict[str, Any] = {
        "models": MODELS,
        "preset": "smoke",
        "dataset": "shapes10",
        "device": "cpu",
        "train_limit": 64,
        "test_limit": 32,
        "batch_size": (32,),
        "epochs": 2,
        "seeds": 3,
        "max_batch": False,
        "inspect": False,
        "card": (),
        "output": output,
    }
    return Config(**options | changes)


def curves(path: Path) -> list[tuple[Any, ...]]:
    """What must not depend on where a trial ran."""
    columns = ["model", "seed", "epoch", "train_loss", "test_loss", "test_accuracy"]
    return sorted(load_run(path).epochs[columns].itertuples(index=False, name=None))


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of three nodes of one processor each."""
    import ray  # takes seconds, which every process would need that only collects
    from ray.cluster_utils import Cluster

    before = signal.getsignal(signal.SIGTERM)
    try:
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    except Exception as error:
        pytest.skip(f"Ray does not start on this machine: {error}")
    cluster.others = [cluster.add_node(num_cpus=1) for _ in range(2)]
    signal.signal(signal.SIGTERM, before)  # a node that starts here sets its own
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    signal.signal(signal.SIGTERM, before)
    gc.collect()  # what Ray leaves unclosed must not disturb the tests that follow


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = signal.getsignal(signal.SIGTERM)
    yield
    assert signal.getsignal(signal.SIGTERM) == before, "a signal of the run's is Ray's now"


def test_what_cannot_work_is_refused_before_anything_starts(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused, match="no node of that cluster has free cards"):
        run(config(tmp_path / "a", ray_address=nodes.address, device="cuda"))
    monkeypatch.setattr("bench.runner.cluster.code_sha256", lambda: "another")
    with pytest.raises(Refused, match="has another archbench than this machine"):
        run(config(tmp_path / "b", ray_address=nodes.address))
    assert not list(tmp_path.iterdir())


def gang(output: Path, nodes: Any, **changes: Any) -> Config:
    """LeNet, which has no batch norm, by a rank on each of two nodes."""
    options: dict[str, Any] = {"models": ("lenet",), "seeds": 1, "nnodes": (2,), "epochs": 3}
    return config(output, ray_address=nodes.address, **options | changes)


def test_two_nodes_train_as_one_does_with_their_batch(nodes: Any, tmp_path: Path) -> None:
    """Not bit for bit: gradients are added up in another order."""
    asked = {"nnodes": (1, 2), "scaling": "strong", "train_limit": 117, "test_limit": 33}
    result = run(gang(tmp_path / "run", nodes, **asked))
    assert {t.status for t in result.trials} == {"done"}, [t.ended for t in result.trials]
    assert [t.trial.batch_size for t in result.trials] == [32, 16]
    assert len(result.slots) == 1
    assert len(set(result.nodes[0].split("+"))) == 2
    alone, together = (trial.epochs for trial in result.trials)
    assert [len(epoch.ranks) for epoch in (*alone, *together)] == [0, 0, 0, 2, 2, 2]
    for one, two in zip(alone, together, strict=True):
        assert two.images_trained == one.images_trained == 117
        assert two.train_loss == pytest.approx(one.train_loss, rel=1e-4)
        assert two.test_loss == pytest.approx(one.test_loss, rel=1e-4)


def test_the_largest_batch_of_two_nodes_fits_on_both(nodes: Any, tmp_path: Path) -> None:
    asked = {"max_batch": True, "memory_budget": "60MiB", "batch_size": ("max",), "epochs": 1}
    result = run(gang(tmp_path / "run", nodes, image_size=(64,), train_limit=1024, **asked))
    [answer] = result.largest_batches.values()
    assert answer.limited_by == "memory"
    assert answer.certificate is not None
    assert "rank " in (answer.certificate.failed_because or "")
    assert {t.status for t in result.trials} == {"done"}, [t.ended for t in result.trials]


def a_rank() -> psutil.Process:
    """A rank: forked by a worker that the template of a slot's actor has forked; there is one for
    each of two nodes."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [parent.cmdline() for parent in (process, *process.parents()[:3])]
            if "ray::SlotActor" in " ".join(words[-1]) and words[0] == words[1] == words[2]:
                found.append(process)
    assert len(found) == 2
    return found[0]


def test_a_rank_that_is_killed_ends_the_trial_on_all_nodes(nodes: Any, tmp_path: Path) -> None:
    times: list[float] = []

    def kill(message: Any) -> None:
        if isinstance(message, Epoch) and not times:
            a_rank().kill()
            times.append(time.monotonic())
        if isinstance(message, TrialEnded):
            times.append(time.monotonic())

    [trial] = run(gang(tmp_path / "run", nodes, train_limit=2048), kill).trials
    assert trial.ended is not None
    assert trial.ended.retry
    reason = trial.ended.reason or ""
    assert re.fullmatch(r"rank [01] of 2 was killed \(SIGKILL\): memory .*", reason), reason
    assert times[1] - times[0] < 10
    again = resume(tmp_path / "run", given={"ray_address": nodes.address})
    assert [t.status for t in again.trials] == ["done"]


def test_a_node_that_dies_costs_nothing_but_time(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = run(config(tmp_path / "truth"))
    lost: list[Epoch] = []

    def lose(message: Any) -> None:
        if isinstance(message, Epoch) and message.seed == 1 and not lost:
            lost.append(message)
            thread = threading.Thread(
                target=nodes.remove_node, args=(nodes.others[0],), kwargs={"allow_graceful": False}
            )
            thread.start()

    asked = config(tmp_path / "run", ray_address=nodes.address, node_timeout=15.0)
    result = run(asked, lose)
    assert lost
    assert {t.status for t in result.trials} == {"done"}
    assert len(result.trials) == len(MODELS) * 3
    assert curves(tmp_path / "run") == curves(tmp_path / "truth")
    assert len(result.slots) == len(set(result.nodes)) == 3
    for seed in range(3):
        assert len({t.slot for t in result.trials if t.trial.seed == seed}) <= 2
    assert any("The node that trained it was lost" in n for t in result.trials for n in t.notes)
    again = load_run(tmp_path / "run")
    assert "What ran where" in markdown_of(again)
    assert len(truth.trials) == len(again.trials)


def test_there_has_to_be_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"--ray-address 127\.0\.0\.1:1: no cluster to work with"):
        run(config(tmp_path / "run", ray_address="127.0.0.1:1"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"devices": "all", "device": "auto"}, "--devices is for one machine"),
        ({"share_node": 2}, "--share-node is for one machine"),
        ({"dry_run": True}, "--dry-run is for one machine"),
    ],
)
def test_options_of_one_machine_are_refused(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=said):
        config(tmp_path / "run", ray_address="auto", **options)

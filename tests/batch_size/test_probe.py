"""Probes: under a real limit in a process of its own, and the answers of the search's story."""

import faulthandler
import gc
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import bench.batch_size.forked as forked
import bench.batch_size.probe as probe_module
import bench.runner.worker.jobs as jobs
from bench.batch_size.probe import ProbeSetup, _last_batch
from bench.data.loader import Transform, blank_split
from bench.errors import OutOfMemoryKilled, TrialFailed
from bench.records.memory_trace import Trace
from bench.records.messages import Conditions, ProbeRequest, SearchJob
from bench.records.records import DatasetFacts, Probe, Setting
from bench.system.devices.cpu import CpuDevice
from bench.system.malloc import EXACT
from bench.training.precision import Precision
from models import REGISTRY

ROOT = Path(__file__).parents[2]
GREY = (0.5, 0.5, 0.5)
FACTS = DatasetFacts("x", "x", ("a", "b"), 1000, 100, 32, GREY, GREY, "", True)
SETTING = Setting(32, "adam", 1e-3, "fp32", augment="shift")
CONDITIONS = Conditions("cpu", FACTS, 2**30, 0)
JOB = SearchJob("resnet18", SETTING, CONDITIONS, searched=False)
PRIMITIVE = "RuntimeError: could not create a primitive"


def a_setup() -> ProbeSetup:
    transform = Transform(32, GREY, GREY, torch.device("cpu"), True)
    blank = [blank_split(count, FACTS, transform) for count in (1000, 100)]
    fp32 = Precision("fp32", None, "cpu", None)
    return ProbeSetup(
        REGISTRY.get("resnet18"), SETTING, CONDITIONS, blank[0], (blank[1],), CpuDevice(), fp32
    )


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_args: object) -> None:
        raise error

    return fail


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA holds only on Linux")
def test_under_a_real_limit() -> None:
    """A small batch fits, a large one does not, and then the small one fits again."""
    code = """
        import torch
        torch.set_num_threads(1)
        from bench.records.messages import Conditions, SearchJob, ProbeRequest
        from bench.records.records import DatasetFacts, Setting
        from bench.runner.worker.jobs import open_search

        grey = (0.5, 0.5, 0.5)
        facts = DatasetFacts("x", "x", ("a", "b"), 1000, 100, 32, grey, grey, "", True)
        conditions = Conditions("cpu", facts, 448 * 2**20, 0)
        setting = Setting(32, "adam", 1e-3, "fp32", augment="shift")
        job = SearchJob("resnet18", setting, conditions, searched=False)
        ready, probe = open_search(job)
        print(ready.limit_bytes)
        for size in (4, 900, 4):
            found = probe(ProbeRequest(size))
            print(found.batch_size, found.fits, found.peak_memory_bytes is not None)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        env=os.environ | EXACT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        str(448 * 2**20),
        "4 True True",
        "900 False False",
        "4 True True",
    ], done.stderr


class TestProbeSetup:
    def test_out_of_memory_is_an_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        error = RuntimeError("DefaultCPUAllocator: can't allocate memory\nand more lines")
        monkeypatch.setattr(ProbeSetup, "_train_a_little", failing(error))
        found = a_setup().probe(8)
        assert (found.fits, found.peak_memory_bytes) == (False, None)
        assert found.reason == "RuntimeError: DefaultCPUAllocator: can't allocate memory"

    def test_memory_that_spilled_to_the_host_does_not_fit(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ProbeSetup, "_train_a_little", lambda *args: None)
        monkeypatch.setattr(CpuDevice, "spilled_bytes", lambda self: 4096)
        found = a_setup().probe(8)
        assert (found.fits, found.peak_memory_bytes) == (False, None)
        assert "4096 bytes more than the card has" in (found.reason or "")

    def test_an_ambiguous_error_is_left_to_the_caller(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        error = RuntimeError("could not create a primitive")
        monkeypatch.setattr(ProbeSetup, "_train_a_little", failing(error))
        assert a_setup().probe(8).reason == PRIMITIVE

    def test_any_other_error_is_the_trials_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        error = RuntimeError("shapes differ\nmore")
        monkeypatch.setattr(ProbeSetup, "_train_a_little", failing(error))
        with pytest.raises(TrialFailed) as failed:
            a_setup().probe(8)
        assert str(failed.value) == "training at batch 8 failed: shapes differ"


@pytest.mark.parametrize(
    ("images", "batch", "last"),
    [(1000, 64, [40]), (1000, 8, []), (1000, 37, []), (100, 128, [100])],
)
def test_the_batch_that_ends_an_epoch_is_probed_too(
    images: int, batch: int, last: list[int]
) -> None:
    transform = Transform(32, GREY, GREY, torch.device("cpu"), True)
    assert _last_batch(blank_split(images, FACTS, transform), batch) == last


def living_bytes() -> int:
    """What all tensors of this process hold."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if type(thing) in (Tensor, nn.Parameter)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


@pytest.mark.thorough
@pytest.mark.parametrize("fails", [False, True])
def test_a_probe_leaves_nothing_behind(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = a_setup()
    before = living_bytes()

    def full(*_args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    if fails:
        monkeypatch.setattr(probe_module, "evaluation_pass", full)
    for _ in range(3):
        assert setup.probe(8).fits is not fails
        assert living_bytes() == before


@pytest.mark.parametrize("searched", [True, False])
def test_memory_is_predicted_for_a_search_alone(
    searched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = Trace((), ())
    monkeypatch.setattr(jobs, "predicted_trace", lambda *_: trace)
    ready, _ = jobs.open_search(replace(JOB, searched=searched))
    assert ready.trace is (trace if searched else None)


class TestAmbiguous:
    """oneDNN's "could not create a primitive" is settled by a probe without the limit."""

    def answers(
        self, monkeypatch: pytest.MonkeyPatch, unlimited: Probe
    ) -> tuple[Callable[[ProbeRequest], Probe], list[bool]]:
        asked: list[bool] = []

        def probe(_job: SearchJob, request: ProbeRequest) -> Probe:
            asked.append(request.limited)
            if not request.limited:
                return unlimited
            return Probe("resnet18", SETTING, request.batch_size, False, None, 0.1, PRIMITIVE)

        monkeypatch.setattr(jobs, "_probe_in_child", probe)
        return jobs.open_search(JOB)[1], asked

    def test_it_was_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        works = Probe("resnet18", SETTING, 8, True, 2**20, 0.1)
        probe, asked = self.answers(monkeypatch, works)
        found = probe(ProbeRequest(8))
        assert (found.fits, found.reason) == (False, PRIMITIVE)
        assert asked == [True, False]

    def test_it_was_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fails = Probe("resnet18", SETTING, 8, False, None, 0.1, PRIMITIVE)
        probe, asked = self.answers(monkeypatch, fails)
        with pytest.raises(TrialFailed, match=r"training at batch 8 failed: .*create a primitive"):
            probe(ProbeRequest(8))
        assert asked == [True, False]

    def test_a_clear_answer_is_not_asked_for_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clear = Probe("resnet18", SETTING, 8, False, None, 0.1, "RuntimeError: out of memory")
        asked: list[int] = []

        def probe(_job: SearchJob, request: ProbeRequest) -> Probe:
            asked.append(request.batch_size)
            return clear

        monkeypatch.setattr(jobs, "_probe_in_child", probe)
        assert jobs.open_search(JOB)[1](ProbeRequest(8)) == clear
        assert asked == [8]


class TestCrash:
    """A library that does not check for a failed allocation crashes; so does a faulty one."""

    def crashing(self, monkeypatch: pytest.MonkeyPatch, *, always: bool) -> None:
        def probe(request: ProbeRequest) -> Probe:
            if request.limited or always:
                faulthandler.disable()  # of pytest, in the child
                os.kill(os.getpid(), signal.SIGSEGV)
            return Probe("resnet18", SETTING, request.batch_size, True, 1, 0.1)

        monkeypatch.setattr(jobs, "_open_setup", lambda job: (None, probe))

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="probes need no child without fork")
    def test_under_the_limit_alone_it_does_not_fit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.crashing(monkeypatch, always=False)
        found = jobs.open_search(JOB)[1](ProbeRequest(8))
        assert (found.fits, found.reason) == (False, "the probe's process ended with SIGSEGV.")

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="probes need no child without fork")
    def test_without_it_too_the_trial_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.crashing(monkeypatch, always=True)
        with pytest.raises(TrialFailed, match=r"training at batch 8 failed: .*SIGSEGV"):
            jobs.open_search(JOB)[1](ProbeRequest(8))


def test_a_killed_probe_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = failing(OutOfMemoryKilled("the probe's process ended with SIGKILL."))
    monkeypatch.setattr(forked, "in_child", killed)
    found = jobs.open_search(JOB)[1](ProbeRequest(8))
    assert (found.batch_size, found.fits) == (8, False)
    assert found.reason == "the probe's process ended with SIGKILL."

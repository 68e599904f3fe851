"""A whole self-check: of the CPU for real, as small as can be; of a made-up card, on stubs."""

import csv
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench import Config
from bench.analysis.selfcheck import CHECKS, Checked, checks_csv, speeds_csv
from bench.analysis.tables import RunTables
from bench.errors import BenchError, Interrupted, TimedOut, TrialFailed
from bench.records import messages
from bench.records.measurement import COLUMNS, QUANTITIES, Measurement, measurements_csv
from bench.records.memory_trace import Allocation, Trace
from bench.records.records import DeviceFacts, Probe, RunEnded
from bench.runner import selfcheck as runner
from bench.runner.selfcheck import SCALES, Part, Scale, SelfCheckOptions, selfcheck
from bench.runner.worker_handle import WorkerHandle
from tests.builders import (
    a_dataset,
    a_description,
    a_done_trial,
    a_run,
    a_setting,
    a_trial,
    some_records,
    tables_of,
)

MIB = 2**20
TINY = Scale(("lenet",), 32, 64 * MIB, 64 * MIB, batch=16, images=64, rounds=1)
CARD = DeviceFacts("cuda:0", "cuda", "NVIDIA GeForce RTX 3060", 12_041 * MIB, None)
IMAGE = 2 * MIB
"""What an image takes on that card; weights are nothing."""


def verdicts(checked: tuple[Checked, ...]) -> dict[str, str]:
    return {one.check.id: one.verdict for one in checked}


@pytest.mark.thorough
def test_the_cpu_for_real() -> None:
    """In six seconds on any machine: what there is time for is judged, the rest is out of time."""
    found = selfcheck(SelfCheckOptions(device="cpu", minutes=0.1), scales={"cpu": TINY})
    assert found.device.kind == "cpu"
    said = verdicts(found.checked)
    assert said.keys() == CHECKS.keys()
    del said["predicted_step"]  # it depends on what else the machine does
    assert set(said.values()) <= {"pass", "not run here", "out of time"}
    assert said["clocks"] == "not run here"
    assert found.seconds < 60
    assert found.environment["packages"]["torch"]
    assert not found.interrupted


class FakeWorker(WorkerHandle):
    """Answers the jobs of a self-check as a card would that has 900 MiB free, and where nothing
    goes wrong."""

    ways: ClassVar = {"plain": 100.0, "ours": 200.0, "floor": 220.0}
    seconds: ClassVar = [
        ("measured", "step_seconds", 0.11),
        ("predicted", "step_seconds", 0.10),
        ("predicted", "step_seconds_low", 0.08),
        ("predicted", "step_seconds_high", 0.12),
    ]
    broken: type[Exception] | None = None
    jobs: ClassVar[list[Any]] = []
    devices = 1

    def __init__(self, job: Any, log: Path, *, limited: Any = False, timeout: Any = None) -> None:
        self.job, self.limited = job, limited
        self.jobs.append((job, limited))
        self.said: list[Any] = []
        if isinstance(job, messages.SearchJob):
            budget = job.conditions.budget_bytes or 900 * MIB
            self.limit = min(900 * MIB, budget)
            trace = Trace((Allocation(0, IMAGE, "activations"),), (0, ~0))
            self.said = [a_description(), messages.Ready(self.limit, {}, trace)]

    def __exit__(self, *error: object) -> None: ...

    def answer(self) -> None: ...

    def stop(self) -> None: ...

    def end(self) -> None: ...

    def receive(self) -> Any:
        return self.said.pop(0)

    def ask(self, request: messages.ProbeRequest) -> Probe:
        n = request.batch_size
        fits = n * IMAGE <= self.limit
        peak, reason = (n * IMAGE, None) if fits else (None, "out of memory at /home/me/torch.py")
        steps = (0.1,) * request.timed_steps
        return Probe("resnet18", a_setting(), n, fits, peak, 0.1, reason, 0, 4, steps)

    def messages(self) -> Iterator[Any]:
        match self.job:
            case messages.PrepareJob():
                yield messages.Prepared((), CARD, a_dataset(), {"device": CARD.name})
            case messages.AbilitiesJob():
                yield messages.Abilities(("fp32", "bf16"), self.devices)
            case messages.SelfCheckJob(what=what):
                if self.broken is not None and what == "step":
                    raise self.broken("it went wrong in /home/me/torch.py.")
                yield messages.Figures(tuple(self.figures(what)))

    def figures(self, what: str) -> Iterator[Measurement]:
        job = self.job
        case: dict[str, Any] = {
            "model": job.model,
            "image_size": job.setting.image_size,
            "precision": job.setting.precision,
        }
        if what == "step":
            yield Measurement("step", "stray_tensors", 0, **case)
            for repeat, variant in ((1, ""), (2, ""), (1, "float64"), (2, "float64")):
                yield Measurement(
                    "step", "loss", 3.0 - repeat, **case, variant=variant, repeat=repeat
                )
        elif what == "speed":
            for source, name, value in self.seconds:
                yield Measurement("speed", name, value, source, **case, batch_size=job.batch_size)
        elif what == "telemetry":
            values = {"sample_seconds": 0.001, "sampling_interval": 0.5, "sampled_seconds": 5.0}
            for name, value in (values | {"samples": 12, "sm_clock_mhz": 1500.0}).items():
                yield Measurement("telemetry", name, value)
        else:
            yield Measurement("pace", "images_per_second", self.ways[what], **case, variant=what)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> type[FakeWorker]:
    """A self-check whose workers are fakes, and whose runs are the same made-up one."""
    worker = type("W", (FakeWorker,), {"jobs": []})
    for room in ("selfcheck", "batch_search"):
        monkeypatch.setattr(f"bench.runner.{room}.Worker", worker)
    monkeypatch.setattr(runner, "run", lambda config, listener: a_run(config.output))
    return worker


def on_card(**options: Any) -> runner.SelfCheck:
    return selfcheck(SelfCheckOptions(**{"device": "cuda"} | options))


def test_a_card_that_keeps_everything(card: type[FakeWorker]) -> None:
    shown: list[Any] = []
    found = selfcheck(SelfCheckOptions(device="cuda"), shown.append)
    assert verdicts(found.checked) == dict.fromkeys(CHECKS, "pass") | {
        "several_cards": "not run here"
    }
    assert CARD in shown
    sizes = {
        (m.model, m.precision): m.value
        for m in found.measurements
        if m.quantity == "max_batch" and m.source == "measured"
    }
    assert sizes == {(model, p): 450 for model in SCALES["cuda"].models for p in ("fp32", "bf16")}
    budgets = {
        job.model: job.conditions.budget_bytes
        for job, _ in card.jobs
        if isinstance(job, messages.SearchJob)
    }
    assert budgets == dict.fromkeys(SCALES["cuda"].models, 8192 * MIB) | {"resnet18": None}
    allocators = {job.what: limited for job, limited in card.jobs if hasattr(job, "what")}
    assert allocators == dict.fromkeys(("step", "speed", "telemetry", "ours", "floor"), False) | {
        "plain": None
    }
    assert {m.quantity for m in found.measurements} <= QUANTITIES.keys()


def test_the_speed_of_an_unknown_card_is_not_predicted(
    card: type[FakeWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.CARD", replace(CARD, name="Test Card"))
    (one,) = [one for one in on_card().checked if one.check.id == "predicted_step"]
    assert one.verdict == "not run here"
    assert one.found == "what this card computes and moves at most is not known here"
    assert not any(getattr(job, "what", "") == "speed" for job, _ in card.jobs)


def test_a_step_that_takes_longer_than_predicted_is_a_broken_promise(
    card: type[FakeWorker],
) -> None:
    card.seconds = [("measured", "step_seconds", 0.13), *card.seconds[1:]]
    found = on_card()
    assert verdicts(found.checked)["predicted_step"] == "broken promise"
    rows = list(csv.DictReader(io.StringIO(speeds_csv(found.measurements, CARD.name))))
    assert len(rows) == 2 * len(SCALES["cuda"].models)
    assert {row["step_seconds"] for row in rows} == {"0.13"}


def test_two_cards_train_together(card: type[FakeWorker], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Config] = []

    def run(config: Config, listener: Any) -> RunTables:
        if config.nproc_per_node == (1,):
            return a_run(config.output)
        asked.append(config)
        records = [r for r in some_records(("lenet",)) if not isinstance(r, RunEnded)]
        setting = replace(a_setting(), nproc_per_node=2)
        records += a_done_trial(a_trial("lenet", setting=setting, variant="nproc_per_node=2"))
        return tables_of(config.output, [*records, RunEnded(0, 1.0)])

    monkeypatch.setattr(runner, "run", run)
    card.devices = 2
    (one,) = [one for one in on_card().checked if one.check.id == "several_cards"]
    assert (one.verdict, one.found) == ("pass", "6 losses, off by 0 at most")
    assert [(config.device, config.scaling) for config in asked] == [("cuda", "strong")]


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="ranks are forked")
def test_two_processes_train_together_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(runner, "parts_of", lambda bench: [Part("cards", "both", runner._together)])
    found = selfcheck(SelfCheckOptions(device="cpu", minutes=2), scales={"cpu": TINY})
    (one,) = [one for one in found.checked if one.check.id == "several_cards"]
    assert one.verdict == "pass", one.found


def test_an_epoch_slower_than_the_plain_loop_is_a_broken_promise(card: type[FakeWorker]) -> None:
    card.ways = {"plain": 100.0, "ours": 80.0, "floor": 220.0}
    assert verdicts(on_card().checked)["epoch_speed"] == "broken promise"


@pytest.mark.parametrize("error", [TrialFailed, BenchError])
def test_what_fails_is_said_without_paths_and_stops_nothing(
    card: type[FakeWorker], error: type[BenchError]
) -> None:
    card.broken = error
    found = on_card().checked
    assert found[0].verdict == "broken promise"
    assert found[0].found == (
        "a step in fp32: it went wrong in torch.py.; a step in bf16: it went wrong in torch.py."
    )
    assert verdicts(found)["largest_batch"] == "pass"


def test_what_takes_too_long_is_out_of_time(card: type[FakeWorker]) -> None:
    card.broken = TimedOut
    assert verdicts(on_card().checked)["training_step"] == "out of time"
    assert set(verdicts(on_card(minutes=1e-9).checked).values()) == {"out of time", "not run here"}


@pytest.mark.parametrize("signal", [KeyboardInterrupt, Interrupted])
def test_what_was_found_before_an_interruption_is_kept(
    card: type[FakeWorker], monkeypatch: pytest.MonkeyPatch, signal: type[BaseException]
) -> None:
    def interrupted(*arguments: object) -> None:
        raise signal("interrupted.")

    monkeypatch.setattr(runner, "run", interrupted)
    found = on_card()
    assert found.interrupted
    assert verdicts(found.checked)["training_step"] == "pass"
    (one,) = [one for one in found.checked if one.check.id == "determinism"]
    assert (one.verdict, one.found) == ("not run here", "interrupted")


def test_the_tables_can_be_read_again_and_name_no_folder(card: type[FakeWorker]) -> None:
    card.broken = TrialFailed
    found = on_card()
    rows = list(csv.DictReader(io.StringIO(measurements_csv(found.measurements))))
    assert len(rows) == len(found.measurements)
    assert tuple(rows[0]) == COLUMNS
    assert [float(row["value"]) for row in rows] == [m.value for m in found.measurements]
    checks = list(csv.DictReader(io.StringIO(checks_csv(found.checked))))
    assert [row["check"] for row in checks] == list(CHECKS)
    assert not re.search(r"(^|\s)/\w", checks_csv(found.checked) + str(asdict(found.checked[0])))

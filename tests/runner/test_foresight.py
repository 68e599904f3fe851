"""The time of trials before anything is timed, with scripted workers."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import TimedOut, TrialFailed
from bench.prediction.cards import Peaks
from bench.records.kernel_trace import Kernel, KernelTrace
from bench.records.messages import Abilities, AbilitiesJob, Prepared, Simulated, SimulateJob
from bench.runner.foresight import FORWARD, START_SECONDS, Foresight, foresee
from tests.builders import a_dataset, a_device, a_setting, a_trial, some_facts

SLOW = Abilities(("fp32",), 1, flops=1e9, bandwidth=1e9)
TRACE = KernelTrace((Kernel("1x1 convolution", False, 0, 10**9, 0, 0, 64, 64),))
PREPARED = Prepared((some_facts(),), a_device(), a_dataset(), {})
SHAPES = (("resnet18", a_setting()), ("own", a_setting()))


class Slow:
    """Times a slow processor, and simulates all but the user's own network."""

    answer: Any = SLOW
    late = False

    def __init__(self, job: Any, log: Path, *, timeout: float) -> None:
        self.job, self.timeout = job, timeout

    def __enter__(self) -> "Slow":
        return self

    def __exit__(self, *error: object) -> None: ...

    def messages(self) -> Iterator[Any]:
        assert 0 < self.timeout <= 10
        match self.job:
            case AbilitiesJob(device="cpu", timed=True):
                yield from [self.answer] if self.answer else []
            case SimulateJob(device="cpu", shapes=shapes):
                if self.late:
                    raise TimedOut("it took longer than --trial-timeout 9.3 s.")
                for model, setting in shapes:
                    trace = None if model == "own" else TRACE
                    yield Simulated(model, setting, None, kernels=trace)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> type[Slow]:
    kind = type("W", (Slow,), {})
    monkeypatch.setattr("bench.runner.foresight.Worker", kind)
    return kind


def seen() -> Foresight:
    return foresee(SHAPES, PREPARED, Path("log"), within=10.0)


def test_steps_are_as_if_they_had_been_timed(worker: type[Slow]) -> None:
    found = seen()
    assert found.peaks == Peaks(1e9, 1e9)
    steps = found.steps(a_trial(batch_size=64))
    assert steps is not None
    (seconds,) = steps.step_seconds
    assert 64 < seconds < 64 * 20
    assert steps.first_step_seconds == seconds
    assert steps.evaluation_seconds == pytest.approx(FORWARD * seconds / 64)
    assert (steps.batch_size, steps.start_seconds) == (64, START_SECONDS)


def test_what_cannot_be_simulated_or_has_no_batch_size_has_no_steps(worker: type[Slow]) -> None:
    found = seen()
    assert found.steps(a_trial("own")) is None
    assert found.steps(a_trial(batch_size=None)) is None
    assert found.steps(a_trial(setting=a_setting(precision="bf16"))) is None


@pytest.mark.parametrize("answer", [None, Abilities(("fp32",), 1)])
def test_a_processor_that_cannot_be_timed(worker: type[Slow], answer: Any) -> None:
    worker.answer = answer
    with pytest.raises(TrialFailed, match="the processor could not be timed"):
        seen()


def test_what_takes_too_long_names_no_other_limit(worker: type[Slow]) -> None:
    worker.late = True
    with pytest.raises(TrialFailed, match=r"^simulating its steps takes longer than 10 s\.$"):
        seen()


def test_trials_that_share_the_processor_are_timed_first(worker: type[Slow]) -> None:
    shared = replace(PREPARED, slots=(a_device(),) * 2)
    with pytest.raises(TrialFailed, match="side by side share the processor"):
        foresee(SHAPES, shared, Path("log"), within=10.0)

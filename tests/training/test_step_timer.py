from collections.abc import Sequence

import pytest
import torch

from bench.records.records import DeviceFacts
from bench.system.devices import Device
from bench.training.step_timer import PARTS, StepTimer, timed


class Scripted(Device):
    """A device whose marks are read from a script; it notes when it is waited for."""

    kind = "cpu"

    def __init__(self, script: Sequence[float] = ()) -> None:
        super().__init__(torch.device("cpu"))
        self.script = list(script)
        self.calls: list[str] = []

    def facts(self) -> DeviceFacts:
        return DeviceFacts("cpu", "cpu", "scripted", 0, None)

    def synchronize(self) -> None:
        self.calls.append("synchronize")

    def mark(self) -> float:
        return self.script.pop(0)

    def elapsed(self, start: float, end: float) -> float:
        return end - start

    def limit_memory(self, budget_bytes: int | None) -> int | None:
        return budget_bytes

    def reset_peak(self) -> None: ...

    def peak_memory(self) -> int | None:
        return None


def run(clock: StepTimer, steps: int) -> None:
    clock.start()
    for _ in range(steps):
        for _ in PARTS:
            clock.part()
        clock.step()


def test_steps_and_parts() -> None:
    marks = [0, 1, 3, 6, 7, 8, 9, 11, 14, 15, 16]
    clock = StepTimer(Scripted(marks), steps=2)
    run(clock, 2)
    assert clock.step_seconds() == [8, 8]
    parts = clock.part_seconds(train_seconds=20)
    assert parts == {"data": 2, "forward": 4, "backward": 6, "optimizer": 2}


def test_a_step_may_go_forward_and_backward_several_times() -> None:
    clock = StepTimer(Scripted([0, 1, 3, 6, 8, 11, 12, 13]), steps=1)
    clock.start()
    for part in range(6):
        if part == 3:
            clock.again()
        clock.part()
    clock.step()
    parts = clock.part_seconds(train_seconds=20)
    assert parts == {"data": 1, "forward": 4, "backward": 6, "optimizer": 1}


def test_parts_never_come_to_more_than_the_epoch() -> None:
    clock = StepTimer(Scripted([0, 1, 3, 6, 7, 8]), steps=1)
    run(clock, 1)
    parts = clock.part_seconds(train_seconds=3.5)
    assert parts == {"data": 0.5, "forward": 1.0, "backward": 1.5, "optimizer": 0.5}


def test_long_epochs_are_sampled_and_scaled() -> None:
    """Of 640 steps every tenth is marked in parts: 64 samples of four marks."""
    device = Scripted(range(10_000))
    clock = StepTimer(device, steps=640)
    run(clock, 640)
    assert clock.every == 10
    assert 10_000 - len(device.script) == 641 + 64 * 4
    assert len(clock.step_seconds()) == 640
    assert sum(clock.step_seconds()) == 640 + 64 * 4
    assert clock.part_seconds(10_000) == dict.fromkeys(PARTS, 640)


@pytest.mark.parametrize(("steps", "every"), [(1, 1), (64, 1), (127, 1), (128, 2), (391, 6)])
def test_at_least_sixty_four_steps_are_sampled(steps: int, every: int) -> None:
    assert StepTimer(Scripted(), steps).every == every


def test_a_step_cut_short_does_not_count() -> None:
    clock = StepTimer(Scripted([0, 1, 2, 3, 4, 5, 6]), steps=1)
    run(clock, 1)
    clock.part()
    assert clock.part_seconds(100) == dict.fromkeys(PARTS, 1)


def test_nothing_marked() -> None:
    clock = StepTimer(Scripted(), steps=3)
    assert clock.step_seconds() == []
    assert clock.part_seconds(1.0) == dict.fromkeys(PARTS, 0.0)


def test_timed_waits_for_the_device_before_and_after() -> None:
    device = Scripted()

    def call() -> str:
        device.calls.append("call")
        return "result"

    result, took = timed(device, call)
    assert result == "result"
    assert device.calls == ["synchronize", "call", "synchronize"]
    assert took.seconds >= 0
